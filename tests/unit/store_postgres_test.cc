// Several directors on one database: locks, claims, plans.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
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
using store_test::CutConnections;
using store_test::MakeAssignment;
using store_test::MakeCommit;
using store_test::MakeDevice;
using store_test::MakeIntent;
using store_test::MakeItem;
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

TEST_CASE("a claim looks at no more than it takes, though few were due when rows were counted") {
  constexpr int kDevices = 3'000;
  constexpr int kDueBefore = 20;
  const PostgresDatabase database;
  const auto store = Open(database);
  std::map<EnrollmentId, Timestamp> due_at;
  REQUIRE(store->Write([&](StoreWriter& writer) {
    std::vector<Enrollment> devices;
    for (int i = 0; i < kDevices; ++i) {
      devices.push_back(MakeDevice("D" + std::to_string(i)));
      devices.back().last_seen_at =
          i % (kDevices / kDueBefore) == 0 ? At(0) : At(100'000 + i * 7919 % kDevices);
      due_at.emplace(devices.back().channel.enrollment_id, At(1));
    }
    return writer.SaveEnrollments(devices);
  }));
  database.Execute("ANALYZE");
  const auto claim = [&](std::size_t limit) {
    std::size_t claimed = 0;
    REQUIRE(store->Write([&](StoreWriter& writer) -> Status {
      const auto claims = writer.ClaimDue(At(1), limit);
      if (!claims) return Fail(claims.error());
      claimed = claims->size();
      return {};
    }));
    return claimed;
  };
  CHECK(claim(200) == kDueBefore);
  REQUIRE(store->Write([&](StoreWriter& writer) { return writer.MarkDue(due_at); }));
  CHECK(claim(200) == 200);
  CutConnections(database);
  const std::string read = database.Execute(
      "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'schedule_due'");
  CHECK(std::stoi(read) >= kDueBefore + 200);
  CHECK(std::stoi(read) < kDueBefore + 2 * 200);
}

TEST_CASE("what was claimed is cleaned from the index of due times") {
  const PostgresDatabase database;
  const auto store = Open(database);
  REQUIRE(store->Write([](StoreWriter& writer) {
    std::vector<Enrollment> devices;
    for (int i = 0; i < 1'000; ++i) devices.push_back(MakeDevice("D" + std::to_string(i)));
    return writer.SaveEnrollments(devices);
  }));
  // A server before version 15 tells it a moment later.
  const auto vacuums = [&] {
    return database.Execute(
        "SELECT vacuum_count FROM pg_stat_user_tables WHERE relname = 'schedule'");
  };
  for (int i = 0; i < 10; ++i) {
    REQUIRE(store->Write([](StoreWriter& writer) -> Status {
      const auto claims = writer.ClaimDue(At(10), 1'000);
      return claims ? Status() : Fail(claims.error());
    }));
  }
  CHECK(director_test::WaitFor([&] { return vacuums() == "1"; }));
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
  std::vector<EnrollmentId> claims;
  REQUIRE(store->Write([&](StoreWriter& writer) -> Status {
    auto found = writer.ClaimDue(At(10), 3000);
    if (!found) return Fail(found.error());
    std::vector<PlanCommit> commits;
    for (const EnrollmentId& id : *found) {
      PlanCommit commit = MakeCommit(id, At(100'000));
      commit.plan.items = {MakeItem("com.example.wifi"), MakeItem("com.example.vpn")};
      commits.push_back(std::move(commit));
    }
    if (Status done = writer.CommitPlans(commits, At(600), At(11)); !done) return done;
    std::vector<std::pair<EnrollmentId, Intent>> intents;
    for (const EnrollmentId& id : *found) {
      intents.emplace_back(id, MakeIntent("C-" + id.value()));
    }
    if (Status done = writer.SaveIntents(intents); !done) return done;
    for (const EnrollmentId& id : *found) {
      const bool is_open = id.value().back() == '7';
      if (!is_open && id.value().back() != '8') continue;
      Proposal proposal = MakeProposal(id.value(), At(100'000));
      if (!is_open) proposal.state = ProposalState::kDone;
      if (auto added = writer.AddProposal(proposal, {}); !added) return Fail(added.error());
    }
    std::vector<std::pair<EnrollmentId, ProfileListReport>> reports;
    for (const EnrollmentId& id : *found) {
      ProfileListReport report;
      report.profiles.push_back({PayloadIdentifier(id.value()), "U", "", false, false});
      reports.emplace_back(id, report);
    }
    return writer.SaveReports(reports, At(11));
  }));
  database.Execute("ANALYZE");
  const auto scans = [&] {
    return database.Execute(
        "SELECT string_agg(relname || ' ' || seq_scan, ', ' ORDER BY relname) "
        "FROM pg_stat_user_tables WHERE schemaname = current_schema() AND relname IN "
        "('enrollments', 'schedule', 'items', 'intents', 'reports', 'report_bodies', "
        "'proposals')");
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
    REQUIRE(snapshot->proposal);
    commit.proposal_before = snapshot->proposal;
    commit.plan.proposal = snapshot->proposal;
    commit.plan.proposal->state = ProposalState::kDone;
    commit.plan.items = {MakeItem("com.example.wifi", ItemState::kVerified)};
    store_test::AddCommand(commit, {"ProfileList", {}, {}, "asked"}, "NEW");
    commit.plan.closed = {{CommandUuid("C-D77"), IntentState::kLost, "gone"}};
    done = writer.CommitPlans({commit}, At(700), At(13));
    if (done) {
      done = writer.RecordDispatch({{id, CommandUuid("NEW"), IntentState::kSent, ""}}, At(14));
    }
    if (done) done = writer.EndLeases({id}, At(700));
    if (!done) return done;
    const auto added = writer.AddProposal(MakeProposal(id.value(), At(100'001)), {});
    if (!added) return Fail(added.error());
    auto proposal = writer.LoadProposal(*added);
    if (!proposal) return Fail(proposal.error());
    if (done = writer.SaveProposal(*proposal); !done) return done;
    const auto proposed = writer.CountProposalsSince(At(100'000));
    if (!proposed) return Fail(proposed.error());
    CHECK(*proposed == 1);
    for (const bool only_open : {false, true}) {
      const auto page = writer.ListProposals({.enrollment_id = id, .only_open = only_open}, {});
      if (!page) return Fail(page.error());
      CHECK(page->size() == (only_open ? 1 : 2));
    }
    const auto next = writer.NextDueAt();
    if (!next) return Fail(next.error());
    const auto named = writer.FindEnrollments("snd77");
    if (!named) return Fail(named.error());
    CHECK(named->size() == 1);
    for (const auto filter : {IntentFilter::kAll, IntentFilter::kOpen, IntentFilter::kFailed}) {
      const auto page = writer.ListIntents(filter, {id, CommandUuid("C-D77")}, 5);
      if (!page) return Fail(page.error());
      CHECK(page->empty() == (filter == IntentFilter::kFailed));
    }
    return {};
  }));
  CutConnections(database);
  CHECK(scans() == before);
}

}  // namespace director::store_postgres_test
