#include "store/postgres_store.h"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/log_keys.h"
#include "store/connection_watch.h"
#include "store/postgres_connect.h"
#include "store/postgres_reader.h"
#include "store/postgres_writer.h"

namespace director {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

constexpr std::chrono::milliseconds kWaitMax = std::chrono::seconds(10);
/// How often a transaction begins anew when another one was in its way or its connection was lost.
constexpr int kAttemptsMax = 8;

/// At most so many connections, opened when they are needed. Thread-safe.
class PostgresPool {
 public:
  explicit PostgresPool(PostgresSettings settings) : settings_(std::move(settings)) {}

  /// A connection for one thread until the end of the scope; gone when it is no good any more.
  class Loan {
   public:
    Loan(PostgresPool& pool, std::unique_ptr<PostgresConnection> connection)
        : pool_(&pool), connection_(std::move(connection)) {}
    Loan(Loan&& other) noexcept
        : pool_(std::exchange(other.pool_, nullptr)), connection_(std::move(other.connection_)) {}
    Loan& operator=(Loan&&) = delete;
    ~Loan() {
      if (pool_ != nullptr) pool_->TakeBack(std::move(connection_));
    }
    PostgresConnection& connection() { return *connection_; }
    void Drop() { connection_.reset(); }

   private:
    PostgresPool* pool_;
    std::unique_ptr<PostgresConnection> connection_;
  };

  /// Closes those that nobody uses: when one is lost, the others are as a rule.
  void CloseIdle() {
    std::vector<std::unique_ptr<PostgresConnection>> idle;
    {
      const std::lock_guard lock(mutex_);
      open_ -= free_.size();
      idle.swap(free_);
    }
    freed_.notify_all();
  }

  /// From now on no connection keeps prepared statements.
  void StopPreparing() {
    if (prepares_.exchange(false)) {
      Log(LogLevel::kWarning,
          "prepared statements do not stay with the connection, as behind a pooler: none any more");
    }
    CloseIdle();
  }

  Result<Loan> Borrow(SteadyTime deadline) {
    {
      std::unique_lock lock(mutex_);
      const auto is_free = [&] { return !free_.empty() || open_ < settings_.connections_max; };
      if (!freed_.wait_until(lock, deadline, is_free)) {
        return Fail(ErrorKind::kUnavailable, "the database was busy for too long");
      }
      if (!free_.empty()) {
        std::unique_ptr<PostgresConnection> connection = std::move(free_.back());
        free_.pop_back();
        return Loan(*this, std::move(connection));
      }
      ++open_;
    }
    Result<std::unique_ptr<pqxx::connection>> connection = Connect(settings_);
    if (connection)
      return Loan(*this, std::make_unique<PostgresConnection>(std::move(*connection), prepares_));
    TakeBack(nullptr);
    return Fail(connection.error());
  }

 private:
  void TakeBack(std::unique_ptr<PostgresConnection> connection) {
    {
      const std::lock_guard lock(mutex_);
      if (connection != nullptr && connection->is_usable() && connection->prepares() == prepares_) {
        free_.push_back(std::move(connection));
      } else {
        --open_;
      }
    }
    freed_.notify_one();
  }

