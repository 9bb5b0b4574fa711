#include "director/runner.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/invariant.h"
#include "base/log.h"
#include "base/log_keys.h"
#include "director/turns.h"
#include "mdm/item_definition.h"
#include "reconciler/proposal_rule.h"

namespace director {
namespace {

constexpr Duration kSetAside = std::chrono::hours(1);
constexpr Duration kTakenWait = std::chrono::milliseconds(50);
constexpr Duration kErrorPause = std::chrono::seconds(1);
constexpr std::uint64_t kLeaseIdMax = std::numeric_limits<std::int64_t>::max();

std::string DescribeCommand(const PlannedCommand& command) {
  const std::string& identifier = command.payload_identifier.value();
  return fmt::format("{}{}{}: {}", command.request_type, identifier.empty() ? "" : " ", identifier,
                     command.reason);
}

bool IsQuestion(const PlannedCommand& command) {
  return command.payload_identifier.empty() && command.proposal_id == 0;
}

/// Nothing unless it has come into another state. Its command tells of its own sending.
std::optional<std::string> DescribeProposal(const PlanCommit& commit) {
  const auto& before = commit.proposal_before;
  const auto& after = commit.plan.proposal;
  if (!before || !after || before->state == after->state || after->state == ProposalState::kSent) {
    return std::nullopt;
  }
  return fmt::format("{} proposed by {} is {}: {}", ProposalKindName(after->kind), after->source,
                     ProposalStateName(after->state), after->explanation);
}

/// The item of the identity when a list of certificates has just proved that it was renewed; else
/// null.
const ItemRecord* FindRenewed(const PlanCommit& commit) {
  const auto item =
      std::find_if(commit.plan.items.begin(), commit.plan.items.end(),
                   [](const ItemRecord& one) { return one.payload_identifier == IdentityItem(); });
  const bool has_ended = commit.plan.renewal && commit.plan.renewal->ended_at;
  const bool is_good = item != commit.plan.items.end() && item->state == ItemState::kVerified;
  return has_ended && is_good ? &*item : nullptr;
}

std::optional<std::string> DescribeRenewal(const PlanCommit& commit) {
  const ItemRecord* item = FindRenewed(commit);
  if (item == nullptr) return std::nullopt;
  return "Its identity was renewed. " + item->reason;
}

/// Each pin once and in their order, so that no two transactions wait for each other.
Status ProvePins(StoreWriter& writer, const std::vector<PlanCommit>& commits) {
  std::map<std::pair<UpstreamName, PayloadIdentifier>, Timestamp> proven;
  for (const PlanCommit& commit : commits) {
    if (FindRenewed(commit) == nullptr) continue;
    const Timestamp began_at = commit.plan.renewal->began_at;
    const auto [latest, is_new] =
        proven.emplace(std::pair(commit.upstream, commit.enrollment_profile), began_at);
    if (!is_new) latest->second = std::max(latest->second, began_at);
  }
  for (const auto& [pin, began_at] : proven) {
    Status done = writer.ProvePin(pin.first, pin.second, began_at);
    if (!done) return done;
  }
  return {};
}

/// The proposal knows the command that is its own: a late answer finds it.
void NameProposedCommand(PlanCommit& commit) {
  for (const JournaledCommand& journaled : commit.commands) {
    if (journaled.command.proposal_id == 0) continue;
    commit.plan.proposal->command_uuid = journaled.command_uuid;
  }
}

/// What is sent, apart from questions, and what became of proposals and renewals.
std::vector<Happening> HappeningsOf(const std::vector<PlanCommit>& commits, Timestamp now) {
  std::vector<Happening> happenings;
  for (const PlanCommit& commit : commits) {
    for (const PlannedCommand& command : commit.plan.commands) {
      if (IsQuestion(command)) continue;
      happenings.push_back({0, now, commit.enrollment_id, "command", DescribeCommand(command)});
    }
    for (const auto& text : {DescribeProposal(commit), DescribeRenewal(commit)}) {
      if (text) happenings.push_back({0, now, commit.enrollment_id, "command", *text});
    }
  }
  return happenings;
}

}  // namespace

Runner::~Runner() { Stop(); }

void Runner::Start(int workers) {
  for (int i = 0; i < workers; ++i) workers_.emplace_back([this] { Work(); });
}

void Runner::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
}

void Runner::Notify() {
  {
    const std::lock_guard lock(mutex_);
    notified_ = true;
  }
  wake_.notify_one();
}

