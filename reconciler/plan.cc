#include "reconciler/plan.h"

#include "mdm/command.h"
#include "mdm/item_definition.h"
#include "reconciler/delivery.h"
#include "reconciler/file_vault_key.h"
#include "reconciler/history.h"
#include "reconciler/item_rule.h"
#include "reconciler/item_work.h"
#include "reconciler/proposal_rule.h"

namespace director {
namespace {

/// An enrollment whose TokenUpdate is overdue may be whole all the same, since a webhook can get
/// lost: it is asked. It has been silent for longer than `awake_window` by then, so it is sent no
/// change before it speaks.
bool TakesCommands(const Enrollment& enrollment, const Settings& settings, Timestamp now) {
  return enrollment.status == EnrollmentStatus::kEnrolled ||
         (enrollment.status == EnrollmentStatus::kAuthenticated &&
          now >= TokenUpdateOverdueAt(enrollment, settings));
}

/// Only the item of the identity has one.
void TakeRenewal(const ItemWork& item, Plan& plan) {
  if (item.record.payload_identifier == IdentityItem()) plan.renewal = item.renewal;
}

}  // namespace

int ChangeRank(const PlannedCommand& command) {
  if (command.request_type == request_type::kAccountConfiguration) return 0;
  if (command.payload_identifier == IdentityItem()) return 3;
  return command.during_setup ? 1 : 2;
}

Plan Reconcile(const Snapshot& snapshot, const Settings& settings, Timestamp now) {
  Plan plan;
  plan.proposal = snapshot.proposal;
  std::vector<ItemWork> items = StartItems(snapshot, settings, now);
  const std::vector<Intent> staying = DigestIntents(snapshot, settings, now, items, plan);
  DropProposal(snapshot.enrollment, now, plan);
  if (TakesCommands(snapshot.enrollment, settings, now)) {
    DecideItems(snapshot, settings, now, items);
    Deliver(snapshot, settings, now, staying, items, plan);
  } else {
    BlockAll(snapshot, settings, now, items, plan);
  }
  DecideNewKeys(snapshot, now, plan);
  plan.items.reserve(items.size());
  for (ItemWork& item : items) {
    if (item.renewal != snapshot.enrollment.renewal) TakeRenewal(item, plan);
    plan.items.push_back(std::move(item.record));
  }
  return plan;
}

}  // namespace director
