#include "store/sqlite_store.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "store/migrations.h"
#include "store/sqlite_db.h"
#include "store/sqlite_migrate.h"
#include "store/sqlite_reader.h"
#include "store/sqlite_writer.h"

namespace director {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

constexpr std::chrono::milliseconds kWriterWaitMax = std::chrono::seconds(10);
constexpr int kReaders = 4;
constexpr const char* kInMemory = ":memory:";

/// Connections that wait to be used. Thread-safe.
class SqlitePool {
 public:
  /// A connection for one thread until the end of the scope.
  class Loan {
   public:
    Loan(SqlitePool& pool, std::unique_ptr<SqliteDb> db) : pool_(pool), db_(std::move(db)) {}
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    ~Loan() {
      if (db_ != nullptr) pool_.Add(std::move(db_));
    }
    SqliteDb* db() const { return db_.get(); }

   private:
    SqlitePool& pool_;
    std::unique_ptr<SqliteDb> db_;
  };

  void Add(std::unique_ptr<SqliteDb> db) {
    {
      const std::lock_guard lock(mutex_);
      free_.push_back(std::move(db));
    }
    freed_.notify_one();
  }

  /// Waits for a connection; the loan is empty when none came free in time.
  Loan Borrow(SteadyTime deadline) {
    std::unique_lock lock(mutex_);
    if (!freed_.wait_until(lock, deadline, [&] { return !free_.empty(); })) return {*this, nullptr};
    std::unique_ptr<SqliteDb> db = std::move(free_.back());
    free_.pop_back();
    return {*this, std::move(db)};
  }

 private:
  std::mutex mutex_;
  std::condition_variable freed_;
  std::vector<std::unique_ptr<SqliteDb>> free_;
};

std::chrono::milliseconds Remaining(SteadyTime deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      deadline - std::chrono::steady_clock::now());
  return std::max(left, std::chrono::milliseconds(0));
}

class SqliteStore final : public Store {
 public:
  SqliteStore(std::unique_ptr<SqliteDb> writer, std::vector<std::unique_ptr<SqliteDb>> readers)
      : reads_by_writer_(readers.empty()) {
    writer_.Add(std::move(writer));
    for (std::unique_ptr<SqliteDb>& reader : readers) readers_.Add(std::move(reader));
  }

  Status Write(const std::function<Status(StoreWriter&)>& body) override {
    const SteadyTime deadline = std::chrono::steady_clock::now() + kWriterWaitMax;
    const SqlitePool::Loan loan = writer_.Borrow(deadline);
    if (loan.db() == nullptr) return TooBusy();
    SqliteDb& db = *loan.db();
    if (Status begun = db.Begin(SqliteLock::kImmediate, Remaining(deadline)); !begun) return begun;
    const SqliteRollbackGuard guard(db);
    SqliteWriter writer(db);
    if (Status done = body(writer); !done) return done;
    return db.Commit();
  }

  Status Read(const std::function<Status(StoreReader&)>& body) override {
    const SteadyTime deadline = std::chrono::steady_clock::now() + kWriterWaitMax;
    const SqlitePool::Loan loan = (reads_by_writer_ ? writer_ : readers_).Borrow(deadline);
    if (loan.db() == nullptr) return TooBusy();
    SqliteDb& db = *loan.db();
    if (Status begun = db.Begin(SqliteLock::kDeferred, Remaining(deadline)); !begun) return begun;
    const SqliteRollbackGuard guard(db);
    SqliteReader reader(db);
    return body(reader);
  }

  Status ReadOnce(const std::function<Status(StoreReader&)>& body) override { return Read(body); }

 private:
  static Status TooBusy() {
    return Fail(ErrorKind::kUnavailable, "the database was busy for too long");
  }

  const bool reads_by_writer_;  ///< a database in memory belongs to one connection
  SqlitePool writer_;
  SqlitePool readers_;
};

/// Creates the file for its owner alone (serial numbers, names and profiles are in it); SQLite
/// gives its side files the same mode. A file that exists is not opened here: closing it would drop
/// the locks of a store that this process has open on it.
Status CreateFile(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (file >= 0) {
    ::close(file);
    return {};
  }
  const int reason = errno;
  if (reason == EEXIST) return {};
  return Fail(ErrorKind::kInvalid, fmt::format("cannot be used as the database: {}",
                                               std::generic_category().message(reason)));
}

/// SQLite takes a write-ahead log with a foreign header for an empty one and writes over it; what
/// was committed last would be gone without a word. Zeros and a short file are what a power cut may
/// leave of a log in which nothing was committed yet. Source: SQLite's WAL file format.
Status CheckWriteAheadLog(const std::string& path) {
  constexpr std::size_t kHeaderSize = 32;
  constexpr std::string_view kMagic = "\x37\x7f\x06";
  std::string header(kHeaderSize, '\0');
  std::ifstream file(path + "-wal", std::ios::binary);
  if (!file.read(header.data(), static_cast<std::streamsize>(header.size()))) return {};
  const bool is_empty = header.find_first_not_of('\0') == std::string::npos;
  if (is_empty || header.starts_with(kMagic)) return {};
  return Fail(ErrorKind::kInvalid,
              "the file with -wal at the end of its name is damaged, and what was written last was "
              "in it: restore a backup, or move that file away to go on without it");
}

/// An absolute name: SQLite would read a relative one such as `file:x` as a URI.
Result<std::string> ResolvePath(const std::string& path) {
  if (path == kInMemory) return path;
  std::error_code failed;
  const std::string absolute = std::filesystem::absolute(path, failed).string();
  if (failed) return Fail(ErrorKind::kInvalid, failed.message());
  if (Status created = CreateFile(absolute); !created) return Fail(created.error());
  if (Status usable = CheckWriteAheadLog(absolute); !usable) return Fail(usable.error());
  return absolute;
}

/// The errors do not name the file.
Result<std::unique_ptr<Store>> OpenFile(const std::string& path) {
  const Result<std::string> resolved = ResolvePath(path);
  if (!resolved) return Fail(resolved.error());
  Result<std::unique_ptr<SqliteDb>> writer = SqliteDb::Open(*resolved, SqliteRole::kWriter);
  if (!writer) return Fail(writer.error());
  const Timestamp now = SystemClock().Now();
  if (Status done = MigrateSqlite(**writer, SqliteMigrations(), now); !done) {
    return Fail(done.error());
  }
  std::vector<std::unique_ptr<SqliteDb>> readers;
  for (int i = 0; i < kReaders && *resolved != kInMemory; ++i) {
    Result<std::unique_ptr<SqliteDb>> reader = SqliteDb::Open(*resolved, SqliteRole::kReader);
    if (!reader) return Fail(reader.error());
    readers.push_back(std::move(*reader));
  }
  return std::unique_ptr<Store>(
      std::make_unique<SqliteStore>(std::move(*writer), std::move(readers)));
}

}  // namespace

Result<std::unique_ptr<Store>> OpenSqliteStore(const std::string& path) {
  if (path.empty()) return Fail(ErrorKind::kInvalid, "the database needs a file name");
  Result<std::unique_ptr<Store>> store = OpenFile(path);
  if (store) return store;
  Error error = store.error();
  error.message = fmt::format("{}: {}", path, error.message);
  return Fail(std::move(error));
}

}  // namespace director