void Runner::Work() {
  while (true) {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
    }
    const Result<std::size_t> claimed = StepGuarded();
    if (!claimed) {
      Log(LogLevel::kError, "reconcile step failed",
          {{log_key::kError, ErrorForLog(claimed.error())}});
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, kErrorPause, [&] { return stopping_; });
    } else if (*claimed == 0) {
      WaitForDue();
    }
  }
}

/// A broken invariant outside of a decision costs one step; leases run out by themselves.
Result<std::size_t> Runner::StepGuarded() {
  try {
    return Step();
  } catch (const InvariantViolation& violation) {
    return Fail(ErrorKind::kCorrupt, violation.what());
  }
}

void Runner::WaitForDue() {
  const Timestamp now = clock_.Now();
  Duration wait = poll_interval_;
  const Status read = store_.Read([&](StoreReader& reader) -> Status {
    const Result<std::optional<Timestamp>> next = reader.NextDueAt();
    if (!next) return Fail(next.error());
    if (!*next) return {};
    // What is due and was not to be had is in somebody else's hands just now.
    wait = **next > now ? std::min(**next - now, poll_interval_) : kTakenWait;
    return {};
  });
  if (!read)
    Log(LogLevel::kError, "next due time is unknown",
        {{log_key::kError, ErrorForLog(read.error())}});
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, wait, [&] { return stopping_ || notified_; });
  notified_ = false;
}

Result<std::size_t> Runner::Step() {
  executor_.ProbeAbsent();
  Round round;
  Status decided = DecideUpTo(kClaimMax, round);
  const auto is_refused = [&] {
    return !decided && decided.error().kind != ErrorKind::kUnavailable;
  };
  // One that the store refuses must not hold up the others.
  if (is_refused()) decided = DecideUpTo(1, round);
  if (is_refused()) return SetOneAside(decided.error());
  if (!decided) return Fail(decided.error());
  // There may be more, and each notice wakes one worker only.
  if (round.claimed == kClaimMax) Notify();
  for (const PlanCommit& commit : round.commits) UseTurns(commit, upstreams_);
  if (Status performed = Perform(round); !performed) return Fail(performed.error());
  return round.claimed;
}

Status Runner::DecideUpTo(std::size_t limit, Round& round) {
  return store_.Write([&](StoreWriter& writer) -> Status {
    // The transaction may begin anew, and much later.
    round = Round{};
    const Timestamp now = clock_.Now();
    round.lease_until = now + settings_.claim_lease;
    try {
      return Decide(writer, limit, now, round);
    } catch (const InvariantViolation& violation) {
      return Fail(ErrorKind::kCorrupt, violation.what());
    }
  });
}

/// The oldest due one, which could not be decided for alone.
Result<std::size_t> Runner::SetOneAside(const Error& why) {
  std::vector<EnrollmentId> ids;
  const Status done = store_.Write([&](StoreWriter& writer) -> Status {
    ids.clear();
    const Timestamp now = clock_.Now();
    Result<std::vector<EnrollmentId>> claimed = writer.ClaimDue(now, 1);
    if (!claimed) return Fail(claimed.error());
    ids = std::move(*claimed);
    return writer.SetAside(ids, now + kSetAside);
  });
  if (!done) return Fail(done.error());
  for (const EnrollmentId& id : ids) {
    Log(LogLevel::kError, "enrollment cannot be decided for; set aside",
        {{log_key::kEnrollmentId, id.value()}, {log_key::kError, ErrorForLog(why)}});
  }
  return ids.size();
}

/// From the claim to the journal: nothing about the enrollments changes meanwhile.
Status Runner::Decide(StoreWriter& writer, std::size_t limit, Timestamp now, Round& round) {
  const Result<std::vector<EnrollmentId>> claims = writer.ClaimDue(now, limit);
  if (!claims) return Fail(claims.error());
  round.claimed = claims->size();
  if (claims->empty()) return {};
  Result<std::map<EnrollmentId, Snapshot>> snapshots = LoadSnapshots(writer, *claims);
  if (!snapshots) return Fail(snapshots.error());
  std::vector<EnrollmentId> set_aside;
  std::vector<EnrollmentId> settling;
  Timestamp settled_at = now;  // of all of them
  for (const EnrollmentId& id : *claims) {
    std::optional<PlanCommit> commit;
    if (auto snapshot = snapshots->extract(id)) {
      if (const auto at = SettlesAt(snapshot.mapped().enrollment, upstreams_, now)) {
        settling.push_back(id);
        settled_at = std::max(settled_at, *at);
        continue;
      }
      commit = DecideOne(id, std::move(snapshot.mapped()), now);
    }
    if (commit) {
      round.commits.push_back(std::move(*commit));
    } else {
      set_aside.push_back(id);
    }
  }
  round.batches = executor_.MakeBatches(round.commits);
  for (PlanCommit& commit : round.commits) NameProposedCommand(commit);
  NameLeases(round);
  Status done = writer.SetAside(set_aside, now + kSetAside);
  if (done) done = writer.SetAside(settling, settled_at);
  if (done) done = writer.CommitPlans(round.commits, round.lease_until, now);
  if (done) done = ProvePins(writer, round.commits);
  if (done) done = writer.AddHappenings(HappeningsOf(round.commits, now));
  return done;
}

