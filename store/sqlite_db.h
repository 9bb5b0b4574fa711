#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"

struct sqlite3;
struct sqlite3_stmt;

namespace director {

class SqliteDb;

/// A prepared statement in use. Parameters are bound in order with `Bind`; then `Next` for each
/// row, or `Run`. The first error sticks: later calls do nothing and `Finish` returns it. Goes back
/// to the connection's cache when destroyed. Not thread-safe.
class SqliteStatement {
 public:
  SqliteStatement(const SqliteStatement&) = delete;
  SqliteStatement& operator=(const SqliteStatement&) = delete;
  ~SqliteStatement();

  SqliteStatement& Bind(std::int64_t value);
  SqliteStatement& Bind(std::string_view text);
  SqliteStatement& Bind(Timestamp at) { return Bind(ToUnixMs(at)); }
  SqliteStatement& Bind(std::optional<Timestamp> at) { return at ? Bind(*at) : BindNull(); }
  SqliteStatement& Bind(std::optional<bool> flag) {
    return flag ? Bind(std::int64_t{*flag}) : BindNull();
  }
  SqliteStatement& BindFlag(bool flag) { return Bind(std::int64_t{flag}); }
  SqliteStatement& BindBlob(std::string_view bytes);
  SqliteStatement& BindNull();
  template <typename Tag>
  SqliteStatement& Bind(const StrongId<Tag>& id) {
    return Bind(std::string_view(id.value()));
  }

  /// Moves to the next row; false at the end and after an error.
  bool Next();
  /// OK, or the first error of binding and stepping.
  Status Finish() const;
  /// Runs to the end and returns `Finish`.
  Status Run();

  bool IsNull(int column) const;
  std::int64_t Int(int column) const;
  /// Valid until the next step.
  std::string_view Text(int column) const;
  std::string_view ColumnName(int column) const;

 private:
  friend class SqliteDb;
  SqliteStatement(SqliteDb& db, sqlite3_stmt* stmt, bool* in_use, int prepare_code);
  void Take(int code);

  SqliteDb& db_;
  sqlite3_stmt* stmt_;  ///< null when it could not be prepared
  bool* in_use_;        ///< null when it is not cached
  int next_parameter_ = 1;
  std::optional<Error> failure_;
};

enum class SqliteRole { kWriter, kReader };
enum class SqliteLock { kDeferred, kImmediate };

/// One connection. Used by one thread at a time.
///
/// SQLite's codes become: kInvalid (a constraint refused a value), kUnavailable (all else: full
/// disk, read-only, locked, damaged file). A damaged file is not kCorrupt: it is no single row that
/// could be set aside. The detail for the log names the file.
class SqliteDb {
 public:
  /// Opens the file (it must exist; `:memory:` is empty) and sets the pragmas. kInvalid for a file
  /// that is no database or cannot be used; the message does not name it.
  static Result<std::unique_ptr<SqliteDb>> Open(const std::string& path, SqliteRole role);

  SqliteDb(const SqliteDb&) = delete;
  SqliteDb& operator=(const SqliteDb&) = delete;
  ~SqliteDb();

  /// `sql` is one statement and must outlive the connection unchanged: a named constant, for it is
  /// known again by its address.
  SqliteStatement Use(const char* sql);
  /// Runs a script without parameters or rows.
  Status Execute(const std::string& script);

  /// Waits at most `wait_max` for another process that writes.
  Status Begin(SqliteLock lock, std::chrono::milliseconds wait_max);
  /// Refused, with the first error, when any statement since `Begin` failed, even if the caller
  /// went on. On failure the transaction is still to be rolled back.
  Status Commit();
  /// Ends a transaction if there is one.
  void Rollback();

  /// Rows that the last INSERT, UPDATE or DELETE touched.
  std::int64_t changes() const;

 private:
  friend class SqliteStatement;
  struct Cached {
    sqlite3_stmt* stmt = nullptr;
    bool in_use = false;
  };

  SqliteDb(std::string path, sqlite3* handle) : path_(std::move(path)), handle_(handle) {}
  Status Configure(const std::string& path, SqliteRole role);
  Status SwitchToWal();
  Status TrySwitchToWal();
  Error Note(int code);

  const std::string path_;
  sqlite3* handle_;
  std::unordered_map<const char*, Cached> cache_;
  std::optional<Error> failure_;
  int last_failure_code_ = 0;
};

/// Rolls back at the end of its scope whatever was not committed.
class SqliteRollbackGuard {
 public:
  explicit SqliteRollbackGuard(SqliteDb& db) : db_(db) {}
  SqliteRollbackGuard(const SqliteRollbackGuard&) = delete;
  SqliteRollbackGuard& operator=(const SqliteRollbackGuard&) = delete;
  ~SqliteRollbackGuard() { db_.Rollback(); }

 private:
  SqliteDb& db_;
};

}  // namespace director
