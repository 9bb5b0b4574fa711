// The same random operations on every kind of store, side by side: each answers the same and ends
// with the same state.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "tests/contract/store_fixture.h"

namespace director::store_model_test {
namespace {

using std::chrono::seconds;
using store_test::At;
using store_test::MakeAssignment;
using store_test::MakeDevice;
using store_test::MakeIntent;
using store_test::MakeItem;
using store_test::MakeProposal;
using store_test::MakeRevision;
using store_test::MakeUser;
using store_test::StoreKind;
using store_test::TestStore;

constexpr int kWorlds = 10;
constexpr int kOperations = 80;
constexpr int kOperationsPerLook = 8;

/// What an operation does to a store; appends to the text what it was told.
using Operation = std::function<Status(StoreWriter&, std::string& told)>;

template <typename T>
Status Told(const Result<T>& result, std::string& told, const std::function<std::string(T)>& say) {
  if (!result) return Fail(result.error());
  told += say(*result) + "\n";
  return {};
}

std::string Say(const std::vector<EnrollmentId>& claims) {
  std::string text;
  for (const EnrollmentId& id : claims) {
    text += id.value() + "; ";
  }
  return text;
}

/// Makes operations that mostly make sense, and now and then none.
class Generator {
 public:
  explicit Generator(std::uint64_t seed) : random_(seed) {}

  Operation Next() {
    now_ += seconds(random_.Below(40));
    switch (random_.Below(17)) {
      case 0:
        return SaveEnrollments();
      case 1:
        return SaveIntents();
      case 2:
        return [ids = Ids(), now = now_](StoreWriter& writer, std::string&) {
          return writer.LoseOpenIntents(ids, now);
        };
      case 3:
        return SaveReports();
      case 4:
        return MarkDue();
      case 5:
      case 6:
        return ClaimAndCommit();
      case 7:
      case 8:
        return ClaimAndCommit();
      case 9:
        return EndLease();
      case 10:
        return Dispatch();
      case 11:
        return Desire();
      case 12:
        return Fallback();
      case 13:
      case 14:
        return Propose();
      case 15:
        return SaveProposal();
      default:
        return Broken();
    }
  }

 private:
  template <typename T, std::size_t N>
  const T& Any(const std::array<T, N>& all) {
    return all[random_.Below(N)];
  }
  bool Rarely() { return random_.Below(10) == 0; }

  EnrollmentId AnyId() {
    static const std::array<std::string, 6> kNames = {"A",     "b",          "C",
                                                      "Dev-1", "Dev-1:user", "nobody"};
    return EnrollmentId(kNames[random_.Below(Rarely() ? 6 : 5)]);
  }
  std::vector<EnrollmentId> Ids() {
    std::set<EnrollmentId> ids;
    for (std::uint64_t i = random_.Below(4); i > 0; --i) ids.insert(AnyId());
    return {ids.begin(), ids.end()};
  }
  CommandUuid AnyCommand() { return CommandUuid(fmt::format("C{}", random_.Below(12))); }
  std::string AnyItem() { return fmt::format("com.example.{}", random_.Below(3)); }
  Timestamp AnyTime() { return now_ + seconds(random_.Below(120)) - seconds(60); }

  Operation SaveEnrollments() {
    std::vector<Enrollment> enrollments;
    for (const EnrollmentId& id : Ids()) {
      const bool is_user = id.value().find(':') != std::string::npos;
      if (id.value() == "nobody") continue;
      Enrollment e = is_user ? MakeUser("Dev-1", "user") : MakeDevice(id.value());
      e.status = Any(std::array{EnrollmentStatus::kEnrolled, EnrollmentStatus::kAuthenticated,
                                EnrollmentStatus::kCheckedOut, EnrollmentStatus::kQuarantined});
      e.epoch = static_cast<std::int64_t>(random_.Below(3));
      e.device_name = Any(std::array<std::string, 4>{"", "It's \"Ben\"'s", "{NULL,\\}", "Zoë 💻"});
      e.last_seen_at = AnyTime();
      if (Rarely()) e.serial_number = "OTHER";
      if (Rarely()) e.report_wanted_at = AnyTime();
      if (Rarely()) e.is_supervised = random_.Below(2) == 0;
      if (Rarely()) {
        e.missing_step = kEnrollmentSteps[random_.Below(kEnrollmentSteps.size())];
        e.missing_since = AnyTime();
      }
      e.wants_wake = random_.Below(2) == 0;
      enrollments.push_back(std::move(e));
    }
    return [enrollments](StoreWriter& writer, std::string&) {
      return writer.SaveEnrollments(enrollments);
    };
  }

