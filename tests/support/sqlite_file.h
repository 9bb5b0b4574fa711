#pragma once

#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "store/sqlite_store.h"
#include "tests/contract/store_fixture.h"

namespace director::store_test {

/// A connection beside the store, for looking and for breaking things.
class RawDb {
 public:
  explicit RawDb(const std::string& path) {
    REQUIRE(sqlite3_open(path.c_str(), &db_) == SQLITE_OK);
  }
  RawDb(const RawDb&) = delete;
  RawDb& operator=(const RawDb&) = delete;
  ~RawDb() { sqlite3_close(db_); }

  void Execute(const std::string& sql) {
    INFO(sql);
    REQUIRE(sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
  }
  /// The first column of every row.
  std::vector<std::string> Column(const std::string& sql) {
    INFO(sql);
    sqlite3_stmt* statement = nullptr;
    REQUIRE(sqlite3_prepare_v2(db_, sql.c_str(), -1, &statement, nullptr) == SQLITE_OK);
    std::vector<std::string> rows;
    while (sqlite3_step(statement) == SQLITE_ROW) {
      const unsigned char* text = sqlite3_column_text(statement, 0);
      rows.emplace_back(text == nullptr ? "" : reinterpret_cast<const char*>(text));
    }
    sqlite3_finalize(statement);
    return rows;
  }
  std::string Value(const std::string& sql) {
    const auto rows = Column(sql);
    REQUIRE(rows.size() == 1);
    return rows[0];
  }

 private:
  sqlite3* db_ = nullptr;
};

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
