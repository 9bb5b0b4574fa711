#include "reconciler/item_work.h"

#include <array>
#include <string_view>
#include <utility>

namespace director {

void SetState(ItemRecord& record, ItemState state, std::string reason, Timestamp now,
              std::optional<Timestamp> due_at) {
  if (record.state != state || record.state_since == Timestamp()) record.state_since = now;
  record.state = state;
  record.reason = std::move(reason);
  record.due_at = due_at;
}

std::string DeviceNoun(const Enrollment& enrollment) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kNouns{{
      {"Mac", "The Mac"},
      {"VirtualMac", "The Mac"},
      {"iMac", "The Mac"},
      {"iPhone", "The iPhone"},
      {"iPad", "The iPad"},
      {"AppleTV", "The Apple TV"},
      {"Watch", "The Apple Watch"},
      {"RealityDevice", "The Vision Pro"},
  }};
  for (const auto& [prefix, noun] : kNouns) {
    if (enrollment.product_name.starts_with(prefix)) return std::string(noun);
  }
  return "The device";
}

}  // namespace director