  Operation SaveIntents() {
    std::map<std::pair<EnrollmentId, CommandUuid>, Intent> intents;
    for (const EnrollmentId& id : Ids()) {
      Intent intent = MakeIntent(AnyCommand().value());
      intent.state =
          Any(std::array{IntentState::kJournaled, IntentState::kSent, IntentState::kNotNow,
                         IntentState::kAcknowledged, IntentState::kFailed, IntentState::kUnknown});
      intent.journaled_at = AnyTime();
      if (intent.state == IntentState::kFailed) intent.error = "No.";
      intents.emplace(std::pair(id, intent.command_uuid), intent);
    }
    std::vector<std::pair<EnrollmentId, Intent>> all;
    for (const auto& [key, intent] : intents) all.emplace_back(key.first, intent);
    return [all](StoreWriter& writer, std::string&) { return writer.SaveIntents(all); };
  }

  Operation SaveReports() {
    std::vector<std::pair<EnrollmentId, ProfileListReport>> reports;
    for (std::uint64_t i = random_.Below(4); i > 0; --i) {
      ProfileListReport report;
      report.epoch = static_cast<std::int64_t>(random_.Below(2));
      report.reported_at = AnyTime();
      if (Rarely()) report.reported_at += std::chrono::hours(24);
      if (random_.Below(2) == 0) report.asked_at = AnyTime();
      report.profiles.push_back({PayloadIdentifier(AnyItem()), "U", "", false, false});
      reports.emplace_back(AnyId(), report);
    }
    return [reports, now = now_](StoreWriter& writer, std::string&) {
      return writer.SaveReports(reports, now);
    };
  }

  Operation MarkDue() {
    std::map<EnrollmentId, Timestamp> due_at;
    for (const EnrollmentId& id : Ids()) due_at.emplace(id, AnyTime());
    return [due_at](StoreWriter& writer, std::string&) { return writer.MarkDue(due_at); };
  }

  Operation Propose() {
    Proposal proposal = MakeProposal(AnyId().value(), now_);
    proposal.kind = Any(kProposalKinds);
    proposal.repeats = random_.Below(2) == 0;
    proposal.expires_at = AnyTime();
    const std::string pin =
        random_.Below(2) == 0 ? "" : fmt::format("sealed {}", random_.Below(1'000'000));
    return [proposal, pin](StoreWriter& writer, std::string&) -> Status {
      if (Status locked = writer.LockDesired(); !locked) return locked;
      const Result<std::int64_t> id = writer.AddProposal(proposal, {pin, ""});
      if (!id) return Fail(id.error());
      return {};
    };
  }

  /// How a proposal may stand after a decision; everything else of it is left alone.
  Proposal AnyStanding() {
    Proposal proposal;
    proposal.state = Any(kProposalStates);
    proposal.explanation = Any(std::array<std::string, 2>{"It's \"sent\"", "{NULL,\\}"});
    proposal.state_since = AnyTime();
    if (Rarely()) proposal.escrowed_at = AnyTime();
    if (Rarely()) proposal.attempts = 3;
    if (Rarely()) proposal.last_error = "No.";
    if (Rarely()) proposal.next_attempt_at = AnyTime();
    if (Rarely()) proposal.acknowledged_at = AnyTime();
    if (Rarely()) proposal.command_uuid = CommandUuid("C");
    proposal.effect = Any(kProposalEffects);
    return proposal;
  }
  static Proposal WithStanding(Proposal proposal, const Proposal& standing) {
    proposal.state = standing.state;
    proposal.explanation = standing.explanation;
    proposal.state_since = standing.state_since;
    proposal.escrowed_at = standing.escrowed_at;
    proposal.attempts = standing.attempts;
    proposal.last_error = standing.last_error;
    proposal.next_attempt_at = standing.next_attempt_at;
    proposal.acknowledged_at = standing.acknowledged_at;
    proposal.effect = standing.effect;
    proposal.command_uuid = standing.command_uuid;
    return proposal;
  }

