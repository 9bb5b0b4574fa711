#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "director/propose.h"
#include "director/secrets.h"
#include "store/store.h"

namespace director::mdmdirector {

/// What a lock or erase flag of MDMDirector is here: a proposal of the source `mdmdirector`. A lock
/// repeats; an erase does not, for the Mac that speaks after it may be another one by then.
ProposalRequest FlagRequest(ProposalKind kind, std::string reason);

/// The device's open proposal, if it has one.
Result<std::optional<Proposal>> OpenProposal(StoreReader& reader, const EnrollmentId& id);

/// Sets a flag. One that is set already stays as it is, with its PIN; one that was just taken back
/// is set again; a less urgent proposal that waits is taken back (an erase before a lock, both
/// before all others). Requirements and errors are those of `Propose`; kConflict also when it is
/// set with another PIN.
Status RaiseFlag(StoreWriter& writer, const Secrets& secrets, const ProposalLimits& limits,
                 const EnrollmentId& id, const ProposalRequest& wanted, Timestamp now);

}  // namespace director::mdmdirector
