#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "director/payloads.h"
#include "director/renewals.h"
#include "director/secrets.h"
#include "director/upstreams.h"
#include "mdm/command.h"
#include "store/store.h"

namespace director {

/// The same command for several enrollments of one MDM server: one enqueue request.
struct CommandBatch {
  UpstreamName upstream;
  PlannedCommand command;
  CommandUuid command_uuid;
  std::vector<EnrollmentId> targets;
};

/// Those of a proposal, opened; empty without them.
struct ProposalSecrets {
  Secret secret;
  Secret current;
  Secret reply_identity;
};

/// Counters since the start; read by the metrics.
struct ExecutorCounters {
  std::atomic<std::uint64_t> commands_queued{0};
  std::atomic<std::uint64_t> commands_failed{0};
  std::atomic<std::uint64_t> enqueue_requests{0};
  std::atomic<std::uint64_t> pushes_sent{0};
  std::atomic<std::uint64_t> pushes_failed{0};
  std::atomic<std::uint64_t> secrets_escrowed{0};
  std::atomic<std::uint64_t> escrows_failed{0};
  std::atomic<std::uint64_t> renewals_refused{0};
};

/// Performs what was planned and journaled: sends commands in batches, takes secrets to the escrow
/// server, then sends one push per enrollment, and records the outcomes. Thread-safe as long as no
/// two calls name the same enrollment (the claims and leases see to that).
class Executor {
 public:
  /// Without `renewals` no identity is renewed.
  Executor(Store& store, Upstreams& upstreams, Payloads& payloads, const Secrets& secrets,
           const Clock& clock, RandomSource& random, Renewals* renewals = nullptr)
      : store_(store),
        upstreams_(upstreams),
        payloads_(payloads),
        secrets_(secrets),
        clock_(clock),
        random_(random),
        renewals_(renewals) {}

  /// Probes the MDM servers that did not answer and whose pause is over. To be called before
  /// anything is decided: while a server is away, nothing is journaled for it in vain.
  void ProbeAbsent();

  /// Gives every command of the commits a CommandUUID, shared by enrollments that get the same
  /// command in one request. The batches come in the order in which they must be sent: within each
  /// enrollment the order of its plan.
  std::vector<CommandBatch> MakeBatches(std::vector<PlanCommit>& commits);

  /// Sends the journaled batches. Returns what became of each, to be recorded.
  std::vector<DispatchOutcome> Send(const std::vector<CommandBatch>& batches);

  /// Takes the secret of a proposal to the escrow server. OK when it is surely there.
  Status Escrow(const Proposal& proposal);

  /// Pushes each enrollment once. Failures are counted; a dead token is recorded.
  Status Push(const UpstreamName& upstream, const std::vector<EnrollmentId>& ids);

  const Secrets& secrets() const { return secrets_; }
  const ExecutorCounters& counters() const { return counters_; }

 private:
  using Outcomes = std::vector<DispatchOutcome>;
  void SendBatch(const CommandBatch& batch, Outcomes& outcomes);
  void SendHalves(const CommandBatch& batch, Outcomes& outcomes);
  Result<std::string> Encode(const CommandBatch& batch);
  Result<ProposalSecrets> LoadSecrets(const Proposal& proposal);
  Status Deposit(const Proposal& proposal);
  Result<std::string> EnrollmentProfileFor(const CommandBatch& batch);
  Result<Command> ProposedCommand(const CommandBatch& batch);
  void Record(const CommandBatch& batch, const std::vector<EnqueueTargetResult>& results,
              Outcomes& outcomes);

  Store& store_;
  Upstreams& upstreams_;
  Payloads& payloads_;
  const Secrets& secrets_;
  const Clock& clock_;
  RandomSource& random_;
  Renewals* const renewals_;
  ExecutorCounters counters_;
};

}  // namespace director
