// Locks and erases that MDMDirector has set and not sent: the import makes proposals of them.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "base/text.h"
#include "director/mdmdirector_import_parts.h"
#include "director/mdmdirector_proposals.h"
#include "director/mdmdirector_support.h"

namespace director::mdmdirector {
namespace {

constexpr std::size_t kProposalsPerLook = 100;

ProposalKind KindOf(const MdmDirectorPending& pending) {
  return pending.is_erase ? ProposalKind::kEraseDevice : ProposalKind::kDeviceLock;
}

std::string NamePending(const MdmDirectorPending& pending) {
  return fmt::format("{} for device {}", ProposalKindName(KindOf(pending)),
                     Printable(pending.udid, kEnrollmentIdSizeMaxBytes));
}

/// Why MDMDirector's own facts forbid to send it; empty when they do not. What may have reached the
/// queue is not sent a second time. A lock that was acknowledged goes on, as MDMDirector's flag
/// does; an erase may have been what set the device up anew.
std::string WhyNot(const MdmDirectorPending& pending) {
  if (pending.is_queued) {
    return "MDMDirector has sent it and the device has not done it: it waits in the MDM server's "
           "queue";
  }
  if (pending.is_erase && pending.was_acknowledged) {
    return "the device has acknowledged one; whether another is meant is not known";
  }
  return {};
}

/// A proposal of this kind that Director has or had for the device, by whomever.
Result<std::optional<Proposal>> EarlierProposal(StoreReader& reader, const EnrollmentId& id,
                                                ProposalKind kind) {
  PageRequest page{"", kProposalsPerLook};
  while (true) {
    auto found = reader.ListProposals({.enrollment_id = id}, page);
    if (!found) return Fail(found.error());
    const auto earlier = std::find_if(found->begin(), found->end(), [&](const Proposal& proposal) {
      return proposal.kind == kind;
    });
    if (earlier != found->end()) return std::optional<Proposal>(std::move(*earlier));
    if (found->size() < page.limit) return std::optional<Proposal>();
    page.after = std::to_string(found->back().proposal_id);
  }
}

/// What became, or would become, of one.
struct PendingOutcome {
  std::string line;
  bool is_problem = false;
  bool is_change = false;
};

PendingOutcome PendingProblem(const MdmDirectorPending& pending, const std::string& why) {
  return {
      fmt::format("{} is pending in MDMDirector and not proposed: {}", NamePending(pending), why),
      true, false};
}

/// True when an error is about this one device and not about the database.
bool IsAboutDevice(const Error& error) {
  return IsAboutRow(error) || error.kind == ErrorKind::kConflict ||
         error.kind == ErrorKind::kNotFound;
}

/// What stands in the way of a proposal for a device that Director knows; the words of `Propose`.
Status CheckDevice(StoreReader& reader, const Enrollment& device, ProposalKind kind) {
  const bool takes_commands = device.status == EnrollmentStatus::kEnrolled ||
                              device.status == EnrollmentStatus::kAuthenticated;
  if (!takes_commands) {
    return Fail(ErrorKind::kConflict, "the device has checked out or is in quarantine");
  }
  const auto open = OpenProposal(reader, device.channel.enrollment_id);
  if (!open) return Fail(open.error());
  if (!*open) return {};
  const bool makes_way = kind == ProposalKind::kEraseDevice &&
                         (*open)->kind == ProposalKind::kDeviceLock &&
                         (*open)->state == ProposalState::kWaiting;
  if (makes_way) return {};
  return Fail(ErrorKind::kConflict, fmt::format("the device has an open proposal, {} by {}",
                                                ProposalKindName((*open)->kind), (*open)->source));
}

class PendingPass {
 public:
  PendingPass(const ImportPlaces& places, ImportMode mode) : places_(places), mode_(mode) {}

  /// Errors are those of the store.
  Result<PendingOutcome> Take(const MdmDirectorPending& pending) {
    const std::string forbidden = WhyNot(pending);
    if (!forbidden.empty()) return PendingProblem(pending, forbidden);
    PendingOutcome outcome;
    const Status done = mode_ == ImportMode::kPlan
                            ? places_.store.Read([&](StoreReader& reader) -> Status {
                                Enrollment device;
                                ProposalRequest request;
                                return Look(reader, pending, device, request, outcome);
                              })
                            : places_.store.Write([&](StoreWriter& writer) -> Status {
                                return Propose(writer, pending, outcome);
                              });
    if (done) {
      planned_ += mode_ == ImportMode::kPlan && outcome.is_change ? 1 : 0;
      return outcome;
    }
    if (!IsAboutDevice(done.error())) return Fail(done.error());
    return PendingProblem(pending, done.error().message);
  }

