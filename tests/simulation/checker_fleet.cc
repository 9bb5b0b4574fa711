// The fleet as a whole: what is said about it, and whether it is as desired.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/text.h"
#include "tests/simulation/checker.h"

namespace director::simulation {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

}  // namespace

void Checker::CheckFleet() {
  PageRequest page{"", 100};
  bool more = true;
  while (more) {
    std::vector<EnrollmentRow> rows;
    std::map<EnrollmentId, Snapshot> snapshots;
    const Status read = database_.Read([&](StoreReader& reader) -> Status {
      auto found = reader.ListEnrollments({}, page);
      if (!found) return Fail(found.error());
      rows = std::move(*found);
      std::vector<EnrollmentId> ids;
      for (const EnrollmentRow& row : rows) ids.push_back(row.enrollment.channel.enrollment_id);
      auto loaded = reader.LoadSnapshots(ids);
      if (!loaded) return Fail(loaded.error());
      for (Snapshot& snapshot : *loaded) {
        const EnrollmentId id = snapshot.enrollment.channel.enrollment_id;
        snapshots.emplace(id, std::move(snapshot));
      }
      return {};
    });
    if (!read) return Report("I8", "the fleet cannot be read: " + read.error().message);
    for (const EnrollmentRow& row : rows) {
      CheckEnrollment(row, snapshots.at(row.enrollment.channel.enrollment_id));
    }
    more = rows.size() == page.limit;
    if (more) page.after = rows.back().enrollment.channel.enrollment_id.value();
  }
}

void Checker::CheckEnrollment(const EnrollmentRow& row, const Snapshot& snapshot) {
  const EnrollmentId& id = row.enrollment.channel.enrollment_id;
  if (process_->is_alive() && row.due_at > process_->Now() + hours(36)) {
    Report("I2", "not looked at for longer than a day and a half", id);
  }
  // To a clock that is behind the server's, a device that has left and is heard late is back.
  const VirtualDevice* device = At(id).device;
  const bool seems_back = process_->skew() < Duration::zero() && device != nullptr &&
                          device->state() == EnrollmentState::kGone;
  if (const auto queue = server_.FindEnrollment(id); queue && !seems_back) {
    const std::size_t most = 3 * (scenario_.items + scenario_.apps) + 8;
    if (queue->queue.size() > most) {
      Report("queue", fmt::format("{} commands wait for one device", queue->queue.size()), id);
    }
  }
  const Known& known = At(id);
  const bool undecided = row.due_at <= process_->Now() + seconds(1);
  if (known.device == nullptr || undecided || ledger_.HasProposals()) return;
  for (const PayloadIdentifier& item : ledger_.items()) {
    const auto record =
        std::find_if(snapshot.items.begin(), snapshot.items.end(),
                     [&](const ItemRecord& r) { return r.payload_identifier == item; });
    const bool has_record = record != snapshot.items.end();
    const auto all =
        ledger_.PossibleSince(known.device->facts(), item, kernel_.Now() - minutes(15));
    // Whether it came before the assignment the next check of the fleet as a whole tells.
    const bool must = std::all_of(all.begin(), all.end(),
                                  [](const auto& w) { return w && !w->at_enrollment_only; });
    const bool may = std::any_of(all.begin(), all.end(), [](const auto& w) { return !!w; });
    if (must && !has_record) Report("I2", item.value() + " is wanted and has no state", id);
    if (!may && has_record) Report("I2", item.value() + " has a state, nobody wants it", id);
    if (has_record && record->reason.empty()) Report("I2", item.value() + " has no reason", id);
  }
}

void Checker::CheckRecoveryLocks() {
  for (const auto& [id, known] : known_) {
    if (known.device == nullptr || known.device->recovery_lock_password().empty()) continue;
    const std::vector<Proposal> revealing = Revealing(known.device->recovery_lock_password(), id);
    const bool is_known =
        std::any_of(revealing.begin(), revealing.end(),
                    [](const Proposal& proposal) { return IsAboutRecoveryLock(proposal.kind); });
    if (is_known) continue;
    Report("recovery lock", "no proposal has the password that is in force", id);
  }
}