  /// The open one of an enrollment; now and then the oldest, which may be open again then.
  Operation SaveProposal() {
    const ProposalFilter filter = {.enrollment_id = AnyId(), .only_open = !Rarely()};
    return [filter, standing = AnyStanding()](StoreWriter& writer, std::string&) -> Status {
      const auto known = writer.LoadEnrollments({filter.enrollment_id});
      if (!known) return Fail(known.error());
      const auto listed = writer.ListProposals(filter, {"", 10});
      if (!listed) return Fail(listed.error());
      if (listed->empty()) return {};
      return writer.SaveProposal(WithStanding(listed->back(), standing));
    };
  }

  PlanCommit AnyPlan(const EnrollmentId& id) {
    PlanCommit commit = store_test::MakeCommit(id, AnyTime());
    commit.plan.push = random_.Below(2) == 0;
    commit.plan.wants_wake = random_.Below(2) == 0;
    std::set<std::string> identifiers;
    for (std::uint64_t i = random_.Below(3); i > 0; --i) identifiers.insert(AnyItem());
    for (const std::string& identifier : identifiers) {
      ItemRecord item =
          MakeItem(identifier, Any(std::array{ItemState::kVerified, ItemState::kParked,
                                              ItemState::kPending, ItemState::kBlocked}));
      item.parked = item.state == ItemState::kParked;
      item.state_since = AnyTime();
      if (Rarely()) item.next_attempt_at = AnyTime();
      commit.plan.items.push_back(std::move(item));
    }
    if (Rarely()) commit.plan.closed = {{AnyCommand(), IntentState::kLost, "gone"}};
    if (random_.Below(3) == 0) {
      PlannedCommand command{"ProfileList", {}, {}, "asked"};
      store_test::AddCommand(commit, command, fmt::format("N{}", random_.Below(1'000'000)));
    }
    commit.plan.proposal = AnyStanding();
    commit.plan.escrow = Rarely();
    return commit;
  }

  /// Claims some and decides something for each, or for none.
  Operation ClaimAndCommit() {
    const Timestamp lease_until = now_ + seconds(30 + random_.Below(90));
    ++leases_;
    std::vector<PlanCommit> plans;
    for (std::uint64_t i = random_.Below(4); i > 0; --i) {
      plans.push_back(AnyPlan({}));
      const bool is_leased = !plans.back().commands.empty() || random_.Below(2) == 0;
      plans.back().lease_id = is_leased ? static_cast<std::int64_t>(leases_) : 0;
    }
    return [plans, now = now_, lease_until, set_aside = Rarely()](StoreWriter& writer,
                                                                  std::string& told) -> Status {
      const auto claims = writer.ClaimDue(now, plans.size());
      if (!claims) return Fail(claims.error());
      told += Say(*claims) + "\n";
      std::vector<PlanCommit> commits;
      std::vector<EnrollmentId> others;
      for (std::size_t i = 0; i < claims->size(); ++i) {
        const EnrollmentId& id = (*claims)[i];
        if (set_aside) {
          others.push_back(id);
          continue;
        }
        commits.push_back(plans[i]);
        commits.back().enrollment_id = id;
        const auto snapshot = writer.LoadSnapshot(id);
        if (!snapshot) return Fail(snapshot.error());
        PlanCommit& commit = commits.back();
        commit.items_before = snapshot->items;
        commit.proposal_before = snapshot->proposal;
        if (snapshot->proposal) {
          commit.plan.proposal = WithStanding(*snapshot->proposal, *commit.plan.proposal);
        } else {
          commit.plan.proposal.reset();
        }
      }
      if (Status done = writer.SetAside(others, lease_until); !done) return done;
      return writer.CommitPlans(commits, lease_until, now);
    };
  }

  Operation EndLease() {
    const auto lease_id = static_cast<std::int64_t>(random_.Below(leases_ + 2));
    return [lease_id](StoreWriter& writer, std::string& told) {
      return Told<bool>(writer.EndLease(lease_id), told,
                        [](bool is_in_time) { return fmt::format("in time: {}", is_in_time); });
    };
  }

  Operation Dispatch() {
    if (Rarely()) {
      return [from = AnyCommand(), to = fmt::format("M{}", random_.Below(1'000'000)), ids = Ids()](
                 StoreWriter& writer, std::string&) {
        return writer.MoveIntents(from, CommandUuid(to), ids);
      };
    }
    std::vector<DispatchOutcome> outcomes;
    for (const EnrollmentId& id : Ids()) {
      outcomes.push_back({id, AnyCommand(),
                          Any(std::array{IntentState::kSent, IntentState::kUnknown,
                                         IntentState::kNotSent, IntentState::kRefused}),
                          "words"});
    }
    return [outcomes, ids = Ids(), now = now_](StoreWriter& writer, std::string&) -> Status {
      if (Status done = writer.RecordDispatch(outcomes, now); !done) return done;
      return writer.MarkUnregistered(ids);
    };
  }

