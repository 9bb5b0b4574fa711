// What statements cost: the plans of the hot paths.
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/postgres_stores.h"
#include "tests/support/wait_for.h"

namespace director::store_postgres_plans_test {
namespace {

using store_test::At;
using store_test::CutConnections;
using store_test::MakeCommit;
using store_test::MakeDevice;
using store_test::MakeIntent;
using store_test::MakeItem;
using store_test::MakeProposal;
using store_test::MakeRevision;
using store_test::Open;
using store_test::PostgresDatabase;

}  // namespace

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
  // The server counts a table as small as that of the leases last.
  database.Execute("ANALYZE schedule");
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
  REQUIRE(store->Read([](StoreReader& reader) -> Status {
    const auto next = reader.NextDueAt();
    if (!next) return Fail(next.error());
    CHECK(*next == At(0));
    return {};
  }));
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
  CHECK(test::WaitFor([&] { return vacuums() == "1"; }));
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
      done = writer.RecordDispatch({{id, CommandUuid("NEW"), IntentState::kUnknown, ""}}, At(14));
    }
    if (!done) return done;
    const Result<bool> is_in_time = writer.EndLease(store_test::LeaseOf("NEW"));
    if (!is_in_time) return Fail(is_in_time.error());
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
  REQUIRE(store->ReadOnce([&](StoreReader& reader) -> Status {
    const auto quiet = reader.FindQuiet({id}, At(-1), At(1'000));
    return quiet ? Status() : Fail(quiet.error());
  }));
  CutConnections(database);
  CHECK(scans() == before);
}

}  // namespace director::store_postgres_plans_test
