#pragma once

#include <sqlite3.h>

#include <string>
#include <vector>

#include "tests/support/catch.h"

namespace director::test {

/// A connection to a SQLite file beside the store, for looking and for breaking things.
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

}  // namespace director::test