  Operation Desire() {
    const std::string item = AnyItem();
    const std::string uuid = fmt::format("R{}", random_.Below(4));
    const std::string target =
        Any(std::array<std::string, 6>{"", "", "dev-1", "SNA", "other", "DEV-1:USER"});
    const bool is_removal = random_.Below(3) == 0;
    Assignment assignment = MakeAssignment(item, is_removal ? "" : uuid, target);
    assignment.channel = Any(std::array{AssignmentChannel::kDevice, AssignmentChannel::kUser});
    if (Rarely()) {
      return [now = now_](StoreWriter& writer, std::string&) -> Status {
        const auto all = writer.ListAssignments({});
        if (!all) return Fail(all.error());
        return writer.DeleteAssignment(all->empty() ? 1 : all->front().assignment_id, now);
      };
    }
    return [item, uuid, assignment, now = now_](StoreWriter& writer, std::string& told) -> Status {
      const Status stored = Told<bool>(writer.SaveRevision(MakeRevision(uuid, item)), told,
                                       [](bool is_new) { return fmt::format("new: {}", is_new); });
      if (!stored) return stored;
      const Result<std::int64_t> id = writer.SaveAssignment(assignment, now);
      if (!id) return Fail(id.error());
      return {};
    };
  }

  Operation Fallback() {
    return [id = AnyId(), item = AnyItem(), now = now_, which = random_.Below(5)](
               StoreWriter& writer, std::string&) -> Status {
      if (which == 0) return writer.RecoverJournaled(now);
      // Proposals that ended before now are old as well then.
      if (which == 1) return writer.Prune(now + kKeepProposals, kKeepProposals + seconds(60), 2);
      if (which == 2)
        return writer.AddHappenings({{0, now, id, "device", "a"}, {0, now, {}, "x", "b"}});
      if (which == 3) return writer.CheckWritable();
      return writer.RetryItem(id, PayloadIdentifier(item), now);
    };
  }

  /// One that fails at its end, so that nothing of it may stay.
  Operation Broken() {
    return [first = SaveEnrollments(), second = MarkDue()](StoreWriter& writer,
                                                           std::string& told) -> Status {
      if (Status done = first(writer, told); !done) return done;
      if (Status done = second(writer, told); !done) return done;
      return Fail(ErrorKind::kRejected, "no");
    };
  }

