#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "reconciler/state.h"
#include "store/store.h"

namespace director {

/// What is kept of a report besides its body, whatever it answers: a ProfileList or a question of
/// the inventory.
struct ReportHead {
  std::int64_t epoch = 0;
  Timestamp reported_at;              ///< the upstream's time
  std::optional<Timestamp> asked_at;  ///< of what we asked for
  std::string digest;                 ///< SHA-256 of the body; empty when no report is kept
};

/// The head of a report with this body.
ReportHead HeadOf(const DeviceReport& report, std::string_view body);
/// The head of an answer, which is its own body.
ReportHead HeadOf(const InventoryRecord& record);

/// True when `kept` stays and `report` is of no use: it is of an earlier epoch or older. What was
/// kept before our clock was set back looks newer than it is.
bool Outdates(const ReportHead& kept, const DeviceReport& report, Timestamp now);

/// What lists of apps are kept as, beside the whole answers.
inline constexpr std::string_view kAppListKind = "apps";
inline constexpr std::string_view kManagedAppListKind = "managed_apps";
/// What imported answers are kept as: this before the request type.
inline constexpr std::string_view kImportedPrefix = "mdmdirector:";

}  // namespace director
