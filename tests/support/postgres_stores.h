#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "store/postgres_store.h"
#include "tests/contract/store_fixture.h"

namespace director::store_test {

using test::PostgresDatabase;

inline std::unique_ptr<Store> Open(const PostgresDatabase& database) {
  auto opened = OpenPostgresStore(database.settings());
  INFO((opened ? std::string() : ErrorForLog(opened.error())));
  REQUIRE(opened);
  return std::move(*opened);
}

inline Status Save(Store& store, const std::string& id) {
  return store.Write([&](StoreWriter& writer) { return writer.SaveEnrollments({MakeDevice(id)}); });
}

inline std::size_t CountKnown(Store& store, const std::vector<EnrollmentId>& ids) {
  std::size_t count = 0;
  REQUIRE(store.Read([&](StoreReader& reader) -> Status {
    const auto known = reader.LoadEnrollments(ids);
    if (!known) return Fail(known.error());
    count = known->size();
    return {};
  }));
  return count;
}

/// Threads wait here until `count` of them have come.
class Meeting {
 public:
  explicit Meeting(int count) : missing_(count) {}
  void Arrive() {
    std::unique_lock lock(mutex_);
    --missing_;
    arrived_.notify_all();
    arrived_.wait(lock, [&] { return missing_ <= 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  int missing_;
};

/// Ends every other connection to the server, as a restart of the database does.
inline void CutConnections(const PostgresDatabase& database) {
  database.Execute(
      "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
      "WHERE pid <> pg_backend_pid() AND application_name = 'director'");
}

}  // namespace director::store_test
