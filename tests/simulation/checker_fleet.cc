// The fleet as a whole: what is said about it, and whether it is as desired.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/text.h"
#include "tests/simulation/checker.h"

namespace director::simulation {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::size_t kProblemsMax = 100;

}  // namespace

void Checker::CheckFleet() {
  std::vector<EnrollmentRow> rows;
  PageRequest page{"", 1000};
  bool more = true;
  while (more) {
    const Status read = database_.Read([&](StoreReader& reader) -> Status {
      auto found = reader.ListEnrollments({}, page);
      if (!found) return Fail(found.error());
      more = found->size() == page.limit;
      rows.insert(rows.end(), found->begin(), found->end());
      return {};
    });
    if (!read) return Report("I8", "the fleet cannot be listed: " + read.error().message);
    if (!rows.empty()) page.after = rows.back().enrollment.channel.enrollment_id.value();
  }
  for (const EnrollmentRow& row : rows) CheckEnrollment(row);
}

void Checker::CheckEnrollment(const EnrollmentRow& row) {
  const EnrollmentId& id = row.enrollment.channel.enrollment_id;
  if (process_->is_alive() && row.due_at > process_->Now() + hours(36)) {
    Report("I2", "not looked at for longer than a day and a half", id);
  }
  if (const auto queue = server_.FindEnrollment(id)) {
    const std::size_t most = 3 * scenario_.items + 8;
    if (queue->queue.size() > most) {
      Report("queue", fmt::format("{} commands wait for one device", queue->queue.size()), id);
    }
  }
  const Known& known = At(id);
  const bool undecided = row.due_at <= process_->Now() + seconds(1);
  if (known.device == nullptr || undecided || ledger_.HasProposals()) return;
  const std::optional<Snapshot> snapshot = Load(id);
  if (!snapshot) return;
  for (const PayloadIdentifier& item : ledger_.items()) {
    const auto record =
        std::find_if(snapshot->items.begin(), snapshot->items.end(),
                     [&](const ItemRecord& r) { return r.payload_identifier == item; });
    const bool has_record = record != snapshot->items.end();
    const auto all =
        ledger_.PossibleSince(known.device->facts(), item, kernel_.Now() - minutes(15));
    const bool must = std::all_of(all.begin(), all.end(), [](const auto& w) { return !!w; });
    const bool may = std::any_of(all.begin(), all.end(), [](const auto& w) { return !!w; });
    if (must && !has_record) Report("I2", item.value() + " is wanted and has no state", id);
    if (!may && has_record) Report("I2", item.value() + " has a state, nobody wants it", id);
    if (has_record && record->reason.empty()) Report("I2", item.value() + " has no reason", id);
  }
}

/// A user channel cannot enroll while its Mac is dark.
bool Checker::IsDark(const VirtualDevice& device) const {
  if (device.is_dark()) return true;
  if (device.facts().user_id.empty() || device.state() == EnrollmentState::kEnrolled) return false;
  const auto mac = known_.find(EnrollmentId(device.facts().udid));
  return mac != known_.end() && mac->second.device != nullptr && mac->second.device->is_dark();
}

std::vector<std::string> Checker::Unconverged() {
  std::vector<std::string> problems;
  for (const auto& [id, known] : known_) {
    if (problems.size() >= kProblemsMax) break;
    if (known.device == nullptr || twins_.contains(id)) continue;
    const VirtualDevice& device = *known.device;
    if (IsDark(device)) continue;
    if (device.state() == EnrollmentState::kGone) {
      problems.push_back(id.value() + " has left management and is to come back");
      continue;
    }
    const std::optional<Snapshot> snapshot = Load(device.enrollment_id());
    for (const PayloadIdentifier& item : ledger_.items()) {
      const std::string why = WhyUnconverged(device, item, snapshot);
      if (!why.empty()) problems.push_back(fmt::format("{} {}: {}", id.value(), item.value(), why));
    }
  }
  if (ledger_.HasProposals()) problems.emplace_back("an owner waits for an answer");
  return problems;
}

std::string Checker::WhyUnconverged(const VirtualDevice& device, const PayloadIdentifier& item,
                                    const std::optional<Snapshot>& snapshot) const {
  const std::optional<Wanted> wanted = ledger_.WantedNow(device.facts(), item);
  if (!wanted) return {};
  if (device.state() != EnrollmentState::kEnrolled) return "the device is not enrolled";
  if (!snapshot) return "Director does not know the device";
  const auto record =
      std::find_if(snapshot->items.begin(), snapshot->items.end(),
                   [&](const ItemRecord& r) { return r.payload_identifier == item; });
  if (record == snapshot->items.end()) return "Director does not know that it is wanted";
  const InstalledProfile* installed = device.FindProfile(item);
  const std::string state = fmt::format("{}: {}", ItemStateName(record->state), record->reason);
  if (wanted->presence == Presence::kAbsent) {
    if (installed != nullptr && installed->has_mdm_payload)
      return record->state == ItemState::kBlocked ? "" : state;
    if (installed == nullptr) return record->state == ItemState::kVerified ? "" : state;
    const bool is_ours = ledger_.IsRevision(item, ToUpperAscii(installed->payload_uuid));
    if (is_ours || wanted->adopt) return "is still there; " + state;
    return record->state == ItemState::kBlocked ? "" : state;
  }
  // What the device refuses for good cannot converge; it must be said.
  const InstallFailure* failure = device.behaviour().FindInstallFailure(item);
  const bool is_deleted_again_and_again = !device.behaviour().deletions.empty();
  if (record->state == ItemState::kParked && (failure != nullptr || is_deleted_again_and_again))
    return {};
  if (failure != nullptr && !failure->times && record->state != ItemState::kVerified) return {};
  const bool is_there =
      installed != nullptr && EqualsIgnoreCaseAscii(installed->payload_uuid, wanted->payload_uuid);
  if (is_there && record->state == ItemState::kVerified) return {};
  return (is_there ? "is there; " : "is not there; ") + state;
}

}  // namespace director::simulation
