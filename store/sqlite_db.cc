#include "store/sqlite_db.h"

#include <fmt/core.h>
#include <sqlite3.h>

#include <cerrno>
#include <chrono>
#include <system_error>
#include <utility>

#include "base/invariant.h"
#include "base/text.h"

namespace director {
namespace {

constexpr std::size_t kMessageSizeMaxBytes = 300;

constexpr int kOpenWaitMaxMs = 10'000;
constexpr int kSwitchPauseMs = 5;

constexpr const char* kBeginDeferred = "BEGIN DEFERRED";
constexpr const char* kBeginImmediate = "BEGIN IMMEDIATE";
constexpr const char* kCommit = "COMMIT";
constexpr const char* kRollback = "ROLLBACK";

/// Readers get smaller caches: there are several of them, and the process must stay small.
constexpr const char* kPragmas =
    "PRAGMA synchronous = FULL;"
    "PRAGMA foreign_keys = ON;"
    "PRAGMA trusted_schema = OFF;"
    "PRAGMA cell_size_check = ON;"
    "PRAGMA secure_delete = FAST;"
    "PRAGMA journal_size_limit = 67108864;"
    "PRAGMA mmap_size = 0;"
    "PRAGMA temp_store = MEMORY;";
constexpr const char* kWriterPragmas = "PRAGMA cache_size = -16384;";
constexpr const char* kReaderPragmas = "PRAGMA cache_size = -4096; PRAGMA query_only = ON;";

/// What the system said, where SQLite only says that it said something.
std::string SystemReason(int code, int system_error) {
  const int primary = code & 0xff;
  if (system_error == 0 || (primary != SQLITE_IOERR && primary != SQLITE_CANTOPEN)) return {};
  return ": " + std::generic_category().message(system_error);
}

Error Describe(int code, std::string_view text, int system_error) {
  switch (code & 0xff) {
    case SQLITE_CONSTRAINT:
      return MakeError(ErrorKind::kInvalid, fmt::format("the database refuses a value: {}", text));
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return MakeError(ErrorKind::kUnavailable,
                       fmt::format("the database file is damaged ({}): stop Director, then restore "
                                   "a backup or recover the file",
                                   text));
    case SQLITE_FULL:
      return MakeError(ErrorKind::kUnavailable, "the disk of the database is full");
    case SQLITE_READONLY:
      return MakeError(ErrorKind::kUnavailable, "the database is read-only");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return MakeError(ErrorKind::kUnavailable, "the database is in use by another process");
    default:
      return MakeError(
          ErrorKind::kUnavailable,
          fmt::format("the database cannot be used: {}{}", text, SystemReason(code, system_error)));
  }
}

/// What the operator has to mend before a start can succeed.
bool IsBadFile(int code) {
  switch (code & 0xff) {
    case SQLITE_NOTADB:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return true;
    default:
      return false;
  }
}

/// SQLite counts its memory under a lock that all connections share; nobody reads the count.
/// Source: SQLite's documentation of SQLITE_CONFIG_MEMSTATUS.
void LeaveMemoryUncounted() {
  static const int once = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  static_cast<void>(once);
}

}  // namespace

SqliteStatement::SqliteStatement(SqliteDb& db, sqlite3_stmt* stmt, bool* in_use, int prepare_code)
    : db_(db), stmt_(stmt), in_use_(in_use) {
  if (in_use_ != nullptr) *in_use_ = true;
  Take(prepare_code);
}

SqliteStatement::~SqliteStatement() {
  if (in_use_ == nullptr) {
    sqlite3_finalize(stmt_);
    return;
  }
  sqlite3_reset(stmt_);
  *in_use_ = false;
}

void SqliteStatement::Take(int code) {
  if (code == SQLITE_OK || failure_) return;
  failure_ = db_.Note(code);
}

SqliteStatement& SqliteStatement::Bind(std::int64_t value) {
  if (!failure_) Take(sqlite3_bind_int64(stmt_, next_parameter_++, value));
  return *this;
}

SqliteStatement& SqliteStatement::Bind(std::string_view text) {
  if (failure_) return *this;
  // A view without bytes may have no address, and SQLite would take that for NULL.
  const char* data = text.empty() ? "" : text.data();
  Take(sqlite3_bind_text64(stmt_, next_parameter_++, data, text.size(), SQLITE_TRANSIENT,
                           SQLITE_UTF8));
  return *this;
}

SqliteStatement& SqliteStatement::BindBlob(std::string_view bytes) {
  if (failure_) return *this;
  const char* data = bytes.empty() ? "" : bytes.data();
  Take(sqlite3_bind_blob64(stmt_, next_parameter_++, data, bytes.size(), SQLITE_TRANSIENT));
  return *this;
}

SqliteStatement& SqliteStatement::BindNull() {
  if (!failure_) Take(sqlite3_bind_null(stmt_, next_parameter_++));
  return *this;
}

bool SqliteStatement::Next() {
  if (failure_) return false;
  INVARIANT(next_parameter_ == sqlite3_bind_parameter_count(stmt_) + 1);
  errno = 0;
  const int code = sqlite3_step(stmt_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) Take(code);
  return false;
}

Status SqliteStatement::Finish() const {
  if (failure_) return Fail(*failure_);
  return {};
}

Status SqliteStatement::Run() {
  while (Next()) {
  }
  return Finish();
}

bool SqliteStatement::IsNull(int column) const {
  return sqlite3_column_type(stmt_, column) == SQLITE_NULL;
}

std::int64_t SqliteStatement::Int(int column) const { return sqlite3_column_int64(stmt_, column); }

std::string_view SqliteStatement::Text(int column) const {
  // Works for text and blobs alike; the size must be asked for after the bytes.
  const void* bytes = sqlite3_column_blob(stmt_, column);
  if (bytes == nullptr) return {};
  return {static_cast<const char*>(bytes),
          static_cast<std::size_t>(sqlite3_column_bytes(stmt_, column))};
}

std::string_view SqliteStatement::ColumnName(int column) const {
  const char* name = sqlite3_column_name(stmt_, column);
  return name == nullptr ? std::string_view() : name;
}

Result<std::unique_ptr<SqliteDb>> SqliteDb::Open(const std::string& path, SqliteRole role) {
  LeaveMemoryUncounted();
  sqlite3* handle = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  if (handle == nullptr) return Fail(ErrorKind::kUnavailable, "not enough memory for the database");
  std::unique_ptr<SqliteDb> db(new SqliteDb(path, handle));
  Status done;
  if (code == SQLITE_OK) {
    done = db->Configure(path, role);
  } else {
    done = Fail(db->Note(code));
  }
  if (done) return db;
  Error error = done.error();
  if (IsBadFile(db->last_failure_code_)) {
    error.kind = ErrorKind::kInvalid;
    error.message =
        fmt::format("cannot be used as the database: {}",
                    Printable(sqlite3_errstr(db->last_failure_code_ & 0xff), kMessageSizeMaxBytes));
  }
  return Fail(std::move(error));
}

SqliteDb::~SqliteDb() {
  for (const auto& [sql, cached] : cache_) sqlite3_finalize(cached.stmt);
  sqlite3_close(handle_);
}

Status SqliteDb::Configure(const std::string& path, SqliteRole role) {
  sqlite3_extended_result_codes(handle_, 1);
  sqlite3_busy_timeout(handle_, kOpenWaitMaxMs);
  if (Status done = Execute(kPragmas); !done) return done;
  if (path != ":memory:" && role == SqliteRole::kWriter) {
    if (Status done = SwitchToWal(); !done) return done;
  }
  return Execute(role == SqliteRole::kWriter ? kWriterPragmas : kReaderPragmas);
}

/// SQLite's own waiting does not help two processes that switch a new file at the same moment: each
/// reads what the other one wants to write, and both are refused at once.
Status SqliteDb::SwitchToWal() {
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::milliseconds(kOpenWaitMaxMs);
  while (true) {
    Status done = TrySwitchToWal();
    const bool is_busy = !done && (last_failure_code_ & 0xff) == SQLITE_BUSY;
    if (!is_busy || std::chrono::steady_clock::now() >= deadline) return done;
    failure_.reset();
    sqlite3_sleep(kSwitchPauseMs);
  }
}

Status SqliteDb::TrySwitchToWal() {
  SqliteStatement statement = Use("PRAGMA journal_mode = WAL");
  if (!statement.Next()) return statement.Finish();
  if (statement.Text(0) == "wal") return {};
  return Fail(ErrorKind::kInvalid, "the folder of the database does not support shared memory");
}

SqliteStatement SqliteDb::Use(const char* sql) {
  Cached& cached = cache_[sql];
  bool* in_use = cached.in_use ? nullptr : &cached.in_use;
  sqlite3_stmt* stmt = in_use != nullptr ? cached.stmt : nullptr;
  int code = SQLITE_OK;
  if (stmt == nullptr) {
    const unsigned flags = in_use != nullptr ? SQLITE_PREPARE_PERSISTENT : 0;
    code = sqlite3_prepare_v3(handle_, sql, -1, flags, &stmt, nullptr);
    if (in_use != nullptr) cached.stmt = stmt;
  }
  return SqliteStatement(*this, stmt, in_use, code);
}

Status SqliteDb::Execute(const std::string& script) {
  errno = 0;
  const int code = sqlite3_exec(handle_, script.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return Fail(Note(code));
  return {};
}

Status SqliteDb::Begin(SqliteLock lock, std::chrono::milliseconds wait_max) {
  failure_.reset();
  sqlite3_busy_timeout(handle_, static_cast<int>(wait_max.count()));
  return Use(lock == SqliteLock::kImmediate ? kBeginImmediate : kBeginDeferred).Run();
}

Status SqliteDb::Commit() {
  if (failure_) return Fail(*failure_);
  return Use(kCommit).Run();
}

void SqliteDb::Rollback() {
  // SQLite may have rolled back by itself after a serious error.
  if (sqlite3_get_autocommit(handle_) != 0) return;
  if (Status done = Use(kRollback).Run(); done) return;
  // Only a connection that cannot read its own journal gets here; nothing was committed all the
  // same.
  failure_ = MakeError(ErrorKind::kUnavailable, "the database cannot be rolled back");
}

std::int64_t SqliteDb::changes() const { return sqlite3_changes64(handle_); }

Error SqliteDb::Note(int code) {
  // SQLite does not keep the system's error of a COMMIT that failed.
  const int from_system = errno;
  const int kept = sqlite3_system_errno(handle_);
  const int system_error = kept != 0 ? kept : from_system;
  Error error =
      Describe(code, Printable(sqlite3_errmsg(handle_), kMessageSizeMaxBytes), system_error);
  error.detail = fmt::format("{}: SQLite code {}, system error {}", path_, code, system_error);
  last_failure_code_ = code;
  if (!failure_) failure_ = error;
  return error;
}

}  // namespace director
