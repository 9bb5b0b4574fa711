#include "reconciler/item_work.h"

#include <array>
#include <string_view>
#include <utility>

#include "mdm/item_definition.h"
#include "reconciler/backoff.h"

namespace director {
namespace {

/// True when the item is not tried again by itself.
bool IsLastAttempt(const ItemRecord& record, ErrorClass error_class, const Settings& settings) {
  switch (error_class) {
    case ErrorClass::kPermanent:
    case ErrorClass::kUser:
      return true;
    case ErrorClass::kUnknown:
    case ErrorClass::kTransient:
      if (KindOf(record.payload_identifier) == ItemKind::kApp) {
        return record.attempts >= settings.app_attempts_max;
      }
      // An authority that is away for a weekend must not cost a fleet its identities.
      if (error_class == ErrorClass::kTransient) return false;
      if (KindOf(record.payload_identifier) == ItemKind::kIdentity) {
        return record.attempts >= settings.renewal.attempts_max;
      }
      return record.attempts >= settings.unknown_attempts_max;
    case ErrorClass::kServer:
    case ErrorClass::kDone:
      return false;
  }
  return false;
}

Duration PauseAfter(const ItemRecord& record, ErrorClass error_class, const Enrollment& enrollment,
                    const Settings& settings, Timestamp now) {
  const ItemKind kind = KindOf(record.payload_identifier);
  if (kind == ItemKind::kIdentity) {
    return RenewalRetryDelay(record.attempts, enrollment, settings, now);
  }
  if (kind == ItemKind::kApp && error_class != ErrorClass::kServer) return settings.app_retry_delay;
  return RetryDelay(error_class, record.attempts, settings);
}

}  // namespace

void SetState(ItemRecord& record, ItemState state, std::string reason, Timestamp now,
              std::optional<Timestamp> due_at) {
  if (record.state != state || record.state_since == Timestamp()) record.state_since = now;
  record.state = state;
  record.reason = std::move(reason);
  record.due_at = due_at;
}

bool WaitsForDevice(const ItemWork& item) {
  return item.wanted.has_value() || item.needs_report || item.needs_app_list ||
         item.needs_certificate_list;
}

void CountFailedAttempt(ItemRecord& record, ErrorClass error_class, const Enrollment& enrollment,
                        const Settings& settings, Timestamp now) {
  ++record.attempts;
  if (IsLastAttempt(record, error_class, settings)) {
    record.parked = true;
    record.parked_build = enrollment.build_version;
    record.next_attempt_at.reset();
    return;
  }
  const std::string key =
      enrollment.channel.enrollment_id.value() + record.payload_identifier.value();
  const Duration pause = PauseAfter(record, error_class, enrollment, settings, now);
  record.next_attempt_at = now + Jittered(pause, key);
}

bool IsMac(const Enrollment& enrollment) {
  const std::string& product = enrollment.product_name;
  return product.starts_with("Mac") || product.starts_with("VirtualMac") ||
         product.starts_with("iMac");
}

std::string DeviceNoun(const Enrollment& enrollment) {
  if (IsMac(enrollment)) return "The Mac";
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kNouns{{
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
