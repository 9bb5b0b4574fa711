#include "director/assignment_rules.h"

#include <fmt/core.h>

#include "base/text.h"
#include "mdm/event.h"

namespace director {

bool Agree(const Assignment& a, const Assignment& b) {
  return a.presence == b.presence && a.payload_uuid == b.payload_uuid;
}

Error OwnedByOther(const Assignment& row) {
  return MakeError(ErrorKind::kConflict,
                   fmt::format("{} is assigned to {} by source {}; only that source can change it",
                               row.payload_identifier.value(),
                               row.target.empty() ? "all" : row.target, row.source));
}

std::string DescribeAssignment(const Assignment& assignment, std::size_t targets) {
  return fmt::format(
      "{} assigned as {} to {} by {}{}", assignment.payload_identifier.value(),
      PresenceName(assignment.presence),
      assignment.target_kind == TargetKind::kAll
          ? "all devices"
          : fmt::format("{} device{}", targets, targets == 1 ? "" : "s"),
      assignment.source,
      assignment.payload_uuid.empty() ? "" : ", revision " + assignment.payload_uuid.value());
}

bool CanNameDevice(std::string_view text) {
  return !text.empty() && text.size() <= kEnrollmentIdSizeMaxBytes && IsValidUtf8(text) &&
         text.find('\0') == std::string_view::npos;
}

}  // namespace director
