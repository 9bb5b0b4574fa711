#include "reconciler/item_rule.h"

#include "mdm/item_definition.h"
#include "reconciler/accounts_rule.h"
#include "reconciler/app_rule.h"
#include "reconciler/identity_rule.h"
#include "reconciler/profile_rule.h"

namespace director {
namespace {

void DecideOne(const ProfileContext& context, ItemWork& work) {
  if (!work.desired.conflict.empty()) return Block(context, work, work.desired.conflict);
  if (work.open != nullptr) return DescribeOpen(context, work);
  switch (KindOf(work.record.payload_identifier)) {
    case ItemKind::kProfile:
      return DecideProfile(context, work);
    case ItemKind::kApp:
      return DecideApp(context, work);
    case ItemKind::kAccounts:
      return DecideAccounts(context, work);
    case ItemKind::kIdentity:
      return DecideIdentity(context, work);
  }
}

}  // namespace

void DecideItems(const Snapshot& snapshot, const Settings& settings, Timestamp now,
                 std::vector<ItemWork>& items) {
  const std::vector<ReportedProfile> none;
  const auto& reported = snapshot.profile_list ? snapshot.profile_list->profiles : none;
  const ProfileContext context{{snapshot, settings, now, DeviceNoun(snapshot.enrollment)},
                               IdentifierIndex(reported)};
  for (ItemWork& work : items) DecideOne(context, work);
}

}  // namespace director
