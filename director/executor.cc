#include "director/executor.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "base/invariant.h"
#include "base/log.h"
#include "base/log_keys.h"
#include "mdm/command.h"
#include "mdm/item_definition.h"
#include "signing/reply_identity.h"

namespace director {
namespace {

/// What a person proposed first, then changes in their order, ProfileList behind everything that
/// it may show, then the end of Setup Assistant: the order of every plan.
std::pair<int, int> Rank(const PlannedCommand& command) {
  if (command.proposal_id != 0) return {0, 0};
  if (!command.payload_identifier.empty()) return {1, ChangeRank(command)};
  if (command.request_type == request_type::kDeviceConfigured) return {4, 0};
  if (command.request_type == request_type::kProfileList) return {3, 0};
  return {2, 0};
}

/// Orders the enrollments whose commands are sent one right after the other: first those of whom a
/// person approved something. The same for all others.
using Place = std::pair<bool, EnrollmentId>;

/// Where a server takes one enrollment in a request, its commands are sent before it can begin to
/// fetch them: MicroMDM's built-in queue loses a command that comes while the device answers
/// another one.
Place PlaceOf(const PlanCommit& commit, const Upstreams::Member* server) {
  if (server == nullptr || server->upstream->limits().targets_max > 1) return {};
  const auto& commands = commit.plan.commands;
  const bool has_proposed = std::any_of(commands.begin(), commands.end(), [](const auto& command) {
    return command.proposal_id != 0;
  });
  return {!has_proposed, commit.enrollment_id};
}

using BatchKey = std::tuple<Place, std::pair<int, int>, std::int64_t, PayloadIdentifier,
                            std::string, PayloadUuid, UpstreamName>;

BatchKey KeyOf(const Place& place, const PlannedCommand& command, const UpstreamName& upstream) {
  return {place,
          Rank(command),
          command.proposal_id,
          command.payload_identifier,
          command.request_type,
          command.payload_uuid,
          upstream};
}

/// `payload`: of the revision that the command brings, if it brings one.
Result<Command> ToCommand(const PlannedCommand& planned, std::string payload) {
  if (planned.request_type == request_type::kInstallProfile) {
    return InstallProfileCommand{std::move(payload)};
  }
  if (!planned.payload_uuid.empty()) {
    const Result<ItemDefinition> definition = DecodeDefinition(payload);
    if (!definition) return Fail(definition.error());
    return ToCommand(*definition);
  }
  if (planned.request_type == request_type::kRemoveProfile) {
    return RemoveProfileCommand{planned.payload_identifier};
  }
  if (planned.request_type == request_type::kRemoveApplication) {
    return RemoveApplicationCommand{std::string(BundleIdentifierOf(planned.payload_identifier))};
  }
  if (const auto kind = ParseInventoryKind(planned.request_type)) return InventoryCommand(*kind);
  if (planned.request_type == request_type::kDeviceConfigured) return DeviceConfiguredCommand{};
  INVARIANT(planned.request_type == request_type::kProfileList);
  return ProfileListCommand{};
}

SecretType TypeOfSecret(ProposalKind kind) {
  if (kind == ProposalKind::kRotateFileVaultKey) return SecretType::kRecoveryKey;
  return TakesPin(kind) ? SecretType::kUnlockPin : SecretType::kPassword;
}

Result<Command> ToRotateCommand(ProposalSecrets secrets) {
  Result<std::string> certificate = ReplyCertificate(secrets.reply_identity);
  if (!certificate) return Fail(certificate.error());
  return RotateFileVaultKeyCommand{std::move(secrets.current), std::move(*certificate)};
}

Result<Command> ToCommand(const Proposal& proposal, ProposalSecrets secrets) {
  switch (proposal.kind) {
    case ProposalKind::kDeviceLock:
      return DeviceLockCommand{std::move(secrets.secret), proposal.message, proposal.phone_number};
    case ProposalKind::kEraseDevice:
      return EraseDeviceCommand{std::move(secrets.secret)};
    case ProposalKind::kRestartDevice:
      return RestartDeviceCommand{};
    case ProposalKind::kRotateFileVaultKey:
      return ToRotateCommand(std::move(secrets));
    case ProposalKind::kSetRecoveryLock:
      return SetRecoveryLockCommand{std::move(secrets.current), std::move(secrets.secret)};
    case ProposalKind::kVerifyRecoveryLock:
      return VerifyRecoveryLockCommand{std::move(secrets.secret)};
    case ProposalKind::kShutDownDevice:
      break;
  }
  return ShutDownDeviceCommand{};
}

IntentState ToIntentState(EnqueueOutcome outcome) {
  switch (outcome) {
    case EnqueueOutcome::kQueued:
      return IntentState::kSent;
    case EnqueueOutcome::kUnavailable:
      return IntentState::kNotSent;
    case EnqueueOutcome::kRejected:
      return IntentState::kRefused;
    case EnqueueOutcome::kUnknown:
      return IntentState::kUnknown;
  }
  return IntentState::kUnknown;
}

bool All(const std::vector<EnqueueTargetResult>& results, EnqueueOutcome outcome) {
  return std::all_of(results.begin(), results.end(),
                     [&](const auto& result) { return result.outcome == outcome; });
}

std::vector<EnqueueTargetResult> Nobody(const CommandBatch& batch, EnqueueOutcome outcome,
                                        const std::string& detail) {
  std::vector<EnqueueTargetResult> results;
  for (const EnrollmentId& id : batch.targets) results.push_back({id, outcome, detail});
  return results;
}

/// The proposal as it stands, when its command may still go: much can have happened since it was
/// journaled, and it cannot be taken back.
Result<Proposal> LoadSendable(StoreReader& reader, const EnrollmentId& id,
                              const CommandUuid& command_uuid, std::int64_t proposal_id) {
  Result<Proposal> proposal = reader.LoadProposal(proposal_id);
  if (!proposal) return proposal;
  const auto enrollments = reader.LoadEnrollments({id});
  if (!enrollments) return Fail(enrollments.error());
  const auto intents = reader.LoadIntents({{id, command_uuid}});
  if (!intents) return Fail(intents.error());
  const bool is_sendable = proposal->state == ProposalState::kSent && enrollments->size() == 1 &&
                           enrollments->front().epoch == proposal->epoch &&
                           enrollments->front().status != EnrollmentStatus::kCheckedOut &&
                           enrollments->front().status != EnrollmentStatus::kQuarantined &&
                           intents->size() == 1 &&
                           intents->front().second.state == IntentState::kJournaled;
  if (is_sendable) return proposal;
  return Fail(ErrorKind::kConflict, "the enrollment has changed since it was decided");
}

}  // namespace

void Executor::ProbeAbsent() {
  for (const auto& [name, server] : upstreams_.all()) {
    if (server->health.answers() || server->health.retry_at(clock_.Now())) continue;
    if (const Result<std::string> there = server->upstream->Probe(); there) {
      server->health.RecordSuccess();
    } else {
      server->health.RecordFailure(clock_.Now(), there.error().message);
    }
  }
}

std::vector<CommandBatch> Executor::MakeBatches(std::vector<PlanCommit>& commits) {
  struct Planned {
    PlanCommit* commit;
    std::size_t index;
  };
  std::map<BatchKey, std::vector<Planned>> planned;
  for (PlanCommit& commit : commits) {
    commit.commands.clear();
    const Place place = PlaceOf(commit, upstreams_.Find(commit.upstream));
    for (const PlannedCommand& command : commit.plan.commands) {
      planned[KeyOf(place, command, commit.upstream)].push_back({&commit, commit.commands.size()});
      commit.commands.push_back({command, {}});
    }
  }
  std::vector<CommandBatch> batches;
  for (const auto& [key, members] : planned) {
    Upstreams::Member* server = upstreams_.Find(std::get<UpstreamName>(key));
    // An enrollment profile is made for one device.
    const bool is_alone = server == nullptr || std::get<PayloadIdentifier>(key) == IdentityItem();
    const std::size_t size = is_alone ? 1 : server->upstream->limits().targets_max;
    for (std::size_t i = 0; i < members.size(); ++i) {
      JournaledCommand& journaled = members[i].commit->commands[members[i].index];
      if (i % size == 0) {
        batches.push_back(
            {std::get<UpstreamName>(key), journaled.command, CommandUuid(MakeUuid(random_)), {}});
      }
      journaled.command_uuid = batches.back().command_uuid;
      batches.back().targets.push_back(members[i].commit->enrollment_id);
    }
  }
  return batches;
}

std::vector<DispatchOutcome> Executor::Send(const std::vector<CommandBatch>& batches) {
  Outcomes outcomes;
  for (const CommandBatch& batch : batches) SendBatch(batch, outcomes);
  return outcomes;
}

Result<ProposalSecrets> Executor::LoadSecrets(const Proposal& proposal) {
  SealedSecrets sealed;
  const Status read = store_.Read([&](StoreReader& reader) -> Status {
    Result<SealedSecrets> found = reader.LoadSealedSecrets(proposal.proposal_id);
    if (!found) return Fail(found.error());
    sealed = std::move(*found);
    return {};
  });
  if (!read) return Fail(read.error());
  ProposalSecrets opened;
  for (const auto& [text, secret] :
       {std::pair(&sealed.secret, &opened.secret), std::pair(&sealed.current, &opened.current),
        std::pair(&sealed.reply_identity, &opened.reply_identity)}) {
    if (text->empty()) continue;
    Result<Secret> plain = secrets_.Open(*text, proposal.enrollment_id);
    if (!plain) return Fail(plain.error());
    *secret = std::move(*plain);
  }
  return opened;
}

Result<Command> Executor::ProposedCommand(const CommandBatch& batch) {
  INVARIANT(batch.targets.size() == 1);
  Proposal proposal;
  const Status read = store_.Read([&](StoreReader& reader) -> Status {
    Result<Proposal> found =
        LoadSendable(reader, batch.targets.front(), batch.command_uuid, batch.command.proposal_id);
    if (!found) return Fail(found.error());
    proposal = std::move(*found);
    return {};
  });
  if (!read) return Fail(read.error());
  Result<ProposalSecrets> secrets = LoadSecrets(proposal);
  if (!secrets) return Fail(secrets.error());
  return ToCommand(proposal, std::move(*secrets));
}

Status Executor::Deposit(const Proposal& proposal) {
  std::string serial_number;
  SealedSecrets sealed;
  const Status read = store_.Read([&](StoreReader& reader) -> Status {
    const auto found = reader.LoadEnrollments({proposal.enrollment_id});
    if (!found) return Fail(found.error());
    if (!found->empty()) serial_number = found->front().serial_number;
    Result<SealedSecrets> secrets = reader.LoadSealedSecrets(proposal.proposal_id);
    if (!secrets) return Fail(secrets.error());
    sealed = std::move(*secrets);
    return {};
  });
  if (!read) return read;
  // The others may be sealed with a data key that is gone; they are not needed here.
  const Result<Secret> secret = secrets_.Open(sealed.secret, proposal.enrollment_id);
  if (!secret) return Fail(secret.error());
  return secrets_.Deposit(serial_number, TypeOfSecret(proposal.kind), *secret);
}

Status Executor::Escrow(const Proposal& proposal) {
  Status deposited = Deposit(proposal);
  if (deposited) {
    ++counters_.secrets_escrowed;
    return deposited;
  }
  ++counters_.escrows_failed;
  Log(LogLevel::kError, "secret could not be escrowed",
      {{log_key::kEnrollmentId, proposal.enrollment_id.value()},
       {log_key::kError, ErrorForLog(deposited.error())}});
  return deposited;
}

/// What is refused shows in the list of events.
Result<std::string> Executor::EnrollmentProfileFor(const CommandBatch& batch) {
  INVARIANT(batch.targets.size() == 1);
  const EnrollmentId& id = batch.targets.front();
  if (renewals_ == nullptr) {
    return Fail(ErrorKind::kUnavailable, "No enrollment profile is configured.");
  }
  Result<std::string> profile = renewals_->MakePayload(id);
  if (profile || profile.error().kind != ErrorKind::kRejected) return profile;
  ++counters_.renewals_refused;
  const Status told = store_.Write([&](StoreWriter& writer) {
    return writer.AddHappenings({{0, clock_.Now(), id, "command",
                                  "Its identity is not renewed. " + profile.error().message}});
  });
  if (!told) return Fail(told.error());
  return profile;
}

Result<std::string> Executor::Encode(const CommandBatch& batch) {
  if (batch.command.proposal_id != 0) {
    const Result<Command> command = ProposedCommand(batch);
    if (!command) return Fail(command.error());
    return EncodeCommand(*command, batch.command_uuid);
  }
  std::string payload;
  if (batch.command.payload_identifier == IdentityItem()) {
    Result<std::string> profile = EnrollmentProfileFor(batch);
    if (!profile) return profile;
    payload = std::move(*profile);
  } else if (!batch.command.payload_uuid.empty()) {
    auto bytes = payloads_.Get(batch.command.payload_uuid);
    if (!bytes) return Fail(bytes.error());
    payload = **bytes;
  }
  const Result<Command> command = ToCommand(batch.command, std::move(payload));
  if (!command) return Fail(command.error());
  return EncodeCommand(*command, batch.command_uuid);
}

void Executor::SendBatch(const CommandBatch& batch, Outcomes& outcomes) {
  Upstreams::Member* server = upstreams_.Find(batch.upstream);
  if (server == nullptr || server->health.retry_at(clock_.Now())) {
    const std::string why =
        server == nullptr ? "no such MDM server is configured" : server->health.problem();
    return Record(batch, Nobody(batch, EnqueueOutcome::kUnavailable, why), outcomes);
  }
  Result<std::string> command = Encode(batch);
  if (!command) {
    Log(LogLevel::kError, "command could not be made",
        {{log_key::kRequestType, batch.command.request_type},
         {log_key::kError, ErrorForLog(command.error())}});
    return Record(batch, Nobody(batch, EnqueueOutcome::kUnavailable, command.error().message),
                  outcomes);
  }
  ++counters_.enqueue_requests;
  EnqueueRequest request{batch.command_uuid, batch.command.request_type, std::move(*command),
                         batch.targets};
  const std::vector<EnqueueTargetResult> results = server->upstream->Enqueue(request);
  INVARIANT(results.size() == batch.targets.size());
  const bool nobody = All(results, EnqueueOutcome::kUnavailable);
  const bool broken = nobody || All(results, EnqueueOutcome::kUnknown);
  if (!broken) {
    server->health.RecordSuccess();
  } else if (!server->upstream->Probe()) {
    server->health.RecordFailure(clock_.Now(), results.front().detail);
  } else if (nobody && batch.targets.size() > 1) {
    // The server is there and refused the request as a whole: one bad enrollment must not hold up
    // the others.
    return SendHalves(batch, outcomes);
  }
  Record(batch, results, outcomes);
}

void Executor::SendHalves(const CommandBatch& batch, Outcomes& outcomes) {
  const auto middle = batch.targets.begin() + static_cast<std::ptrdiff_t>(batch.targets.size() / 2);
  for (const auto& [first, last] :
       {std::pair(batch.targets.begin(), middle), std::pair(middle, batch.targets.end())}) {
    CommandBatch half{batch.upstream, batch.command, CommandUuid(MakeUuid(random_)), {first, last}};
    const Status moved = store_.Write([&](StoreWriter& writer) {
      return writer.MoveIntents(batch.command_uuid, half.command_uuid, half.targets);
    });
    if (moved) {
      SendBatch(half, outcomes);
    } else {
      Record(half, Nobody(half, EnqueueOutcome::kUnavailable, moved.error().message), outcomes);
      // A commit whose connection was lost may not have happened: then they have the old one.
      for (const EnrollmentId& id : half.targets) {
        outcomes.push_back({id, batch.command_uuid, IntentState::kNotSent, moved.error().message});
      }
    }
  }
}

void Executor::Record(const CommandBatch& batch, const std::vector<EnqueueTargetResult>& results,
                      Outcomes& outcomes) {
  for (const EnqueueTargetResult& result : results) {
    if (result.outcome == EnqueueOutcome::kQueued) {
      ++counters_.commands_queued;
    } else {
      ++counters_.commands_failed;
    }
    outcomes.push_back(
        {result.enrollment_id, batch.command_uuid, ToIntentState(result.outcome), result.detail});
  }
  if (All(results, EnqueueOutcome::kQueued)) return;
  Log(LogLevel::kWarning, "MDM server did not queue a command for everybody",
      {{log_key::kUpstream, batch.upstream.value()},
       {log_key::kCommandUuid, batch.command_uuid.value()},
       {log_key::kRequestType, batch.command.request_type},
       {log_key::kCount, static_cast<std::int64_t>(results.size())},
       {log_key::kReason, results.front().detail}});
}

Status Executor::Push(const UpstreamName& name, const std::vector<EnrollmentId>& ids) {
  Upstreams::Member* server = upstreams_.Find(name);
  if (server == nullptr) return {};
  const std::size_t size = server->upstream->limits().targets_max;
  std::vector<EnrollmentId> unregistered;
  for (std::size_t i = 0; i < ids.size(); i += size) {
    if (server->health.retry_at(clock_.Now())) break;
    const std::vector<EnrollmentId> chunk(
        ids.begin() + static_cast<std::ptrdiff_t>(i),
        ids.begin() + static_cast<std::ptrdiff_t>(std::min(ids.size(), i + size)));
    for (const PushTargetResult& result : server->upstream->Push(chunk)) {
      if (result.outcome == PushOutcome::kSent) ++counters_.pushes_sent;
      if (result.outcome != PushOutcome::kSent) ++counters_.pushes_failed;
      if (result.outcome == PushOutcome::kUnregistered)
        unregistered.push_back(result.enrollment_id);
    }
  }
  if (unregistered.empty()) return {};
  return store_.Write([&](StoreWriter& writer) { return writer.MarkUnregistered(unregistered); });
}

}  // namespace director
