#include "director/payloads.h"

#include <fmt/core.h>

#include <filesystem>

#include "base/log.h"
#include "base/log_keys.h"
#include "mdm/command.h"

namespace director {

SigningIdentity::SigningIdentity(const Config& config, const Clock& clock)
    : config_(config), clock_(clock) {}

Result<std::unique_ptr<SigningIdentity>> SigningIdentity::Load(const Config& config,
                                                               const Clock& clock) {
  std::unique_ptr<SigningIdentity> identity(new SigningIdentity(config, clock));
  identity->file_times_ = identity->FileTimes();
  auto signer = identity->LoadNow();
  if (!signer) return Fail(signer.error());
  identity->signer_ = std::move(*signer);
  return identity;
}

Result<std::shared_ptr<const Signer>> SigningIdentity::LoadNow() const {
  SigningFiles files;
  files.pkcs12_file = config_.signing_pkcs12_file;
  files.certificate_file = config_.signing_certificate_file;
  files.key_file = config_.signing_key_file;
  const Result<Secret> password = config_.signing_password.Get();
  if (!password) return Fail(password.error());
  files.password = *password;
  return LoadSigner(files, clock_.Now());
}

std::string SigningIdentity::FileTimes() const {
  std::string times;
  for (const std::string& path : {config_.signing_pkcs12_file, config_.signing_certificate_file,
                                  config_.signing_key_file, config_.signing_password.file()}) {
    std::error_code missing;
    if (path.empty()) continue;
    const auto time = std::filesystem::last_write_time(path, missing);
    times += fmt::format("{}={};", path, missing ? 0 : time.time_since_epoch().count());
  }
  return times;
}

std::shared_ptr<const Signer> SigningIdentity::Current() {
  const std::lock_guard lock(mutex_);
  const std::string times = FileTimes();
  if (times == file_times_) return signer_;
  file_times_ = times;
  auto signer = LoadNow();
  if (signer) {
    signer_ = std::move(*signer);
    Log(LogLevel::kInfo, "signing identity loaded again",
        {{log_key::kName, signer_->CertificateSubject()}});
  } else {
    Log(LogLevel::kError, "changed signing identity cannot be used; the old one stays",
        {{log_key::kError, ErrorForLog(signer.error())}});
  }
  return signer_;
}

Result<std::shared_ptr<const std::string>> Payloads::Get(const PayloadUuid& payload_uuid) {
  const std::shared_ptr<const Signer> signer =
      identity_ == nullptr ? nullptr : identity_->Current();
  const std::string key = payload_uuid.value() + "/" +
                          (signer == nullptr ? "unsigned" : signer->CertificateFingerprint());
  // One signature per revision and certificate, also when two workers want it at the same moment.
  const std::lock_guard lock(mutex_);
  if (auto cached = FindCached(key)) return cached;
  Revision revision;
  const Status loaded = store_.Read([&](StoreReader& reader) -> Status {
    Result<Revision> found = reader.LoadRevision(payload_uuid);
    if (!found) return Fail(found.error());
    revision = std::move(*found);
    return {};
  });
  if (!loaded) return Fail(loaded.error());
  std::string bytes = std::move(revision.content);
  const bool is_profile = revision.request_type == request_type::kInstallProfile;
  if (signer != nullptr && is_profile) {
    Result<std::string> signed_bytes = signer->Sign(bytes);
    if (!signed_bytes) return Fail(signed_bytes.error());
    ++signatures_;
    bytes = std::move(*signed_bytes);
  }
  auto payload = std::make_shared<const std::string>(std::move(bytes));
  Keep(key, payload);
  return payload;
}

std::uint64_t Payloads::signatures() const {
  const std::lock_guard lock(mutex_);
  return signatures_;
}

std::shared_ptr<const std::string> Payloads::FindCached(const std::string& key) {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return nullptr;
  recent_.splice(recent_.begin(), recent_, found->second);
  return found->second->payload;
}

void Payloads::Keep(const std::string& key, std::shared_ptr<const std::string> payload) {
  cached_bytes_ += payload->size();
  recent_.push_front({key, std::move(payload)});
  by_key_[key] = recent_.begin();
  while (cached_bytes_ > kCacheMaxBytes && recent_.size() > 1) {
    cached_bytes_ -= recent_.back().payload->size();
    by_key_.erase(recent_.back().key);
    recent_.pop_back();
  }
}

}  // namespace director