  const PostgresSettings settings_;
  std::mutex mutex_;
  std::condition_variable freed_;
  std::size_t open_ = 0;
  std::vector<std::unique_ptr<PostgresConnection>> free_;
  std::atomic<bool> prepares_ = true;
};

/// Everything that holds for one transaction alone goes out with its beginning. A director that
/// stopped or was cut off in the middle of a transaction does not stop the others for long: between
/// two statements one only computes. Plans are kept: one that was made while a table was small must
/// not read all of it when it has grown, and one that was made while nobody was due must not sort
/// everybody who is.
constexpr const char* kBeginWrite =
    "BEGIN; SET LOCAL lock_timeout = '10s'; "
    "SET LOCAL idle_in_transaction_session_timeout = '5s'; "
    "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL jit = off";
constexpr const char* kBeginRead =
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
    "SET LOCAL idle_in_transaction_session_timeout = '5s'; "
    "SET LOCAL enable_seqscan = off; SET LOCAL jit = off";

/// The only statement of a message is a transaction of its own with what is set before it.
constexpr const char* kReadOnceSettings = "SET LOCAL enable_seqscan = off";

/// Rolled back at the end of the scope unless it was committed. Not pqxx::work, which sends the
/// beginning, the isolation level and our settings one after the other.
class OpenTransaction {
 public:
  OpenTransaction(PostgresConnection& connection, const char* begin)
      : connection_(connection), session_(connection.connection()) {
    session_.exec(begin);
    is_open_ = true;
  }
  ~OpenTransaction() {
    if (!is_open_) return;
    try {
      session_.exec("ROLLBACK");
    } catch (const std::exception&) {
      connection_.SetBroken();  // whatever the reason: the next one opens a connection
    }
  }
  OpenTransaction(const OpenTransaction&) = delete;
  OpenTransaction& operator=(const OpenTransaction&) = delete;

  void Commit() {
    is_open_ = false;
    session_.exec("COMMIT");
  }
  pqxx::transaction_base& session() { return session_; }

 private:
  PostgresConnection& connection_;
  pqxx::nontransaction session_;
  bool is_open_ = false;
};

/// How one attempt at a transaction ended.
struct Attempt {
  Status done;
  bool is_conflict = false;       ///< another transaction was in its way
  bool is_lost = false;           ///< the connection is gone
  bool is_other_session = false;  ///< what was prepared is not there
  bool is_committing = false;     ///< nobody knows the outcome when the connection is lost now
};

/// A claim begins where the index of due times does and walks over what was claimed before, until a
/// vacuum has been: the server's own comes once a minute at most, which is 4 ms a claim in the
/// middle of a look at 100,000 devices. It waits for nobody and locks nobody out.
constexpr std::size_t kVacuumAfterClaims = 10'000;
constexpr const char* kVacuumSchedule =
    "VACUUM (SKIP_LOCKED, INDEX_CLEANUP ON, TRUNCATE OFF) schedule";

class PostgresStore final : public Store {
 public:
  explicit PostgresStore(const PostgresSettings& settings)
      : pool_(settings), watch_(settings.transaction_max) {}

  Status Write(const std::function<Status(StoreWriter&)>& body) override {
    std::size_t claimed = 0;
    Status ended = Repeat([&](PostgresConnection& connection, Attempt& attempt) {
      OpenTransaction transaction(connection, kBeginWrite);
      PostgresTransaction db(connection, transaction.session());
      PostgresWriter writer(db);
      Status done = body(writer);
      if (done) done = writer.Finish();
      TakeOutcome(std::move(done), db, attempt);
      if (!attempt.done) return;
      attempt.is_committing = true;
      transaction.Commit();
      claimed = writer.claimed();
    });
    if (claimed > 0) VacuumAfter(claimed);
    return ended;
  }

  Status Read(const std::function<Status(StoreReader&)>& body) override {
    return Repeat([&](PostgresConnection& connection, Attempt& attempt) {
      ReadIn(connection, body, attempt);
    });
  }

  Status ReadOnce(const std::function<Status(StoreReader&)>& body) override {
    return Repeat([&](PostgresConnection& connection, Attempt& attempt) {
      if (!connection.prepares() || !knows_names_) return ReadIn(connection, body, attempt);
      pqxx::nontransaction session(connection.connection());
      PostgresTransaction db(connection, session, kReadOnceSettings);
      PostgresReader reader(db);
      TakeOutcome(body(reader), db, attempt);
      if (!attempt.is_other_session) return;
      // Another attempt, which shows whether prepared statements are of any use here.
      knows_names_ = false;
      attempt.is_other_session = false;
      attempt.is_conflict = true;
    });
  }

 private:
  using Transaction = std::function<void(PostgresConnection&, Attempt&)>;

  static void ReadIn(PostgresConnection& connection,
                     const std::function<Status(StoreReader&)>& body, Attempt& attempt) {
    OpenTransaction transaction(connection, kBeginRead);
    PostgresTransaction db(connection, transaction.session());
    PostgresReader reader(db);
    TakeOutcome(body(reader), db, attempt);
  }

