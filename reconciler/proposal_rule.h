#pragma once

#include <string>
#include <vector>

#include "reconciler/plan.h"
#include "reconciler/state.h"

namespace director {

/// Drops the proposal in `plan` when it is still open and the enrollment that it was proposed for
/// has ended (another epoch, or checked out), or when the device has authenticated since: that is
/// taken for a renewal of its identity, but an erase must not rest on it. For after the answers are
/// taken. Pure.
void DropProposal(const Enrollment& enrollment, Timestamp now, Plan& plan);

/// True when the intent is of this proposal's command: there is one open proposal at a time. Pure.
bool IsOf(const Intent& intent, const Proposal& proposal);

/// Takes a final answer to the proposal's command into it: done, failed for good, or to be tried
/// again, because it was surely not sent or its error passes. Pure.
void TakeProposalAnswer(const Intent& intent, const Settings& settings, Timestamp now,
                        Proposal& proposal);

/// The proposal's command got no answer and none is awaited any more. It is not sent a second time
/// by itself, for the first may have been carried out. Only a lock that repeats goes on. Pure.
void GiveUpProposalAnswer(const Intent& intent, Timestamp now, Proposal& proposal);

/// A person takes the proposal back: one that waits has ended; one that is on its way is not sent
/// once more. Pure. Requires: it is open.
void TakeBack(const std::string& source, Timestamp now, Proposal& proposal);

/// The escrow server failed at another secret just before: this one is tried later. Pure.
void PutOffEscrow(const Settings& settings, Timestamp now, Proposal& proposal);

/// The escrow server has taken the secret, or has failed to: then it is asked again later. Pure.
void TakeEscrowAnswer(const Status& deposited, const Settings& settings, Timestamp now,
                      Proposal& proposal);

/// Decides what the proposal in `plan` needs: to expire, to have its secret escrowed
/// (`plan.escrow`), or to be sent (true) as soon as the device is awake. `staying` are the intents
/// that are still open. Brings `plan.due_at` forward to what passes by itself. Pure.
bool DecideProposal(const Snapshot& snapshot, const std::vector<Intent>& staying, Timestamp now,
                    Plan& plan);

/// The command of the proposal; it is under way from now on. Pure.
PlannedCommand SendProposal(Proposal& proposal, Timestamp now);

/// Nothing is sent to the enrollment, for the reason `why`; the proposal ends when its time is
/// over. Pure.
void HoldProposal(const std::string& why, Timestamp now, Plan& plan);

}  // namespace director
