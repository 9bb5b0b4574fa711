// Locks and erases that MDMDirector has set and not sent: the import makes proposals of them.
#include <fmt/core.h>

#include <algorithm>
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
  return {fmt::format("problem: {} is pending in MDMDirector and not proposed: {}",
                      NamePending(pending), why),
          true, false};
}

/// True when an error is about this one device and not about the database.
bool IsAboutDevice(const Error& error) {
  return IsAboutRow(error) || error.kind == ErrorKind::kConflict ||
         error.kind == ErrorKind::kNotFound;
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
                                return Look(reader, pending, outcome, nullptr);
                              })
                            : places_.store.Write([&](StoreWriter& writer) -> Status {
                                return Propose(writer, pending, outcome);
                              });
    if (done) return outcome;
    if (!IsAboutDevice(done.error())) return Fail(done.error());
    return PendingProblem(pending, done.error().message);
  }

 private:
  /// What is to be done; kNotFound when Director does not know the device and the import does not
  /// make it known. `device` may be null.
  Status Look(StoreReader& reader, const MdmDirectorPending& pending, PendingOutcome& outcome,
              std::optional<Enrollment>* device) {
    outcome = {"to propose: " + NamePending(pending), false, true};
    auto found = FindByUdid(reader, pending.udid);
    if (!found) return Fail(found.error());
    if (!*found && mode_ == ImportMode::kPlan && pending.is_enrolled) return {};
    if (!*found) return Fail(ErrorKind::kNotFound, "Director does not know the device");
    const auto earlier = EarlierProposal(reader, (*found)->channel.enrollment_id, KindOf(pending));
    if (!earlier) return Fail(earlier.error());
    if (*earlier) {
      outcome = {
          fmt::format("already: {} was proposed by {} at {} and is {}; it is not proposed "
                      "again",
                      NamePending(pending), (*earlier)->source, FormatTime((*earlier)->created_at),
                      ProposalStateName((*earlier)->state)),
          false, false};
    }
    if (device != nullptr) *device = std::move(*found);
    return {};
  }

  Status Propose(StoreWriter& writer, const MdmDirectorPending& pending, PendingOutcome& outcome) {
    if (Status locked = writer.LockDesired(); !locked) return locked;
    std::optional<Enrollment> device;
    if (Status looked = Look(writer, pending, outcome, &device); !looked) return looked;
    if (!outcome.is_change) return {};
    ProposalRequest wanted = FlagRequest(KindOf(pending), "It was pending in MDMDirector.");
    if (NeedsPin(wanted.kind, *device)) wanted.pin = pending.pin;
    if (Status checked = CheckProposal(wanted); !checked) {
      return Fail(checked.error().kind, "MDMDirector's PIN " + checked.error().message);
    }
    outcome.line = fmt::format("proposed: {}{}", NamePending(pending),
                               wanted.pin.empty() ? "" : ", with MDMDirector's PIN");
    return RaiseFlag(writer, *places_.settings.secrets, places_.settings.proposals,
                     device->channel.enrollment_id, wanted, places_.clock.Now());
  }

  const ImportPlaces& places_;
  const ImportMode mode_;
};

}  // namespace

Status TakePending(const ImportPlaces& places, ImportMode mode, std::set<std::string>& said,
                   ImportOutcome& outcome) {
  const auto all = places.source.ListPending();
  if (!all) return Fail(all.error());
  PendingPass pass(places, mode);
  for (const MdmDirectorPending& pending : *all) {
    const Result<PendingOutcome> one = pass.Take(pending);
    if (!one) return Fail(one.error());
    outcome.changes += one->is_change ? 1 : 0;
    const bool is_new = said.insert(one->line).second;
    outcome.problems += is_new && one->is_problem ? 1 : 0;
    if (is_new) places.say(one->line);
  }
  return {};
}

}  // namespace director::mdmdirector
