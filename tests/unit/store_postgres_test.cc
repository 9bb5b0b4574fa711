// Several directors on one database: locks and claims.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/director_parts.h"
#include "tests/support/postgres_stores.h"

namespace director::store_postgres_test {
namespace {

using store_test::At;
using store_test::CountKnown;
using store_test::MakeAssignment;
using store_test::MakeCommit;
using store_test::MakeDevice;
using store_test::MakeProposal;
using store_test::MakeRevision;
using store_test::Meeting;
using store_test::Open;
using store_test::PostgresDatabase;
using store_test::Save;

/// A step of what changed for everybody, and no claim.
Status Spread(Store& store) {
  return store.Write([](StoreWriter& writer) -> Status {
    const auto none = writer.ClaimDue(At(0), 0);
    return none ? Status() : Fail(none.error());
  });
}

}  // namespace

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
      const auto existing =
          writer.ListAssignments({.payload_identifier = PayloadIdentifier("com.example.wifi")});
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

TEST_CASE("two that look at enrollments and then assign do not wait for each other") {
  const PostgresDatabase database;
  const auto first = Open(database);
  const auto second = Open(database);
  REQUIRE(
      first->Write([](StoreWriter& writer) { return writer.SaveEnrollments({MakeDevice("A")}); }));
  std::atomic<int> runs{0};
  Meeting start(2);
  // Assertions are for one thread.
  const auto assign = [&](Store& store, const char* target) {
    start.Arrive();
    return store.Write([&](StoreWriter& writer) -> Status {
      ++runs;
      if (Status locked = writer.LockDesired(); !locked) return locked;
      const auto known = writer.LoadEnrollments({EnrollmentId("A")});
      if (!known) return Fail(known.error());
      Assignment assignment = MakeAssignment("com.example.wifi", "", target);
      const auto saved = writer.SaveAssignment(assignment, At(1));
      if (!saved) return Fail(saved.error());
      return {};
    });
  };
  Status of_other;
  std::thread other([&] { of_other = assign(*second, "B"); });
  const Status own = assign(*first, "C");
  other.join();
  CHECK(own);
  CHECK(of_other);
  CHECK(runs == 2);
}

TEST_CASE("of two that propose for one device at the same time one is refused") {
  const PostgresDatabase database;
  const auto first = Open(database);
  const auto second = Open(database);
  REQUIRE(Save(*first, "A"));
  std::atomic<int> accepted{0};
  std::atomic<int> refused{0};
  Meeting start(2);
  const auto propose = [&](Store& store) {
    start.Arrive();
    const Status done = store.Write([](StoreWriter& writer) -> Status {
      const auto added = writer.AddProposal(MakeProposal("A"), {});
      if (!added) return Fail(added.error());
      return {};
    });
    if (done) ++accepted;
    if (!done && done.error().kind == ErrorKind::kConflict) ++refused;
  };
  std::thread other([&] { propose(*second); });
  propose(*first);
  other.join();
  CHECK(accepted == 1);
  CHECK(refused == 1);
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
  CHECK(Spread(*first));
  CHECK(database.Execute("SELECT due_at FROM schedule") == std::to_string(ToUnixMs(At(-5))));
}

TEST_CASE("a change for all reaches who is being decided about, and writes no row that is due") {
  const PostgresDatabase database;
  const auto store = Open(database);
  REQUIRE(Save(*store, "A"));
  REQUIRE(Save(*store, "B"));
  database.Execute("UPDATE schedule SET due_at = 1");
  const std::string place_of_b = "SELECT ctid FROM schedule WHERE enrollment_id = 'B'";
  const std::string before = database.Execute(place_of_b);
  pqxx::connection other(database.url());
  pqxx::work deciding(other);
  deciding.exec("SELECT 1 FROM schedule WHERE enrollment_id = 'A' FOR UPDATE");
  // Whoever assigns waits for nobody.
  REQUIRE(store->Write([](StoreWriter& writer) -> Status {
    Assignment assignment;
    assignment.payload_identifier = PayloadIdentifier("com.example.all");
    assignment.presence = Presence::kAbsent;
    assignment.source = "test";
    const auto saved = writer.SaveAssignment(assignment, At(100));
    return saved ? Status() : Fail(saved.error());
  }));
  std::thread worker([&] { CHECK(Spread(*store)); });
  while (database.Execute("SELECT count(*) FROM pg_locks WHERE NOT granted") == "0") {
    std::this_thread::yield();
  }
  // The decision has not seen the assignment, and nothing is due for long.
  deciding.exec("UPDATE schedule SET due_at = 9999999999999 WHERE enrollment_id = 'A'");
  deciding.commit();
  worker.join();
  CHECK(database.Execute("SELECT due_at FROM schedule WHERE enrollment_id = 'A'") ==
        std::to_string(ToUnixMs(At(100))));
  CHECK(database.Execute(place_of_b) == before);
}

TEST_CASE(
    "directors that spread changes for everybody at the same time never lock each other out") {
  const PostgresDatabase database;
  const auto first = Open(database);
  const auto second = Open(database);
  REQUIRE(first->Write([](StoreWriter& writer) {
    std::vector<Enrollment> devices;
    for (int i = 0; i < 2 * kSpreadMax; ++i) devices.push_back(MakeDevice("D" + std::to_string(i)));
    return writer.SaveEnrollments(devices);
  }));
  std::atomic<bool> is_over{false};
  std::atomic<int> failures{0};
  std::thread other([&] {
    while (!is_over) failures += Spread(*second) ? 0 : 1;
  });
  for (int i = 0; i < 20; ++i) {
    CHECK(first->Write([&](StoreWriter& writer) -> Status {
      const auto saved = writer.SaveAssignment(MakeAssignment("com.example.wifi", ""), At(-5));
      return saved ? Status() : Fail(saved.error());
    }));
    CHECK(Spread(*first));
  }
  is_over = true;
  other.join();
  CHECK(failures == 0);
  for (int i = 0; i < 10; ++i) CHECK(Spread(*first));
  CHECK(database.Execute("SELECT count(*) FROM fleet_changes") == "0");
  CHECK(database.Execute("SELECT DISTINCT due_at FROM schedule") ==
        std::to_string(ToUnixMs(At(-5))));
  CHECK(database.Execute("SELECT deadlocks FROM pg_stat_database "
                         "WHERE datname = current_database()") == "0");
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
      std::vector<EnrollmentId> claims;
      const Status done = store.Write([&](StoreWriter& writer) -> Status {
        auto found = writer.ClaimDue(At(10), 7);
        if (!found) return Fail(found.error());
        claims = std::move(*found);
        std::vector<PlanCommit> commits;
        for (const EnrollmentId& id : claims) commits.push_back(MakeCommit(id, At(900)));
        return writer.CommitPlans(commits, At(600), At(10));
      });
      more = done && !claims.empty();
      const std::lock_guard lock(mutex);
      for (const EnrollmentId& id : claims) claimed.insert(id);
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

}  // namespace director::store_postgres_test