/// A secret may have to wait for the escrow server: who keeps one has a lease of its own.
void Runner::NameLeases(Round& round) {
  const auto make_lease_id = [&] {
    return static_cast<std::int64_t>(1 + random_.Below(kLeaseIdMax));
  };
  for (PlanCommit& commit : round.commits) {
    if (commit.plan.keeps_secrets()) {
      commit.lease_id = make_lease_id();
    } else if (!commit.commands.empty()) {
      if (round.lease_id == 0) round.lease_id = make_lease_id();
      commit.lease_id = round.lease_id;
    }
  }
}

/// One that cannot be read back is missing and does not keep the others from being read. Fails when
/// the database is out of reach.
Result<std::map<EnrollmentId, Snapshot>> Runner::LoadSnapshots(
    StoreReader& reader, const std::vector<EnrollmentId>& ids) {
  std::map<EnrollmentId, Snapshot> snapshots;
  const auto load = [&](const std::vector<EnrollmentId>& some) -> Status {
    Result<std::vector<Snapshot>> loaded = reader.LoadSnapshots(some);
    if (!loaded) return Fail(loaded.error());
    for (Snapshot& snapshot : *loaded) {
      const EnrollmentId id = snapshot.enrollment.channel.enrollment_id;
      snapshots.insert_or_assign(id, std::move(snapshot));
    }
    return {};
  };
  const Status all = load(ids);
  if (all) return snapshots;
  if (all.error().kind != ErrorKind::kCorrupt) return Fail(all.error());
  for (const EnrollmentId& id : ids) {
    const Status read = load({id});
    if (read) continue;
    if (read.error().kind != ErrorKind::kCorrupt) return Fail(read.error());
    Log(LogLevel::kError, "enrollment cannot be read; set aside",
        {{log_key::kEnrollmentId, id.value()}, {log_key::kError, ErrorForLog(read.error())}});
  }
  return snapshots;
}

/// Nothing when the decision breaks an invariant.
std::optional<PlanCommit> Runner::DecideOne(const EnrollmentId& id, Snapshot snapshot,
                                            Timestamp now) const {
  try {
    Snapshot seen = WithServers(std::move(snapshot), upstreams_, settings_, now);
    Plan plan = Reconcile(seen, settings_, now);
    // What waits may make room for what asks somebody else.
    while (!BookTurns(seen, plan, upstreams_, settings_, now)) {
      plan = Reconcile(seen, settings_, now);
    }
    const ReportedProfile* profile = FindEnrollmentProfile(seen);
    return PlanCommit{id,
                      seen.enrollment.upstream,
                      seen.items,
                      seen.proposal,
                      std::move(plan),
                      seen.enrollment.epoch,
                      {},
                      profile == nullptr ? PayloadIdentifier() : profile->payload_identifier};
  } catch (const InvariantViolation& violation) {
    Log(LogLevel::kError, "enrollment breaks an invariant; set aside",
        {{log_key::kEnrollmentId, id.value()}, {log_key::kError, violation.what()}});
    return std::nullopt;
  }
}

Status Runner::Perform(const Round& round) {
  std::vector<DispatchOutcome> outcomes;
  if (Status sent = Send(round, outcomes); !sent) return sent;
  if (Status pushed = Push(round.commits, outcomes); !pushed) return pushed;
  auto server = NewKeys::EscrowServer::kMayAnswer;
  if (Status kept = KeepNewKeys(round, server); !kept) return kept;
  return EscrowSecrets(round, server);
}

