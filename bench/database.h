#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "bench/bench.h"
#include "store/store.h"

namespace director::bench {

/// A database of the bench's own: a new one on the PostgreSQL server that the options name, or a
/// SQLite file. Gone afterwards.
class Database {
 public:
  static Result<std::unique_ptr<Database>> Create(const Options& options);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  bool is_postgres() const { return !server_url_.empty(); }
  /// `PostgreSQL` or `SQLite`, for the lines.
  std::string kind() const { return is_postgres() ? "PostgreSQL" : "SQLite"; }
  /// A PostgreSQL URL or the file's path.
  const std::string& url() const { return url_; }
  Result<std::unique_ptr<Store>> Open() const;

  /// The floor for everything that has to be on disk. PostgreSQL: transactions per second of
  /// `pgbench -N` with 32 clients, which comes with the server; its tables are small (scale 10).
  /// SQLite: commits of one row by one connection, `synchronous=FULL`.
  Result<double> CommitsPerSecond(double seconds);
  /// What that floor is called.
  std::string commits_name() const {
    return is_postgres() ? "pgbench -N, 32 clients/s" : "one-row commits/s";
  }

  /// Brings what the planner knows up to date, as autovacuum does by and by.
  Status Analyze() const;
  /// Seconds to read a table's rows as text (PostgreSQL: `COPY ... TO STDOUT`).
  Result<double> ReadTables(const std::vector<std::string>& tables) const;

 private:
  Database() = default;

  Scratch scratch_;
  std::string server_url_;
  std::string name_;
  std::string url_;
  bool has_floor_tables_ = false;
};

}  // namespace director::bench
