#pragma once

#include <atomic>
#include <cstdlib>
#include <pqxx/pqxx>
#include <stdexcept>
#include <string>

#include "store/postgres_store.h"
#include "tests/support/catch.h"

namespace director::test {

/// A schema of its own on the server that tests/support/with_postgres.py started; gone afterwards.
/// Throws when there is no server: these tests are never skipped.
class PostgresDatabase {
 public:
  PostgresDatabase() : schema_("test_" + std::to_string(++count_)) {
    Execute("CREATE SCHEMA " + schema_);
  }
  PostgresDatabase(const PostgresDatabase&) = delete;
  PostgresDatabase& operator=(const PostgresDatabase&) = delete;
  ~PostgresDatabase() {
    try {
      Execute("DROP SCHEMA " + schema_ + " CASCADE");
    } catch (const std::exception& failure) {
      WARN("the schema of the test stays: " << failure.what());
    }
  }

  std::string url() const { return ServerUrl() + "?options=-csearch_path%3D" + schema_; }
  PostgresSettings settings() const { return {url(), nullptr, 8}; }

  /// Runs statements beside the store; returns the first value of the last one.
  std::string Execute(const std::string& sql) const {
    return Execute(sql, [] {});
  }

  /// The same; calls `meanwhile` before the end of the transaction, while it holds its locks.
  template <typename Meanwhile>
  std::string Execute(const std::string& sql, const Meanwhile& meanwhile) const {
    pqxx::connection connection(ServerUrl());
    pqxx::work transaction(connection);
    transaction.exec("SET LOCAL search_path = " + schema_);
    transaction.exec("SET LOCAL client_min_messages = error");
    const pqxx::result result = transaction.exec(sql);
    meanwhile();
    transaction.commit();
    return result.empty() ? std::string() : result[0][0].c_str();
  }

 private:
  static std::string ServerUrl() {
    const char* url = std::getenv("DIRECTOR_TEST_POSTGRES");
    if (url == nullptr) {
      throw std::runtime_error("DIRECTOR_TEST_POSTGRES is not set: start through with_postgres.py");
    }
    return url;
  }

  static inline std::atomic<int> count_{0};
  std::string schema_;
};

}  // namespace director::test
