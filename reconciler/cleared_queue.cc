#include "reconciler/cleared_queue.h"

#include "base/invariant.h"

namespace director {

Intent AfterClearing(Intent intent, QueueClearing clearing, Timestamp now) {
  INVARIANT(IsOpen(intent.state));
  if (intent.state == IntentState::kJournaled) return intent;
  const bool is_proposed = IsProposed(intent.request_type);
  if (is_proposed && clearing == QueueClearing::kCleared) {
    intent.state = IntentState::kLost;
    return intent;
  }
  const bool is_question = intent.payload_identifier.empty() && !is_proposed;
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