void Checker::CheckRecoveryKeys() {
  for (const auto& [id, known] : known_) {
    if (known.device == nullptr || twins_.contains(id)) continue;
    const std::string& key = known.device->recovery_key();
    // The first key is its owner's; of an answer that got lost Director cannot know.
    if (!keys_recorded_.contains(known.device->recovery_key_command())) continue;
    const std::vector<Proposal> revealing = Revealing(key, id);
    if (revealing.empty()) {
      Report("recovery key", "no proposal has the key that is in force", id);
    } else if (revealing.front().state == ProposalState::kDone &&
               !escrowed_[known.device->facts().serial_number].contains(key)) {
      Report("recovery key", "the key that is in force is done and not in escrow", id);
    }
  }
}

std::vector<Proposal> Checker::Revealing(const std::string& secret, const EnrollmentId& id) {
  std::vector<Proposal> proposals;
  const Status read = database_.Read([&](StoreReader& reader) -> Status {
    auto found = reader.ListProposals({.enrollment_id = id}, {"", 1000});
    if (!found) return Fail(found.error());
    proposals = std::move(*found);
    return {};
  });
  if (!read) Report("I8", "proposals cannot be read: " + read.error().message, id);
  std::erase_if(proposals, [&](const Proposal& proposal) {
    if (!proposal.has_secret) return true;
    const HttpServerResponse shown =
        process_->CallApi("POST", "/api/v1/proposals/{proposal_id}/secret",
                          {{"proposal_id", std::to_string(proposal.proposal_id)}}, "{}");
    return shown.status != 200 || nlohmann::json::parse(shown.body)["secret"] != secret;
  });
  return proposals;
}

/// A user channel cannot enroll while its Mac is dark.
bool Checker::IsDark(const VirtualDevice& device) const {
  if (device.is_dark()) return true;
  if (device.facts().user_id.empty() || device.state() == EnrollmentState::kEnrolled) return false;
  const auto mac = known_.find(EnrollmentId(device.facts().udid));
  return mac != known_.end() && mac->second.device != nullptr && mac->second.device->is_dark();
}

std::string Checker::Unconverged() {
  const auto middle = known_.lower_bound(last_unconverged_);
  for (const auto& [begin, end] :
       {std::pair(middle, known_.end()), std::pair(known_.begin(), middle)}) {
    for (auto it = begin; it != end; ++it) {
      const std::string why = WhyUnconverged(it->first, it->second);
      if (why.empty()) continue;
      last_unconverged_ = it->first;
      return it->first.value() + " " + why;
    }
  }
  return ledger_.HasProposals() ? " an owner waits for an answer" : "";
}

std::string Checker::WhyUnconverged(const EnrollmentId& id, const Known& known) {
  if (known.device == nullptr || twins_.contains(id)) return {};
  const VirtualDevice& device = *known.device;
  if (IsDark(device)) return {};
  if (const std::string why = WhyIdentityLost(id, device); !why.empty()) return why;
  if (device.state() == EnrollmentState::kGone) return "has left management and is to come back";
  if (device.awaits_configuration()) return "is held in Setup Assistant";
  const std::optional<Snapshot> snapshot = Load(id);
  if (snapshot && snapshot->proposal) return "has an open proposal";
  if (snapshot && snapshot->enrollment.missing_step != EnrollmentStep::kNone) {
    return "is half enrolled";
  }
  for (const PayloadIdentifier& item : ledger_.items()) {
    const std::string why = WhyUnconverged(device, item, snapshot);
    if (!why.empty()) return fmt::format("{}: {}", item.value(), why);
  }
  return {};
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
  const bool has_record = record != snapshot->items.end();
  if (KindOf(item) == ItemKind::kApp) {
    return WhyAppUnconverged(device, item, *wanted, *snapshot, has_record ? &*record : nullptr);
  }
  if (!has_record) return "Director does not know that it is wanted";
  const InstalledProfile* installed = device.FindProfile(item);
  const std::string state = fmt::format("{}: {}", ItemStateName(record->state), record->reason);
  if (KindOf(item) == ItemKind::kAccounts) {
    const bool is_settled = record->state == ItemState::kAcknowledged ||
                            record->state == ItemState::kBlocked ||
                            record->state == ItemState::kParked;
    return is_settled ? "" : state;
  }
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
  if (is_there && record->state == ItemState::kVerified) {
    return WhyReinstallUnconverged(device, *record, *snapshot);
  }
  return (is_there ? "is there; " : "is not there; ") + state;
}

}  // namespace director::simulation
