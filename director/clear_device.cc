#include "director/clear_device.h"

#include <fmt/core.h>

#include <map>
#include <string>

#include "base/text.h"

namespace director {
namespace {

constexpr std::size_t kItemsShown = 5;

/// By id: one that two names lead to counts once.
Result<std::map<std::int64_t, Assignment>> OwnAssignments(StoreReader& reader,
                                                          const Enrollment& device) {
  std::map<std::int64_t, Assignment> own;
  for (const std::string& name : NamesOf(device)) {
    const auto rows = reader.ListAssignments({.target_kind = TargetKind::kDevice, .target = name});
    if (!rows) return Fail(rows.error());
    for (const Assignment& row : *rows) own.emplace(row.assignment_id, row);
  }
  return own;
}

}  // namespace

std::set<std::string> NamesOf(const Enrollment& device) {
  std::set<std::string> names = {ToLowerAscii(device.channel.enrollment_id.value()),
                                 ToLowerAscii(device.channel.udid),
                                 ToLowerAscii(device.serial_number)};
  names.erase("");
  return names;
}

Status WithdrawOwn(StoreWriter& writer, const Enrollment& device, Timestamp now) {
  const auto own = OwnAssignments(writer, device);
  if (!own) return Fail(own.error());
  if (own->empty()) return {};
  std::string items;
  std::size_t shown = 0;
  for (const auto& [id, row] : *own) {
    if (Status deleted = writer.DeleteAssignment(id, now); !deleted) return deleted;
    if (++shown > kItemsShown) continue;
    items += (shown == 1 ? "" : ", ") + row.payload_identifier.value();
  }
  if (shown > kItemsShown) items += ", ...";
  return writer.AddHappenings(
      {{0, now, device.channel.enrollment_id, "desired",
        fmt::format("Enrolled again, and clear_device_on_enroll is set: {} assignment{} for this "
                    "device alone withdrawn ({}).",
                    own->size(), own->size() == 1 ? "" : "s", items)}});
}

}  // namespace director
