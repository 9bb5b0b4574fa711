#pragma once

#include <optional>

#include "director/upstreams.h"
#include "reconciler/plan.h"
#include "reconciler/state.h"
#include "store/store.h"

namespace director {

/// The snapshot as the decision sees it: what is stored, whether the MDM server answers, and the
/// turns that the enrollment was given.
Snapshot WithServers(Snapshot snapshot, Upstreams& upstreams, const Settings& settings,
                     Timestamp now);

/// Until when the MDM server's queue of this device is left alone, by
/// `UpstreamLimits::settle_time`. Empty when that has passed, and for a device that another
/// director's clock has put further into the future.
std::optional<Timestamp> SettlesAt(const Enrollment& enrollment, Upstreams& upstreams,
                                   Timestamp now);

/// Books turns for what the plan sends, once however often it is decided. True when all of them
/// have come; else the snapshot tells which are ahead, and is to be decided again. A device in
/// Setup Assistant never waits, one that answers a push only for certificate authorities.
bool BookTurns(Snapshot& snapshot, const Plan& plan, Upstreams& upstreams, const Settings& settings,
               Timestamp now);
/// What was booked for the plan is used: it is about to be sent.
void UseTurns(const PlanCommit& commit, Upstreams& upstreams);

}  // namespace director
