#include "store/report_head.h"

#include "base/digest.h"

namespace director {

ReportHead HeadOf(const DeviceReport& report, std::string_view body) {
  return {report.epoch, report.reported_at, report.asked_at, Sha256Hex(body)};
}

ReportHead HeadOf(const InventoryRecord& record) {
  return {record.epoch, record.reported_at, {}, Sha256Hex(record.answer)};
}

bool Outdates(const ReportHead& kept, const DeviceReport& report, Timestamp now) {
  if (kept.digest.empty()) return false;
  if (kept.epoch != report.epoch) return kept.epoch > report.epoch;
  const DeviceReport times{kept.epoch, kept.reported_at, kept.asked_at};
  return kept.reported_at > report.reported_at && !IsOfAnotherTime(times, now);
}

}  // namespace director
