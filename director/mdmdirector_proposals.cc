// Lock and erase by MDMDirector's path: its flags are proposals.
#include "director/mdmdirector_proposals.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/secret.h"
#include "director/mdmdirector_api.h"
#include "director/mdmdirector_support.h"

namespace director::mdmdirector {
namespace {

/// Of one device: at most one is open, the others are answered.
constexpr std::size_t kUnfinishedMax = 100;

/// `{"udids": [...], "serial_numbers": [...], "value": true, "pin": "..."}`. An empty PIN is none.
Result<ProposalRequest> ReadFlag(JsonBody& body, ProposalKind kind) {
  ProposalRequest request =
      FlagRequest(kind, fmt::format("{} was set by MDMDirector's path", ProposalKindName(kind)));
  const bool has_pin = body.Has("pin") && body.json()["pin"] != "";
  if (has_pin) request.pin = Secret(body.OptionalString("pin", ""));
  if (!body.problems().empty()) return Fail(body.problems().front());
  if (Status checked = CheckProposal(request); !checked) return Fail(checked.error());
  return request;
}

/// A device has one open proposal at most, and MDMDirector's flags know of no other kind: a restart
/// that waits must not keep a stolen Mac from being locked, nor a lock it from being erased.
int UrgencyOf(ProposalKind kind) {
  if (kind == ProposalKind::kEraseDevice) return 2;
  return kind == ProposalKind::kDeviceLock ? 1 : 0;
}

Status Cancel(StoreWriter& writer, const Proposal& proposal, Timestamp now) {
  const auto cancelled = CancelProposal(writer, proposal.proposal_id, kSource, now);
  if (!cancelled) return Fail(cancelled.error());
  return {};
}

/// The flag is set: only its PIN has to fit.
Status KeepFlag(StoreWriter& writer, const Secrets& secrets, Proposal open,
                const ProposalRequest& wanted) {
  if (!wanted.pin.empty() && open.has_secret) {
    const Result<SealedSecrets> sealed = writer.LoadSealedSecrets(open.proposal_id);
    if (!sealed) return Fail(sealed.error());
    const Result<Secret> pin = secrets.Open(sealed->secret, open.enrollment_id);
    if (!pin) return Fail(pin.error());
    if (!ConstantTimeEquals(pin->Reveal(), wanted.pin.Reveal())) {
      return Fail(ErrorKind::kConflict, "it is set already with another PIN; take it back first");
    }
  }
  if (!open.cancelled_at) return {};
  open.cancelled_at.reset();
  return writer.SaveProposal(open);
}

}  // namespace

ProposalRequest FlagRequest(ProposalKind kind, std::string reason) {
  ProposalRequest request;
  request.kind = kind;
  request.source = kSource;
  request.reason = std::move(reason);
  request.repeats = kind == ProposalKind::kDeviceLock;
  return request;
}

Result<std::optional<Proposal>> OpenProposal(StoreReader& reader, const EnrollmentId& id) {
  auto found = reader.ListProposals({.enrollment_id = id, .only_open = true}, {"", kUnfinishedMax});
  if (!found) return Fail(found.error());
  const auto open = std::find_if(found->begin(), found->end(),
                                 [](const Proposal& proposal) { return IsOpen(proposal.state); });
  if (open == found->end()) return std::optional<Proposal>();
  return std::optional<Proposal>(std::move(*open));
}

Status RaiseFlag(StoreWriter& writer, const Secrets& secrets, const ProposalLimits& limits,
                 const EnrollmentId& id, const ProposalRequest& wanted, Timestamp now) {
  const auto open = OpenProposal(writer, id);
  if (!open) return Fail(open.error());
  if (*open && (*open)->kind == wanted.kind) return KeepFlag(writer, secrets, **open, wanted);
  const bool makes_way = *open && (*open)->state == ProposalState::kWaiting &&
                         UrgencyOf((*open)->kind) < UrgencyOf(wanted.kind);
  if (makes_way) {
    if (Status cancelled = Cancel(writer, **open, now); !cancelled) return cancelled;
  }
  const auto proposed = Propose(writer, secrets, limits, id, wanted, now);
  if (!proposed) return Fail(proposed.error());
  return {};
}

HttpServerResponse Api::SetFlag(const HttpServerRequest& request, ProposalKind kind) {
  Result<JsonBody> body = JsonBody::Parse(request.body);
  if (!body) return Problem(body.error());
  body->LowerCaseKeys();
  const DeviceNames names = ReadDeviceNames(*body);
  const bool is_set = body->OptionalBool("value");
  const bool push_now = body->OptionalBool("push_now");
  if (!body->problems().empty()) return Problem(body->problems().front());
  // To take a flag back nothing else has to be right.
  const Result<ProposalRequest> wanted =
      is_set ? ReadFlag(*body, kind) : Result<ProposalRequest>(ProposalRequest{});
  if (!wanted) return Problem(wanted.error());
  const Timestamp now = deps_.clock.Now();
  std::vector<Enrollment> devices;
  const Status done = deps_.store.Write([&](StoreWriter& writer) -> Status {
    if (Status locked = writer.LockDesired(); !locked) return locked;
    auto found = FindNamed(writer, names);
    if (!found) return Fail(found.error());
    devices = std::move(*found);
    for (const Enrollment& device : devices) {
      const EnrollmentId& id = device.channel.enrollment_id;
      Status changed = is_set ? RaiseFlag(writer, deps_.secrets, deps_.proposals, id, *wanted, now)
                              : LowerFlag(writer, id, kind);
      if (!changed) {
        changed.error().message = UdidOf(device) + ": " + changed.error().message;
        return changed;
      }
    }
    return {};
  });
  if (!done) return Problem(done.error());
  deps_.notify();
  if (deps_.departures != nullptr && is_set && push_now) {
    // MDMDirector only logs what becomes of it.
    if (const auto awaited = deps_.departures->Await(devices, now); !awaited) {
      return Problem(awaited.error());
    }
  }
  return Done();
}

Status Api::LowerFlag(StoreWriter& writer, const EnrollmentId& id, ProposalKind kind) {
  const auto open = OpenProposal(writer, id);
  if (!open) return Fail(open.error());
  if (!*open || (*open)->kind != kind) return {};
  // What is on its way and will not be sent again is as far back as it can be taken.
  const bool is_final = (*open)->state == ProposalState::kSent && !(*open)->repeats;
  if (is_final || (*open)->cancelled_at) return {};
  return Cancel(writer, **open, deps_.clock.Now());
}

}  // namespace director::mdmdirector
