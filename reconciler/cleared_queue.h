#pragma once

#include "reconciler/state.h"

namespace director {

/// What became of an enrollment's queue at its MDM server.
enum class QueueClearing {
  kCleared,
  kPerhaps,  ///< the server's answer was lost
};

/// Returns a command that was open when its queue was cleared as it stands now.
///
/// The device may have been given it before, and then carries it out and answers. So a change
/// becomes kUnknown: still open, and nothing is sent for its item until an answer, a report that
/// was asked for later, or the time for answers has settled it. A question does no harm twice: of a
/// cleared queue it is kNotSent and asked again after `retry_delay_min`, which also bounds what
/// clearing again and again can ask; of one that was perhaps cleared it is kUnknown. A command that
/// a person proposed is kLost when the queue was cleared: it is not sent a second time. One that is
/// kJournaled is being sent at this moment and stays: its outcome is recorded by whoever sends it.
/// Pure; cannot fail. Requires: the intent is open.
Intent AfterClearing(Intent intent, QueueClearing clearing, Timestamp now);

}  // namespace director
