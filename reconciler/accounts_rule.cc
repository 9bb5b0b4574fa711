#include "reconciler/accounts_rule.h"

#include <fmt/core.h>

#include "mdm/command.h"

namespace director {

void DecideAccounts(const RuleContext& context, ItemWork& work) {
  const Enrollment& enrollment = context.snapshot.enrollment;
  if (work.record.acknowledged_at) {
    return SetState(work.record, ItemState::kAcknowledged,
                    fmt::format("{} acknowledged it at {}, in Setup Assistant. No report shows it.",
                                context.noun, FormatTime(*work.record.acknowledged_at)),
                    context.now);
  }
  if (!MayBeMac(context)) {
    return Block(context, work, "Only Macs have accounts that can be configured.");
  }
  if (!enrollment.awaiting_since) {
    return Block(context, work,
                 fmt::format("Accounts can be configured in Setup Assistant only: it goes out when "
                             "the device is held there.{}{}",
                             work.record.last_error.empty() ? "" : " The last attempt failed: ",
                             work.record.last_error));
  }
  if (IsHeld(context, work)) return;
  Want(context, work, request_type::kAccountConfiguration,
       fmt::format("{} is held in Setup Assistant: its accounts come first.", context.noun));
}

}  // namespace director
