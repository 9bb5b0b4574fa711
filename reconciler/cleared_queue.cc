#include "reconciler/cleared_queue.h"

#include "base/invariant.h"

namespace director {

Intent AfterClearing(Intent intent, QueueClearing clearing, Timestamp now) {
  INVARIANT(IsOpen(intent.state));
  if (intent.state == IntentState::kJournaled) return intent;
  if (IsProposed(intent.request_type) && clearing == QueueClearing::kCleared) {
    // The device may have fetched it before: it is not sent a second time.
    intent.state = IntentState::kLost;
    return intent;
  }
  const bool is_question = intent.payload_identifier.empty();
  if (!is_question || clearing == QueueClearing::kPerhaps) {
    intent.state = IntentState::kUnknown;
    return intent;
  }
  intent.state = IntentState::kNotSent;
  intent.answered_at = now;
  intent.error = "The queue at the MDM server was cleared.";
  return intent;
}

}  // namespace director
