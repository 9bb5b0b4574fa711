#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "director/propose.h"
#include "mdm/command.h"
#include "tests/support/catch.h"
#include "tests/support/director_world.h"
#include "tests/support/reply_identity.h"

namespace director::director_test {

/// An escrow server that remembers and can be down.
class NotingEscrow final : public Escrow {
 public:
  Status Deposit(const std::string& serial_number, SecretType type, const Secret& secret) override {
    ++calls;
    if (is_down) return Fail(ErrorKind::kUnavailable, "it is down");
    deposits.emplace_back(serial_number, secret.Reveal());
    types.push_back(type);
    return {};
  }

  int calls = 0;
  bool is_down = false;
  std::vector<std::pair<std::string, std::string>> deposits;
  std::vector<SecretType> types;
};

/// Macs that enrolled and went quiet, and an escrow server.
struct ProposalFleet {
  explicit ProposalFleet(std::size_t macs = 1) : world(macs) {
    auto server = std::make_unique<NotingEscrow>();
    escrow = server.get();
    world.secrets = Secrets(TestDataKey(), std::move(server), ReuseReplyIdentity);
    world.SessionOfEach();
    world.Run(std::chrono::hours(1));
  }

  Result<Proposal> TryToPropose(ProposalRequest request, std::size_t index = 0) {
    request.reason = "Stolen on the train";
    request.source = "ada";
    if (Status made = PrepareProposal(world.secrets, world.clock.Now(), request); !made) {
      return Fail(made.error());
    }
    Result<Proposal> proposal = Fail(ErrorKind::kInvalid, "not run");
    const Status done = world.store->Write([&](StoreWriter& writer) -> Status {
      if (Status locked = writer.LockDesired(); !locked) return locked;
      proposal =
          Propose(writer, world.secrets, limits, world.id(index), request, world.clock.Now());
      if (!proposal) return Fail(proposal.error());
      return {};
    });
    if (!done) return Fail(done.error());
    return proposal;
  }
  Proposal MustPropose(const ProposalRequest& request, std::size_t index = 0) {
    const Result<Proposal> proposal = TryToPropose(request, index);
    INFO((proposal ? std::string() : ErrorForLog(proposal.error())));
    REQUIRE(proposal);
    return *proposal;
  }
  Proposal MustPropose(ProposalKind kind, std::size_t index = 0) {
    ProposalRequest request;
    request.kind = kind;
    return MustPropose(request, index);
  }
  /// Proposes it for the first Mac and lets it come to its end.
  Proposal Carry(const ProposalRequest& request) {
    const Proposal proposal = MustPropose(request);
    world.Run(std::chrono::minutes(30));
    return Now(proposal);
  }
  /// The same, but whatever the Mac says about the command gets lost.
  Proposal LoseAnswer(const ProposalRequest& request) {
    const std::string_view request_type = ProposalKindName(request.kind);
    const Proposal proposal = MustPropose(request);
    const std::size_t sent = world.CountEnqueued(request_type);
    while (world.CountEnqueued(request_type) == sent) {
      world.Settle();
      REQUIRE(world.clock.Now() < proposal.expires_at);
      if (world.CountEnqueued(request_type) == sent) world.Session(0);
    }
    world.drop_webhooks = true;
    world.Session(0);
    world.drop_webhooks = false;
    world.Run(std::chrono::hours(12));
    world.Session(0);
    world.Run(std::chrono::hours(1));
    return Now(proposal);
  }
  Result<Proposal> Cancel(const Proposal& proposal) {
    Result<Proposal> cancelled = Fail(ErrorKind::kInvalid, "not run");
    const Status done = world.store->Write([&](StoreWriter& writer) -> Status {
      cancelled = CancelProposal(writer, proposal.proposal_id, "ada", world.clock.Now());
      if (!cancelled) return Fail(cancelled.error());
      return {};
    });
    if (!done) return Fail(done.error());
    return cancelled;
  }
  Proposal Now(const Proposal& proposal) {
    return ReadFrom(*world.store,
                    [&](StoreReader& reader) { return reader.LoadProposal(proposal.proposal_id); });
  }
  SealedSecrets Sealed(const Proposal& proposal) {
    return ReadFrom(*world.store, [&](StoreReader& reader) {
      return reader.LoadSealedSecrets(proposal.proposal_id);
    });
  }
  std::string Serial(std::size_t index = 0) const {
    return world.devices[index].facts().serial_number;
  }
  /// The PINs of the commands that reached the server.
  std::vector<std::string> SentPins(std::string_view request_type) const {
    std::vector<std::string> pins;
    for (const EnqueueCall& call : world.Enqueued(request_type)) {
      pins.push_back(TextAt(DecodeCommand(call.body)->body, "PIN"));
    }
    return pins;
  }

  World world;
  NotingEscrow* escrow = nullptr;
  ProposalLimits limits;
};

inline void CheckRefused(const Result<Proposal>& refused, ErrorKind kind, const std::string& part) {
  REQUIRE_FALSE(refused);
  INFO(refused.error().message);
  CHECK(refused.error().kind == kind);
  CHECK(refused.error().message.find(part) != std::string::npos);
}

}  // namespace director::director_test
