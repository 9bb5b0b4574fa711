#include <atomic>
#include <chrono>
#include <condition_variable>
#include <fstream>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "store/migrations.h"
#include "store/postgres_store.h"
#include "tests/contract/store_fixture.h"

namespace director::store_postgres_test {
namespace {

using store_test::At;
using store_test::MakeAssignment;
using store_test::MakeCommit;
using store_test::MakeDevice;
using store_test::MakeIntent;
using store_test::MakeItem;
using store_test::MakeRevision;
using test::PostgresDatabase;

std::unique_ptr<Store> Open(const PostgresDatabase& database) {
  auto opened = OpenPostgresStore(database.settings());
  INFO((opened ? std::string() : ErrorForLog(opened.error())));
  REQUIRE(opened);
  return std::move(*opened);
}

Status Save(Store& store, const std::string& id) {
  return store.Write([&](StoreWriter& writer) { return writer.SaveEnrollments({MakeDevice(id)}); });
}

std::size_t CountKnown(Store& store, const std::vector<EnrollmentId>& ids) {
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
void CutConnections(const PostgresDatabase& database) {
  database.Execute(
      "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
      "WHERE pid <> pg_backend_pid() AND application_name = 'director'");
}

}  // namespace

TEST_CASE("both dialects have the same numbers for the same steps") {
  const auto& sqlite = SqliteMigrations();
  const auto& postgres = PostgresMigrations();
  REQUIRE(sqlite.size() == postgres.size());
  for (std::size_t i = 0; i < sqlite.size(); ++i) {
    CHECK(sqlite[i].number == postgres[i].number);
    CHECK(sqlite[i].name == postgres[i].name);
  }
}

TEST_CASE("directors that start together bring the schema up to date once") {
  const PostgresDatabase database;
  Meeting start(6);
  std::atomic<int> opened{0};
  std::vector<std::thread> directors;
  for (int i = 0; i < 6; ++i) {
    directors.emplace_back([&] {
      start.Arrive();
      if (OpenPostgresStore(database.settings())) ++opened;
    });
  }
  for (std::thread& director : directors) director.join();
  CHECK(opened == 6);
  CHECK(database.Execute("SELECT count(*) FROM schema_migrations") ==
        std::to_string(PostgresMigrations().size()));
}

TEST_CASE("a schema from the future is refused, one of the same version is left alone") {
  const PostgresDatabase database;
  Open(database);
  Open(database);
  database.Execute("INSERT INTO schema_migrations VALUES (9999, 'future', 1)");
  const auto refused = OpenPostgresStore(database.settings());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::kInvalid);
  CHECK(refused.error().message.find("9999") != std::string::npos);
}

TEST_CASE("a server that is not there is named in one line, and no password with it") {
  PostgresSettings settings;
  settings.url = "postgresql://nobody@127.0.0.1:1/none";
  settings.password = []() -> Result<Secret> { return Secret("SECRET-word"); };
  const auto opened = OpenPostgresStore(settings);
  REQUIRE_FALSE(opened);
  CHECK(opened.error().kind == ErrorKind::kUnavailable);
  CHECK(opened.error().message.find('\n') == std::string::npos);
  CHECK(ErrorForLog(opened.error()).find("SECRET-word") == std::string::npos);
}

TEST_CASE("of several servers each one says why it cannot be used") {
  PostgresSettings settings;
  settings.url = "postgresql://nobody@127.0.0.1:1,127.0.0.1:2/none";
  const auto opened = OpenPostgresStore(settings);
  REQUIRE_FALSE(opened);
  const std::string& message = opened.error().message;
  CHECK(message.find("port 1 failed") != std::string::npos);
  CHECK(message.find("port 2 failed") != std::string::npos);
  CHECK(message.find('\n') == std::string::npos);
}

TEST_CASE("the password is asked for each connection") {
  const PostgresDatabase database;
  int asked = 0;
  PostgresSettings settings = database.settings();
  settings.password = [&]() -> Result<Secret> {
    ++asked;
    return Secret("word'with\\quotes" + std::to_string(asked));
  };
  auto store = OpenPostgresStore(settings);
  REQUIRE(store);
  REQUIRE(Save(**store, "A"));
  const int before = asked;
  CutConnections(database);
  REQUIRE(Save(**store, "B"));
  CHECK(asked > before);
  settings.password = []() -> Result<Secret> {
    return Fail(ErrorKind::kInvalid, "the file is empty");
  };
  CHECK(OpenPostgresStore(settings).error().message == "the file is empty");
}

TEST_CASE("a text with a zero byte is refused, not cut") {
  const PostgresDatabase database;
  const auto store = Open(database);
  Enrollment device = MakeDevice("A");
  device.device_name = std::string("a\0b", 3);
  const Status done =
      store->Write([&](StoreWriter& writer) { return writer.SaveEnrollments({device}); });
  REQUIRE_FALSE(done);
  CHECK(done.error().kind == ErrorKind::kInvalid);
  CHECK(CountKnown(*store, {EnrollmentId("A")}) == 0);
}

TEST_CASE("a database that was away is used again without a restart") {
  const PostgresDatabase database;
  const auto store = Open(database);
  // As many connections as may be, all lost.
  Meeting all(8);
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      static_cast<void>(store->Read([&](StoreReader&) -> Status {
        all.Arrive();
        return {};
      }));
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(Save(*store, "A"));
  CutConnections(database);
  REQUIRE(Save(*store, "B"));
  CHECK(CountKnown(*store, {EnrollmentId("A"), EnrollmentId("B")}) == 2);
}

TEST_CASE("a transaction whose connection is lost begins anew, one that was told of is there") {
  const PostgresDatabase database;
  const auto store = Open(database);
  int runs = 0;
  const Status done = store->Write([&](StoreWriter& writer) -> Status {
    if (Status saved = writer.SaveEnrollments({MakeDevice("A" + std::to_string(runs))}); !saved)
      return saved;
    if (++runs == 1) CutConnections(database);
    return writer.SaveEnrollments({MakeDevice("B")});
  });
  REQUIRE(done);
  CHECK(runs == 2);
  CHECK(CountKnown(*store, {EnrollmentId("A0"), EnrollmentId("A1"), EnrollmentId("B")}) == 2);
}

TEST_CASE("no change is lost when two directors hear of one enrollment at the same time") {
  const PostgresDatabase database;
  const auto first = Open(database);
  const auto second = Open(database);
  const bool is_known = GENERATE(false, true);
  if (is_known) REQUIRE(Save(*first, "A"));
  constexpr int kRounds = 20;
  const auto count_up = [](Store& store) {
    for (int i = 0; i < kRounds; ++i) {
      const Status done = store.Write([](StoreWriter& writer) -> Status {
        const EnrollmentId id("A");
        auto known = writer.LoadEnrollments({id});
        if (!known) return Fail(known.error());
        Enrollment device = known->empty() ? MakeDevice("A") : known->front();
        ++device.epoch;
        return writer.SaveEnrollments({device});
      });
      if (!done) return;
    }
  };
  std::thread other([&] { count_up(*second); });
  count_up(*first);
  other.join();
  CHECK(database.Execute("SELECT epoch FROM enrollments") ==
        std::to_string(MakeDevice("A").epoch + 2 * kRounds));
}

TEST_CASE(
    "an enrollment that appears while another one is waited for is locked before it is read") {
  const PostgresDatabase database;
  const auto store = Open(database);
  REQUIRE(Save(*store, "A"));
  pqxx::connection other(database.url());
  pqxx::work holding(other);
  holding.exec("SELECT 1 FROM schedule WHERE enrollment_id = 'A' FOR UPDATE");
  std::thread writer([&] {
    const Status done = store->Write([&](StoreWriter& facts) -> Status {
      const auto known = facts.LoadEnrollments({EnrollmentId("A"), EnrollmentId("B")});
      if (!known) return Fail(known.error());
      CHECK(known->size() == 2);
      CHECK_THROWS_AS(database.Execute("SELECT enrollment_id FROM schedule WHERE "
                                       "enrollment_id = 'B' FOR UPDATE NOWAIT"),
                      pqxx::sql_error);
      return {};
    });
    CHECK(done);
  });
  while (database.Execute("SELECT count(*) FROM pg_locks WHERE NOT granted") == "0") {
    std::this_thread::yield();
  }
  for (const std::string table : {"enrollments", "schedule"}) {
    holding.exec("CREATE TEMP TABLE of_b AS SELECT * FROM " + table);
    holding.exec("UPDATE of_b SET enrollment_id = 'B'");
    holding.exec("INSERT INTO " + table + " SELECT * FROM of_b");
    holding.exec("DROP TABLE of_b");
  }
  holding.commit();
  writer.join();
}

TEST_CASE("of two sources that claim one assignment at the same time one is refused") {
  const PostgresDatabase database;
  const auto first = Open(database);
  const auto second = Open(database);
  REQUIRE(first->Write([](StoreWriter& writer) -> Status {
    const auto saved = writer.SaveRevision(MakeRevision("UUID-1", "com.example.wifi"));
    if (!saved) return Fail(saved.error());
    return {};
  }));
  std::atomic<int> accepted{0};
  Meeting start(2);
  const auto assign = [&](Store& store, const std::string& source) {
    start.Arrive();
    const Status done = store.Write([&](StoreWriter& writer) -> Status {
      const auto existing = writer.ListAssignments(PayloadIdentifier("com.example.wifi"));
      if (!existing) return Fail(existing.error());
      if (!existing->empty()) return Fail(ErrorKind::kConflict, "belongs to another source");
      Assignment assignment = MakeAssignment("com.example.wifi", "UUID-1");
      assignment.source = source;
      const auto saved = writer.SaveAssignment(assignment, At(1));
      if (!saved) return Fail(saved.error());
      return {};
    });
    if (done) ++accepted;
  };
  std::thread other([&] { assign(*second, "puppet"); });
  assign(*first, "ci");
  other.join();
  CHECK(accepted == 1);
}

TEST_CASE("an assignment concerns the enrollment that is being created meanwhile") {
  const PostgresDatabase database;
  const auto first = Open(database);
  const auto second = Open(database);
  std::mutex mutex;
  std::condition_variable changed;
  bool is_assigned = false;
  std::thread other;
  REQUIRE(first->Write([&](StoreWriter& writer) -> Status {
    const auto known = writer.LoadEnrollments({EnrollmentId("NEW")});
    if (!known) return Fail(known.error());
    other = std::thread([&] {
      static_cast<void>(second->Write([](StoreWriter& assigning) -> Status {
        const auto saved = assigning.SaveAssignment(MakeAssignment("com.example.wifi", ""), At(-5));
        if (!saved) return Fail(saved.error());
        return {};
      }));
      const std::lock_guard lock(mutex);
      is_assigned = true;
      changed.notify_all();
    });
    std::unique_lock lock(mutex);
    // It must not come to its end before this transaction.
    CHECK_FALSE(
        changed.wait_for(lock, std::chrono::milliseconds(300), [&] { return is_assigned; }));
    return writer.SaveEnrollments({MakeDevice("NEW")});
  }));
  other.join();
  CHECK(database.Execute("SELECT due_at FROM schedule") == std::to_string(ToUnixMs(At(-5))));
}

TEST_CASE("two directors never claim one enrollment") {
  const PostgresDatabase database;
  const auto first = Open(database);
  const auto second = Open(database);
  REQUIRE(first->Write([](StoreWriter& writer) {
    std::vector<Enrollment> devices;
    for (int i = 0; i < 500; ++i) devices.push_back(MakeDevice("D" + std::to_string(i)));
    return writer.SaveEnrollments(devices);
  }));
  std::mutex mutex;
  std::multiset<EnrollmentId> claimed;
  const auto claim_all = [&](Store& store) {
    for (bool more = true; more;) {
      std::vector<Claim> claims;
      const Status done = store.Write([&](StoreWriter& writer) -> Status {
        auto found = writer.ClaimDue(At(10), 7);
        if (!found) return Fail(found.error());
        claims = std::move(*found);
        std::vector<PlanCommit> commits;
        for (const Claim& claim : claims) commits.push_back(MakeCommit(claim, At(900)));
        return writer.CommitPlans(commits, At(600), At(10));
      });
      more = done && !claims.empty();
      const std::lock_guard lock(mutex);
      for (const Claim& claim : claims) claimed.insert(claim.enrollment_id);
    }
  };
  std::thread other([&] { claim_all(*second); });
  claim_all(*first);
  other.join();
  CHECK(claimed.size() == 500);
  CHECK(std::set<EnrollmentId>(claimed.begin(), claimed.end()).size() == 500);
}

TEST_CASE("transactions that lock each other out begin anew and both succeed") {
  const PostgresDatabase database;
  const auto store = Open(database);
  REQUIRE(Save(*store, "A"));
  REQUIRE(Save(*store, "B"));
  Meeting both_hold(2);
  std::atomic<int> runs{0};
  const auto mark = [&](const std::string& one, const std::string& other) {
    return store->Write([&](StoreWriter& writer) -> Status {
      if (Status done = writer.MarkDue({{EnrollmentId(one), At(-1)}}); !done) return done;
      if (++runs <= 2) both_hold.Arrive();
      return writer.MarkDue({{EnrollmentId(other), At(-1)}});
    });
  };
  Status other_done;
  std::thread other([&] { other_done = mark("B", "A"); });
  const Status done = mark("A", "B");
  other.join();
  INFO((done ? "" : ErrorForLog(done.error()))
       << (other_done ? "" : ErrorForLog(other_done.error())));
  CHECK(done);
  CHECK(other_done);
  CHECK(runs >= 3);
}

TEST_CASE("a transaction that is not answered in time is given up, the next one succeeds") {
  const PostgresDatabase database;
  PostgresSettings settings = database.settings();
  settings.transaction_max = std::chrono::milliseconds(500);
  const auto store = OpenPostgresStore(settings);
  REQUIRE(store);
  REQUIRE(Save(**store, "A"));
  const auto began_at = std::chrono::steady_clock::now();
  std::chrono::steady_clock::duration took{};
  database.Execute("SELECT 1 FROM schedule FOR UPDATE", [&] {
    const Status done = Save(**store, "A");
    took = std::chrono::steady_clock::now() - began_at;
    REQUIRE_FALSE(done);
    CHECK(done.error().kind == ErrorKind::kUnavailable);
  });
  // Eight attempts, and not the ten seconds that the server would wait for the lock.
  CHECK(took < std::chrono::seconds(9));
  CHECK(Save(**store, "A"));
}

TEST_CASE("no more connections are opened than may be; who needs one waits") {
  const PostgresDatabase database;
  PostgresSettings settings = database.settings();
  settings.connections_max = 1;
  const auto store = OpenPostgresStore(settings);
  REQUIRE(store);
  std::atomic<int> at_once{0};
  std::atomic<int> most{0};
  std::vector<std::thread> threads;
  std::atomic<int> succeeded{0};
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&, i] {
      const Status done = (*store)->Write([&](StoreWriter& writer) {
        most = std::max(most.load(), ++at_once);
        Status saved = writer.SaveEnrollments({MakeDevice("D" + std::to_string(i))});
        --at_once;
        return saved;
      });
      if (done) ++succeeded;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(succeeded == 6);
  CHECK(most == 1);
}

TEST_CASE("no hot path reads a whole table") {
  const PostgresDatabase database;
  const auto store = Open(database);
  REQUIRE(store->Write([](StoreWriter& writer) -> Status {
    std::vector<Enrollment> devices;
    for (int i = 0; i < 3000; ++i) devices.push_back(MakeDevice("D" + std::to_string(i)));
    if (Status done = writer.SaveEnrollments(devices); !done) return done;
    if (auto saved = writer.SaveRevision(MakeRevision("UUID-1", "com.example.wifi")); !saved)
      return Fail(saved.error());
    return {};
  }));
  std::vector<Claim> claims;
  REQUIRE(store->Write([&](StoreWriter& writer) -> Status {
    auto found = writer.ClaimDue(At(10), 3000);
    if (!found) return Fail(found.error());
    std::vector<PlanCommit> commits;
    for (const Claim& claim : *found) {
      PlanCommit commit = MakeCommit(claim, At(100'000));
      commit.plan.items = {MakeItem("com.example.wifi"), MakeItem("com.example.vpn")};
      commits.push_back(std::move(commit));
    }
    if (Status done = writer.CommitPlans(commits, At(600), At(11)); !done) return done;
    std::vector<std::pair<EnrollmentId, Intent>> intents;
    for (const Claim& claim : *found) {
      intents.emplace_back(claim.enrollment_id, MakeIntent("C-" + claim.enrollment_id.value()));
    }
    if (Status done = writer.SaveIntents(intents); !done) return done;
    std::vector<std::pair<EnrollmentId, ProfileListReport>> reports;
    for (const Claim& claim : *found) {
      ProfileListReport report;
      report.profiles.push_back(
          {PayloadIdentifier(claim.enrollment_id.value()), "U", "", false, false});
      reports.emplace_back(claim.enrollment_id, report);
    }
    return writer.SaveReports(reports, At(11));
  }));
  database.Execute("ANALYZE");
  const auto scans = [&] {
    return database.Execute(
        "SELECT string_agg(relname || ' ' || seq_scan, ', ' ORDER BY relname) "
        "FROM pg_stat_user_tables WHERE schemaname = current_schema() AND relname IN "
        "('enrollments', 'schedule', 'items', 'intents', 'reports', 'report_bodies')");
  };
  // The statistics of a session are there for others when it has ended.
  CutConnections(database);
  const std::string before = scans();
  const EnrollmentId id("D77");
  REQUIRE(store->Write([&](StoreWriter& writer) -> Status {
    auto known = writer.LoadEnrollments({id});
    if (!known) return Fail(known.error());
    auto intents = writer.LoadIntents({{id, CommandUuid("C-D77")}});
    if (!intents) return Fail(intents.error());
    Status done = writer.SaveEnrollments(*known);
    if (done) done = writer.SaveIntents(*intents);
    ProfileListReport report;
    report.reported_at = At(12);
    if (done) done = writer.SaveReports({{id, report}}, At(12));
    if (done) done = writer.MarkDue({{id, At(12)}});
    if (!done) return done;
    auto claimed = writer.ClaimDue(At(12), 100);
    if (!claimed) return Fail(claimed.error());
    CHECK(claimed->size() == 1);
    auto snapshot = writer.LoadSnapshot(id);
    if (!snapshot) return Fail(snapshot.error());
    PlanCommit commit = MakeCommit(claimed->at(0), At(900));
    commit.items_before = snapshot->items;
    commit.plan.items = {MakeItem("com.example.wifi", ItemState::kVerified)};
    store_test::AddCommand(commit, {"ProfileList", {}, {}, "asked"}, "NEW");
    commit.plan.closed = {{CommandUuid("C-D77"), IntentState::kLost, "gone"}};
    done = writer.CommitPlans({commit}, At(700), At(13));
    if (done) {
      done = writer.RecordDispatch({{id, CommandUuid("NEW"), IntentState::kSent, ""}}, At(14));
    }
    if (done) done = writer.EndLeases({id}, At(700));
    if (!done) return done;
    const auto next = writer.NextDueAt();
    if (!next) return Fail(next.error());
    const auto named = writer.FindEnrollments("snd77");
    if (!named) return Fail(named.error());
    CHECK(named->size() == 1);
    return {};
  }));
  CutConnections(database);
  CHECK(scans() == before);
}

}  // namespace director::store_postgres_test