  /// A statement that failed decides, whatever the body made of it.
  static void TakeOutcome(Status done, const PostgresTransaction& db, Attempt& attempt) {
    attempt.done = std::move(done);
    if (!db.failure()) return;
    attempt.is_conflict = db.failure()->kind == ErrorKind::kConflict;
    attempt.is_lost = db.is_lost();
    attempt.is_other_session = db.is_other_session();
    attempt.done = Fail(*db.failure());
  }

  /// Runs `transaction` until it succeeds, fails for good, or was in the way of others too often.
  /// One that lost its connection begins anew, as nothing of it was committed; but not when that
  /// was lost during the commit.
  Status Repeat(const Transaction& transaction) {
    const SteadyTime deadline = std::chrono::steady_clock::now() + kWaitMax;
    Status done = Fail(ErrorKind::kUnavailable, "the database was busy for too long");
    for (int i = 0; i < kAttemptsMax && std::chrono::steady_clock::now() < deadline; ++i) {
      Attempt attempt = TryOnce(transaction, deadline);
      const bool may_repeat = attempt.is_conflict || attempt.is_other_session ||
                              (attempt.is_lost && !attempt.is_committing);
      if (attempt.done || !may_repeat) return attempt.done;
      done = std::move(attempt.done);
    }
    Error error = done.error();
    error.kind = ErrorKind::kUnavailable;
    return Fail(std::move(error));
  }

  Attempt TryOnce(const Transaction& transaction, SteadyTime deadline) {
    Attempt attempt;
    Result<PostgresPool::Loan> loan = pool_.Borrow(deadline);
    if (!loan) {
      attempt.done = Fail(loan.error());
      return attempt;
    }
    try {
      const ConnectionWatch::Scope watched(watch_, loan->connection().connection().sock());
      transaction(loan->connection(), attempt);
    } catch (const pqxx::failure& failure) {
      const Error error = DescribePostgres(failure);
      attempt.is_conflict = error.kind == ErrorKind::kConflict;
      attempt.is_lost = IsLost(failure);
      attempt.done = Fail(error);
    }
    if (attempt.is_other_session) pool_.StopPreparing();
    // A server that cannot be used may have become a standby: the next connection looks again.
    const bool is_bad = !attempt.done && attempt.done.error().kind == ErrorKind::kUnavailable;
    attempt.is_lost = attempt.is_lost || !loan->connection().is_usable();
    if (is_bad || attempt.is_lost) loan->Drop();
    if (attempt.is_lost) pool_.CloseIdle();
    return attempt;
  }

  /// Whether it succeeds is the next one's matter.
  void VacuumAfter(std::size_t claimed) {
    if ((claims_ += claimed) < kVacuumAfterClaims) return;
    claims_ = 0;
    const Status done = Repeat([&](PostgresConnection& connection, Attempt&) {
      pqxx::nontransaction(connection.connection()).exec(kVacuumSchedule);
    });
    if (done) return;
    Log(LogLevel::kWarning, "the index of due times could not be cleaned",
        {{log_key::kError, ErrorForLog(done.error())}});
  }

  PostgresPool pool_;
  ConnectionWatch watch_;
  /// A statement is known by its name in SQL, too. A pooler may keep prepared statements under
  /// names of its own.
  std::atomic<bool> knows_names_ = true;
  std::atomic<std::size_t> claims_ = 0;  ///< since the last vacuum
};

}  // namespace

bool IsPostgresUrl(const std::string& database) {
  return database.starts_with("postgresql://") || database.starts_with("postgres://");
}

Result<std::unique_ptr<Store>> OpenPostgresStore(const PostgresSettings& settings) {
  Result<std::unique_ptr<pqxx::connection>> connection = Connect(settings);
  if (!connection) return Fail(connection.error());
  const Status migrated = MigratePostgres(std::move(*connection), SystemClock().Now());
  if (!migrated) return Fail(migrated.error());
  return std::unique_ptr<Store>(std::make_unique<PostgresStore>(settings));
}

}  // namespace director