/// The end of a lease says of its commands that they are sent; the others are told one by one.
Status Runner::Send(const Round& round, std::vector<DispatchOutcome>& outcomes) {
  if (round.batches.empty()) return {};
  outcomes = executor_.Send(round.batches);
  std::set<EnrollmentId> finished;
  for (const PlanCommit& commit : round.commits) {
    if (commit.lease_id == round.lease_id) finished.insert(commit.enrollment_id);
  }
  return store_.Write([&](StoreWriter& writer) -> Status {
    const Result<bool> is_in_time = writer.EndLease(round.lease_id);
    if (!is_in_time) return Fail(is_in_time.error());
    std::vector<DispatchOutcome> told;
    for (const DispatchOutcome& outcome : outcomes) {
      const bool is_said = *is_in_time && outcome.state == IntentState::kSent &&
                           finished.contains(outcome.enrollment_id);
      if (!is_said) told.push_back(outcome);
    }
    return writer.RecordDispatch(told, clock_.Now());
  });
}

/// What Macs have already, before what they are to have.
Status Runner::KeepNewKeys(const Round& round, NewKeys::EscrowServer& server) {
  NewKeys keys(store_, executor_, clock_, settings_);
  for (const PlanCommit& commit : round.commits) {
    if (commit.plan.new_keys.empty()) continue;
    for (const Proposal& proposal : commit.plan.new_keys) {
      const auto answers = keys.Keep(proposal, server);
      if (!answers) return Fail(answers.error());
      server = *answers;
    }
    if (commit.plan.escrow) continue;
    const Status done = store_.Write([&](StoreWriter& writer) -> Status {
      if (const auto ended = writer.EndLease(commit.lease_id); !ended) return Fail(ended.error());
      return writer.MarkDue({{commit.enrollment_id, clock_.Now()}});
    });
    if (!done) return done;
  }
  return {};
}

/// Last in the round, for an escrow server may be slow: when it fails once, the others wait, too.
Status Runner::EscrowSecrets(const Round& round, NewKeys::EscrowServer server) {
  bool server_fails = server == NewKeys::EscrowServer::kFails;
  for (const PlanCommit& commit : round.commits) {
    if (!commit.plan.escrow) continue;
    std::optional<Status> deposited;
    if (!server_fails) deposited = executor_.Escrow(*commit.plan.proposal);
    server_fails =
        server_fails || (!*deposited && deposited->error().kind == ErrorKind::kUnavailable);
    const Status recorded = RecordEscrow(commit, deposited);
    if (!recorded) return recorded;
  }
  return {};
}

/// `deposited` is empty when it was not tried. A person may have cancelled the proposal meanwhile,
/// or another director have gone on with it when this one's lease had run out.
Status Runner::RecordEscrow(const PlanCommit& commit, const std::optional<Status>& deposited) {
  const EnrollmentId& id = commit.enrollment_id;
  return store_.Write([&](StoreWriter& writer) -> Status {
    const Timestamp now = clock_.Now();
    if (const auto ended = writer.EndLease(commit.lease_id); !ended) return Fail(ended.error());
    if (const auto held = writer.LoadEnrollments({id}); !held) return Fail(held.error());
    Result<Proposal> current = writer.LoadProposal(commit.plan.proposal->proposal_id);
    if (!current) return Fail(current.error());
    if (current->state == ProposalState::kWaiting && !current->escrowed_at) {
      if (deposited) {
        TakeEscrowAnswer(*deposited, settings_, now, *current);
      } else {
        PutOffEscrow(settings_, now, *current);
      }
      if (Status saved = writer.SaveProposal(*current); !saved) return saved;
    }
    return writer.MarkDue({{id, now}});
  });
}

/// Leaves out the pushes that the MDM server has sent by itself with a command.
Status Runner::Push(const std::vector<PlanCommit>& commits,
                    const std::vector<DispatchOutcome>& outcomes) {
  std::set<EnrollmentId> got_command;
  for (const DispatchOutcome& outcome : outcomes) {
    if (outcome.state == IntentState::kSent) got_command.insert(outcome.enrollment_id);
  }
  std::map<UpstreamName, std::vector<EnrollmentId>> pushes;
  for (const PlanCommit& commit : commits) {
    const EnrollmentId& enrollment_id = commit.enrollment_id;
    const UpstreamName& upstream = commit.upstream;
    const Upstreams::Member* server = upstreams_.Find(upstream);
    const bool is_pushed = server != nullptr && server->upstream->limits().pushes_on_enqueue &&
                           got_command.contains(enrollment_id);
    if (commit.plan.push && !is_pushed) pushes[upstream].push_back(enrollment_id);
  }
  for (const auto& [upstream, ids] : pushes) {
    if (Status done = executor_.Push(upstream, ids); !done) return done;
  }
  return {};
}

}  // namespace director