  SeededRandom random_;
  Timestamp now_ = At(0);
  std::uint64_t leases_ = 0;  ///< the last one
};

/// Everything that can be read, with numbers of our own where the database chose them.
struct Look {
  std::vector<EnrollmentRow> rows;
  std::map<EnrollmentId, Snapshot> snapshots;
  std::vector<Assignment> assignments;
  std::vector<Proposal> proposals;
  std::vector<SealedSecrets> sealed_secrets;
  std::int64_t new_proposals = 0;
  std::vector<Happening> happenings;
  std::vector<std::pair<EnrollmentId, Intent>> intents;
  FleetCounts counts;
  std::optional<Timestamp> next_due_at;
};

/// Proposals of every state and their PINs; returns the place of each number.
std::map<std::int64_t, std::int64_t> LookAtProposals(TestStore& store, Look& look) {
  look.proposals = store.Get<std::vector<Proposal>>([](StoreReader& reader) {
    return reader.ListProposals({}, {"", 1000});
  });
  std::map<std::int64_t, std::int64_t> places;
  for (Proposal& proposal : look.proposals) {
    const std::int64_t id = proposal.proposal_id;
    CHECK(store.Get<Proposal>([&](StoreReader& reader) { return reader.LoadProposal(id); }) ==
          proposal);
    look.sealed_secrets.push_back(store.Get<SealedSecrets>(
        [&](StoreReader& reader) { return reader.LoadSealedSecrets(id); }));
    proposal.proposal_id = static_cast<std::int64_t>(places.size());
    places.emplace(id, proposal.proposal_id);
  }
  look.new_proposals = store.Get<std::int64_t>(
      [](StoreReader& reader) { return reader.CountProposalsSince(At(500)); });
  return places;
}

Look LookAt(TestStore& store) {
  Look look;
  look.rows = store.Get<std::vector<EnrollmentRow>>([](StoreReader& reader) {
    return reader.ListEnrollments({}, {"", 100});
  });
  std::vector<EnrollmentId> ids;
  std::vector<std::pair<EnrollmentId, CommandUuid>> keys;
  for (const EnrollmentRow& row : look.rows) {
    ids.push_back(row.enrollment.channel.enrollment_id);
    for (int i = 0; i < 12; ++i) keys.emplace_back(ids.back(), CommandUuid(fmt::format("C{}", i)));
  }
  look.assignments = store.Get<std::vector<Assignment>>(
      [](StoreReader& reader) { return reader.ListAssignments({}); });
  std::map<std::int64_t, std::int64_t> places;
  for (Assignment& assignment : look.assignments) {
    const auto place = static_cast<std::int64_t>(places.size());
    places.emplace(assignment.assignment_id, place);
    assignment.assignment_id = place;
  }
  const auto proposal_places = LookAtProposals(store, look);
  auto snapshots = store.Get<std::vector<Snapshot>>(
      [&](StoreReader& reader) { return reader.LoadSnapshots(ids); });
  for (Snapshot& snapshot : snapshots) {
    for (DesiredAssignment& assignment : snapshot.assignments) {
      assignment.assignment_id = places.at(assignment.assignment_id);
    }
    for (Proposal& proposal : snapshot.answered) {
      proposal.proposal_id = proposal_places.at(proposal.proposal_id);
    }
    if (snapshot.proposal) {
      std::int64_t& number = snapshot.proposal->proposal_id;
      number = proposal_places.at(number);
    }
    const EnrollmentId id = snapshot.enrollment.channel.enrollment_id;
    look.snapshots.emplace(id, std::move(snapshot));
  }
  look.happenings = store.Get<std::vector<Happening>>([](StoreReader& reader) {
    return reader.ListHappenings({}, {"", 100});
  });
  for (Happening& happening : look.happenings) happening.happening_id = 0;
  look.intents = store.Get<std::vector<std::pair<EnrollmentId, Intent>>>(
      [&](StoreReader& reader) { return reader.LoadIntents(keys); });
  std::sort(look.intents.begin(), look.intents.end(), [](const auto& a, const auto& b) {
    return std::tie(a.first, a.second.command_uuid) < std::tie(b.first, b.second.command_uuid);
  });
  look.counts =
      store.Get<FleetCounts>([](StoreReader& reader) { return reader.CountFleet(At(500)); });
  look.next_due_at = store.NextDueAt();
  return look;
}

void CompareLooks(TestStore& one, TestStore& other) {
  const Look a = LookAt(one);
  const Look b = LookAt(other);
  CHECK(a.rows == b.rows);
  CHECK(a.snapshots == b.snapshots);
  CHECK(a.assignments == b.assignments);
  CHECK(a.proposals == b.proposals);
  CHECK(a.sealed_secrets == b.sealed_secrets);
  CHECK(a.new_proposals == b.new_proposals);
  CHECK(a.happenings == b.happenings);
  CHECK(a.intents == b.intents);
  CHECK(a.counts == b.counts);
  CHECK(a.next_due_at == b.next_due_at);
}

std::string Apply(TestStore& store, const Operation& operation) {
  std::string told;
  const Status done = store.store().Write([&](StoreWriter& writer) {
    told.clear();
    return operation(writer, told);
  });
  return done ? told : std::string(ErrorKindName(done.error().kind));
}

}  // namespace

TEST_CASE("random operations have the same outcome on every kind of store") {
  const auto seed = static_cast<std::uint64_t>(GENERATE(range(1, kWorlds + 1)));
  TestStore sqlite(StoreKind::kSqliteMemory);
  TestStore postgres(StoreKind::kPostgres);
  Generator generator(seed);
  int succeeded = 0;
  for (int i = 0; i < kOperations; ++i) {
    const Operation operation = generator.Next();
    const std::string told = Apply(sqlite, operation);
    INFO("seed " << seed << ", operation " << i);
    REQUIRE(told == Apply(postgres, operation));
    if (told.empty() || told.ends_with('\n')) ++succeeded;
    if ((i + 1) % kOperationsPerLook == 0) CompareLooks(sqlite, postgres);
  }
  CHECK(succeeded > kOperations / 2);
}

}  // namespace director::store_model_test