 private:
  /// What is to be done, after every check that can be made before. kNotFound when Director does
  /// not know the device and the import does not make it known.
  Status Look(StoreReader& reader, const MdmDirectorPending& pending, Enrollment& device,
              ProposalRequest& request, PendingOutcome& outcome) {
    outcome = {"to propose: " + NamePending(pending), false, true};
    auto found = FindByUdid(reader, pending.udid);
    if (!found) return Fail(found.error());
    const bool will_be_known = mode_ == ImportMode::kPlan && pending.is_enrolled;
    if (!*found && !will_be_known) {
      return Fail(ErrorKind::kNotFound, "Director does not know the device");
    }
    if (*found) {
      device = std::move(**found);
      if (Status looked = LookForEarlier(reader, pending, device, outcome); !looked) return looked;
      if (!outcome.is_change) return {};
      Status fits = CheckDevice(reader, device, KindOf(pending));
      if (!fits) return fits;
    } else {
      device.product_name = pending.product_name;
    }
    return MakeRequest(reader, pending, device, request);
  }

  static Status LookForEarlier(StoreReader& reader, const MdmDirectorPending& pending,
                               const Enrollment& device, PendingOutcome& outcome) {
    const auto earlier = EarlierProposal(reader, device.channel.enrollment_id, KindOf(pending));
    if (!earlier) return Fail(earlier.error());
    if (!*earlier) return {};
    outcome = {
        fmt::format("already: {} was proposed by {} at {} and is {}; it is not proposed "
                    "again",
                    NamePending(pending), (*earlier)->source, FormatTime((*earlier)->created_at),
                    ProposalStateName((*earlier)->state)),
        false, false};
    return {};
  }

  Status MakeRequest(StoreReader& reader, const MdmDirectorPending& pending,
                     const Enrollment& device, ProposalRequest& request) {
    request = FlagRequest(KindOf(pending), "It was pending in MDMDirector.");
    const bool needs_pin = NeedsPin(request.kind, device);
    if (needs_pin) request.pin = pending.pin;
    if (Status checked = CheckProposal(request); !checked) {
      return Fail(checked.error().kind, "MDMDirector's PIN " + checked.error().message);
    }
    if (needs_pin && !places_.settings.secrets->can_seal()) {
      return Fail(ErrorKind::kRejected,
                  "a Mac needs a PIN, and PINs are only kept sealed: set data_key_file");
    }
    const auto spent = reader.CountProposalsSince(places_.clock.Now() - std::chrono::hours(1));
    if (!spent) return Fail(spent.error());
    const std::int64_t allowed = places_.settings.proposals.per_hour_max;
    if (*spent + planned_ < allowed) return {};
    return Fail(
        ErrorKind::kRejected,
        fmt::format("proposals_per_hour_max allows {} in an hour; import again later", allowed));
  }

  Status Propose(StoreWriter& writer, const MdmDirectorPending& pending, PendingOutcome& outcome) {
    if (Status locked = writer.LockDesired(); !locked) return locked;
    Enrollment device;
    ProposalRequest request;
    Status looked = Look(writer, pending, device, request, outcome);
    if (!looked || !outcome.is_change) return looked;
    outcome.line = fmt::format("proposed: {}{}", NamePending(pending),
                               request.pin.empty() ? "" : ", with MDMDirector's PIN");
    return RaiseFlag(writer, *places_.settings.secrets, places_.settings.proposals,
                     device.channel.enrollment_id, request, places_.clock.Now());
  }

  const ImportPlaces& places_;
  const ImportMode mode_;
  std::int64_t planned_ = 0;  ///< proposals that an import would make before this one
};

}  // namespace

Status TakePending(const ImportPlaces& places, ImportMode mode, ImportOutcome& outcome) {
  if (places.settings.secrets == nullptr) return {};
  const auto all = places.source.ListPending();
  if (!all) return Fail(all.error());
  PendingPass pass(places, mode);
  for (const MdmDirectorPending& pending : *all) {
    const Result<PendingOutcome> one = pass.Take(pending);
    if (!one) return Fail(one.error());
    outcome.changes += one->is_change ? 1 : 0;
    if (one->is_problem) {
      places.lines.Problem(one->line);
    } else {
      places.lines.SayOnce(one->line);
    }
  }
  return {};
}

}  // namespace director::mdmdirector
