#include "reconciler/plan.h"

#include "reconciler/delivery.h"
#include "reconciler/history.h"
#include "reconciler/item_rule.h"
#include "reconciler/item_work.h"

namespace director {

Plan Reconcile(const Snapshot& snapshot, const Settings& settings, Timestamp now) {
  Plan plan;
  std::vector<ItemWork> items = StartItems(snapshot, now);
  const std::vector<Intent> staying = DigestIntents(snapshot, settings, now, items, plan);
  if (snapshot.enrollment.status == EnrollmentStatus::kEnrolled) {
    for (ItemWork& item : items) DecideItem(snapshot, settings, now, item);
    Deliver(snapshot, settings, now, staying, items, plan);
  } else {
    BlockAll(snapshot, now, items, plan);
  }
  plan.items.reserve(items.size());
  for (ItemWork& item : items) plan.items.push_back(std::move(item.record));
  return plan;
}

}  // namespace director
