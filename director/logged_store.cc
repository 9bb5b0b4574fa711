#include "director/logged_store.h"

#include "base/log.h"
#include "base/log_keys.h"

namespace director {
namespace {

constexpr Duration kRepeatStoreErrorAfter = std::chrono::minutes(1);

}  // namespace

Status LoggedStore::Write(const std::function<Status(StoreWriter&)>& body) {
  return Told(inner_->Write(body));
}

Status LoggedStore::Read(const std::function<Status(StoreReader&)>& body) {
  return Told(inner_->Read(body));
}

Status LoggedStore::ReadOnce(const std::function<Status(StoreReader&)>& body) {
  return Told(inner_->ReadOnce(body));
}

Status LoggedStore::Told(Status done) {
  if (done || done.error().kind != ErrorKind::kUnavailable) return done;
  {
    const Timestamp now = clock_.Now();
    const std::lock_guard lock(mutex_);
    if (told_at_ && now < *told_at_ + kRepeatStoreErrorAfter) return done;
    told_at_ = now;
  }
  Log(LogLevel::kError, "the database cannot be used; what comes in is refused",
      {{log_key::kError, ErrorForLog(done.error())}});
  return done;
}

}  // namespace director
