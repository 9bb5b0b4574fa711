#include "director/runner.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/invariant.h"
#include "base/log.h"
#include "base/log_keys.h"

namespace director {
namespace {

constexpr Duration kSetAside = std::chrono::hours(1);
constexpr Duration kUnknownUpstreamPause = std::chrono::hours(1);
constexpr Duration kIdleWaitMax = std::chrono::seconds(1);
constexpr Duration kTakenWait = std::chrono::milliseconds(50);
constexpr Duration kErrorPause = std::chrono::seconds(1);

std::string DescribeCommand(const PlannedCommand& command) {
  return fmt::format("{} {}: {}", command.request_type, command.payload_identifier.value(),
                     command.reason);
}

}  // namespace

Snapshot WithHealth(Snapshot snapshot, Upstreams& upstreams, Timestamp now) {
  const UpstreamName& name = snapshot.enrollment.upstream;
  Upstreams::Member* server = upstreams.Find(name);
  if (server == nullptr) {
    snapshot.upstream_retry_at = now + kUnknownUpstreamPause;
    snapshot.upstream_problem = fmt::format("no MDM server named {} is configured", name.value());
    return snapshot;
  }
  snapshot.upstream_retry_at = server->health.retry_at(now);
  snapshot.upstream_away_since = server->health.away_since();
  snapshot.upstream_problem = server->health.problem();
  return snapshot;
}

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

/// A broken invariant outside of a decision costs one step; the leases of its claims run out by
/// themselves.
Result<std::size_t> Runner::StepGuarded() {
  try {
    return Step();
  } catch (const InvariantViolation& violation) {
    return Fail(ErrorKind::kCorrupt, violation.what());
  }
}

void Runner::WaitForDue() {
  const Timestamp now = clock_.Now();
  Duration wait = kIdleWaitMax;
  const Status read = store_.Read([&](StoreReader& reader) -> Status {
    const Result<std::optional<Timestamp>> next = reader.NextDueAt();
    if (!next) return Fail(next.error());
    if (!*next) return {};
    // What is due and was not to be had is in somebody else's hands just now.
    wait = **next > now ? std::min(**next - now, kIdleWaitMax) : kTakenWait;
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
  const Timestamp now = clock_.Now();
  const Result<std::vector<Claim>> claims = ClaimSome(now);
  if (!claims) return Fail(claims.error());
  if (claims->empty()) return std::size_t{0};
  Result<std::vector<PlanCommit>> commits = Decide(*claims, now);
  if (!commits) return Fail(commits.error());
  std::vector<CommandBatch> batches = executor_.MakeBatches(*commits);
  if (Status done = Commit(*commits, now); !done) return Fail(done.error());
  if (Status done = Perform(*commits, std::move(batches)); !done) return Fail(done.error());
  return claims->size();
}

Result<std::vector<Claim>> Runner::ClaimSome(Timestamp now) {
  std::vector<Claim> claims;
  const Status done = store_.Write([&](StoreWriter& writer) -> Status {
    Result<std::vector<Claim>> claimed =
        writer.ClaimDue(now, now + settings_.claim_lease, kClaimMax);
    if (!claimed) return Fail(claimed.error());
    claims = std::move(*claimed);
    return {};
  });
  if (!done) return Fail(done.error());
  return claims;
}

Status Runner::LoadInto(const std::vector<EnrollmentId>& ids,
                        std::map<EnrollmentId, Snapshot>& snapshots) {
  return store_.Read([&](StoreReader& reader) -> Status {
    Result<std::vector<Snapshot>> loaded = reader.LoadSnapshots(ids);
    if (!loaded) return Fail(loaded.error());
    for (Snapshot& snapshot : *loaded) {
      const EnrollmentId id = snapshot.enrollment.channel.enrollment_id;
      snapshots.insert_or_assign(id, std::move(snapshot));
    }
    return {};
  });
}

/// One that cannot be read back is missing and does not keep the others from being read. Fails when
/// the database is out of reach.
Result<std::map<EnrollmentId, Snapshot>> Runner::LoadSnapshots(const std::vector<Claim>& claims) {
  std::map<EnrollmentId, Snapshot> snapshots;
  std::vector<EnrollmentId> ids;
  for (const Claim& claim : claims) ids.push_back(claim.enrollment_id);
  const Status all = LoadInto(ids, snapshots);
  if (all) return snapshots;
  if (all.error().kind != ErrorKind::kCorrupt) return Fail(all.error());
  for (const EnrollmentId& id : ids) {
    const Status read = LoadInto({id}, snapshots);
    if (read) continue;
    if (read.error().kind != ErrorKind::kCorrupt) return Fail(read.error());
    Log(LogLevel::kError, "enrollment cannot be read; set aside",
        {{log_key::kEnrollmentId, id.value()}, {log_key::kError, ErrorForLog(read.error())}});
  }
  return snapshots;
}

Result<std::vector<PlanCommit>> Runner::Decide(const std::vector<Claim>& claims, Timestamp now) {
  Result<std::map<EnrollmentId, Snapshot>> snapshots = LoadSnapshots(claims);
  if (!snapshots) {
    Release(claims, now);
    return Fail(snapshots.error());
  }
  std::vector<PlanCommit> commits;
  std::vector<Claim> set_aside;
  for (const Claim& claim : claims) {
    std::optional<PlanCommit> commit;
    if (auto snapshot = snapshots->extract(claim.enrollment_id)) {
      commit = DecideOne(claim, std::move(snapshot.mapped()), now);
    }
    if (commit) {
      commits.push_back(std::move(*commit));
    } else {
      set_aside.push_back(claim);
    }
  }
  if (!set_aside.empty()) Release(set_aside, now + kSetAside);
  return commits;
}

/// Nothing when the decision breaks an invariant.
std::optional<PlanCommit> Runner::DecideOne(const Claim& claim, Snapshot snapshot,
                                            Timestamp now) const {
  try {
    const Snapshot seen = WithHealth(std::move(snapshot), upstreams_, now);
    Plan plan = Reconcile(seen, settings_, now);
    return PlanCommit{claim, seen.items, std::move(plan), seen.enrollment.epoch, {}};
  } catch (const InvariantViolation& violation) {
    Log(LogLevel::kError, "enrollment breaks an invariant; set aside",
        {{log_key::kEnrollmentId, claim.enrollment_id.value()},
         {log_key::kError, violation.what()}});
    return std::nullopt;
  }
}

void Runner::Release(const std::vector<Claim>& claims, Timestamp due_at) {
  const Status released = store_.Write([&](StoreWriter& writer) -> Status {
    for (const Claim& claim : claims) {
      if (Status done = writer.ReleaseClaim(claim, due_at); !done) return done;
    }
    return {};
  });
  // Not released: the lease runs out by itself.
  if (!released)
    Log(LogLevel::kError, "claims stay until their lease ends",
        {{log_key::kError, ErrorForLog(released.error())}});
}

Status Runner::Commit(std::vector<PlanCommit>& commits, Timestamp now) {
  std::set<EnrollmentId> outdated;
  const Status done = store_.Write([&](StoreWriter& writer) -> Status {
    Result<std::set<EnrollmentId>> stored = writer.CommitPlans(commits, now);
    if (!stored) return Fail(stored.error());
    outdated = std::move(*stored);
    std::vector<Happening> happenings;
    for (const PlanCommit& commit : commits) {
      if (outdated.contains(commit.claim.enrollment_id)) continue;
      for (const PlannedCommand& command : commit.plan.commands) {
        if (command.payload_identifier.empty()) continue;
        happenings.push_back(
            {0, now, commit.claim.enrollment_id, "command", DescribeCommand(command)});
      }
    }
    return writer.AddHappenings(happenings);
  });
  if (!done) return done;
  std::erase_if(commits, [&](const PlanCommit& commit) {
    return outdated.contains(commit.claim.enrollment_id);
  });
  return {};
}

Status Runner::Perform(const std::vector<PlanCommit>& commits, std::vector<CommandBatch> batches) {
  std::set<EnrollmentId> committed;
  std::vector<Claim> sending;
  for (const PlanCommit& commit : commits) {
    committed.insert(commit.claim.enrollment_id);
    if (!commit.commands.empty()) sending.push_back(commit.claim);
  }
  for (CommandBatch& batch : batches) {
    std::erase_if(batch.targets, [&](const EnrollmentId& id) { return !committed.contains(id); });
  }
  std::erase_if(batches, [](const CommandBatch& batch) { return batch.targets.empty(); });
  if (sending.empty()) return Push(commits, {});
  const std::vector<DispatchOutcome> outcomes = executor_.Send(batches);
  const Status recorded = store_.Write([&](StoreWriter& writer) -> Status {
    if (Status done = writer.RecordDispatch(outcomes, clock_.Now()); !done) return done;
    return writer.EndClaims(sending);
  });
  if (!recorded) return recorded;
  return Push(commits, outcomes);
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
    const EnrollmentId& enrollment_id = commit.claim.enrollment_id;
    const UpstreamName& upstream = commit.claim.upstream;
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
