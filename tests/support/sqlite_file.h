#pragma once

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "store/sqlite_store.h"
#include "tests/contract/store_fixture.h"
#include "tests/support/raw_db.h"

namespace director::store_test {

using test::RawDb;

inline std::unique_ptr<Store> Open(const std::string& path) {
  auto store = OpenSqliteStore(path);
  INFO((store ? std::string() : ErrorForLog(store.error())));
  REQUIRE(store);
  return std::move(*store);
}

inline void CheckRefused(const std::string& path, ErrorKind kind = ErrorKind::kInvalid) {
  INFO(path);
  const auto store = OpenSqliteStore(path);
  REQUIRE_FALSE(store);
  CHECK(store.error().kind == kind);
  CHECK_FALSE(store.error().message.empty());
  CHECK(store.error().message.find('\n') == std::string::npos);
}

inline Status SaveDevice(Store& store, const std::string& id) {
  return store.Write([&](StoreWriter& writer) { return writer.SaveEnrollments({MakeDevice(id)}); });
}

inline Status CountAll(Store& store, std::int64_t& count) {
  return store.Read([&](StoreReader& reader) -> Status {
    const auto counts = reader.CountFleet(At(0));
    if (!counts) return Fail(counts.error());
    count = 0;
    for (const auto& [status, number] : counts->enrollments) count += number;
    return {};
  });
}

inline std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// Lets the rest of the scope run without the rights of root, whom no folder mode stops.
class WithoutRoot {
 public:
  WithoutRoot() : was_root_(geteuid() == 0) {
    if (was_root_) REQUIRE(seteuid(65534) == 0);
  }
  WithoutRoot(const WithoutRoot&) = delete;
  WithoutRoot& operator=(const WithoutRoot&) = delete;
  ~WithoutRoot() {
    if (was_root_ && seteuid(0) != 0) std::abort();
  }

 private:
  const bool was_root_;
};

/// Bounds the size of files that this process writes, as a full disk would.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    signal(SIGXFSZ, SIG_IGN);
    REQUIRE(getrlimit(RLIMIT_FSIZE, &before_) == 0);
    const rlimit limit{bytes, before_.rlim_max};
    REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() {
    if (setrlimit(RLIMIT_FSIZE, &before_) != 0) std::abort();
  }

 private:
  rlimit before_{};
};

}  // namespace director::store_test
