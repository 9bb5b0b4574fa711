// What the first decision will make of each device, by the last ProfileList that MDMDirector got.
#include <fmt/core.h>

#include <algorithm>
#include <limits>

#include "base/text.h"
#include "director/mdmdirector_import_parts.h"
#include "reconciler/plan.h"

namespace director::mdmdirector {
namespace {

constexpr std::size_t kDevicesPerCheck = 100;
constexpr std::size_t kDevicesShown = 10;

bool Shows(const MdmDirectorDevice& device, const Assignment& wish) {
  const auto is_it = [&](const ReportedProfile& profile) {
    return profile.payload_identifier == wish.payload_identifier;
  };
  const auto found = std::find_if(device.reported.begin(), device.reported.end(), is_it);
  if (wish.presence == Presence::kAbsent) return found == device.reported.end();
  return found != device.reported.end() &&
         EqualsIgnoreCaseAscii(found->payload_uuid, wish.payload_uuid.value());
}

/// The report as if it had just come. MDMDirector does not keep what tells the enrollment profile,
/// and a device has one: it stands here under an identifier that no item has.
ProfileListReport FreshReport(const MdmDirectorDevice& device, std::int64_t epoch, Timestamp now) {
  ProfileListReport report;
  report.epoch = epoch;
  report.reported_at = now;
  report.asked_at = now;
  report.profiles = device.reported;
  report.profiles.emplace_back().has_mdm_payload = true;
  return report;
}

/// The changes that the device would be sent, if it spoke now: `InstallProfile IDENTIFIER`.
std::vector<std::string> ChangesFor(Snapshot snapshot, const MdmDirectorDevice& device,
                                    const Settings& settings, Timestamp now) {
  snapshot.enrollment.last_seen_at = now;
  snapshot.profile_list = FreshReport(device, snapshot.enrollment.epoch, now);
  snapshot.intents.clear();
  std::vector<std::string> changes;
  for (const PlannedCommand& command : Reconcile(snapshot, settings, now).commands) {
    if (command.payload_identifier.empty()) continue;
    changes.push_back(command.request_type + " " + command.payload_identifier.value());
  }
  return changes;
}

/// Goes through the devices and counts what each would be sent.
class FirstDecisions {
 public:
  FirstDecisions(const ImportPlaces& places, const UsableRows& rows, Documents& documents)
      : places_(places), rows_(rows), documents_(documents), settings_(places.settings.decision) {
    settings_.commands_per_session_max = std::numeric_limits<int>::max();
  }

  Status Run() {
    Status done = places_.source.ForEachDevice([&](const MdmDirectorDevice& device) -> Status {
      if (!device.is_in_devices) return {};
      devices_.push_back(device);
      return devices_.size() < kDevicesPerCheck ? Status() : Flush();
    });
    return done ? Flush() : done;
  }

  void SayAll() const {
    places_.lines.Say("check, by the last ProfileList in MDMDirector's database:");
    places_.lines.Say(
        fmt::format("  {} with everything as wanted{}", Plural(matching_, "device"),
                    matching_ > 0 && disturbed_.count() == 0 ? "; they are sent nothing" : ""));
    if (disturbed_.count() > 0) {
      places_.lines.Say(
          fmt::format("  problem: of these {} would be sent something all the same: {}",
                      disturbed_.count(), disturbed_.Names()));
    }
    if (differing_ > 0)
      places_.lines.Say(fmt::format("  {} not yet", Plural(differing_, "device")));
    for (const auto& [change, count] : changes_) {
      places_.lines.Say(fmt::format("  would be sent: {} to {}", change, Plural(count, "device")));
    }
    for (const std::string& line : shown_) places_.lines.Say(line);
    if (unreported_ > 0) {
      places_.lines.Say(
          fmt::format("  {} without a ProfileList there", Plural(unreported_, "device")));
    }
  }

  void AddTo(ImportOutcome& outcome) const {
    outcome.matching += matching_;
    outcome.disturbed += disturbed_.count();
    outcome.differing += differing_;
  }

 private:
  /// By MDMDirector's own rule, without Director's decision and store.
  Result<bool> HasWhatIsWanted(const MdmDirectorDevice& device) {
    std::set<std::string> own;
    for (const MdmDirectorProfile& row : device.profiles) {
      own.insert(row.payload_identifier);
      const auto wanted = TranslateRow(row, documents_, places_.clock.Now());
      if (!wanted && !IsAboutRow(wanted.error())) return Fail(wanted.error());
      if (wanted && !Shows(device, wanted->assignment)) return false;
    }
    return std::all_of(rows_.shared.begin(), rows_.shared.end(), [&](const auto& shared) {
      return own.contains(shared.first) || Shows(device, shared.second.assignment);
    });
  }

  Status Flush() {
    const std::vector<MdmDirectorDevice> devices = std::exchange(devices_, {});
    std::map<EnrollmentId, Snapshot> snapshots;
    const Status read = places_.store.Read([&](StoreReader& reader) -> Status {
      std::vector<EnrollmentId> ids;
      ids.reserve(devices.size());
      for (const MdmDirectorDevice& device : devices) ids.emplace_back(device.udid);
      auto loaded = reader.LoadSnapshots(ids);
      if (!loaded) return Fail(loaded.error());
      snapshots.clear();
      for (Snapshot& snapshot : *loaded) {
        const EnrollmentId id = snapshot.enrollment.channel.enrollment_id;
        snapshots.emplace(id, std::move(snapshot));
      }
      return {};
    });
    if (!read) return read;
    for (const MdmDirectorDevice& device : devices) {
      const auto found = snapshots.find(EnrollmentId(device.udid));
      if (found == snapshots.end()) continue;
      if (Status taken = Take(device, std::move(found->second)); !taken) return taken;
    }
    return {};
  }

  Status Take(const MdmDirectorDevice& device, Snapshot snapshot) {
    if (snapshot.enrollment.status != EnrollmentStatus::kEnrolled) return {};
    if (device.reported.empty()) {
      ++unreported_;
      return {};
    }
    const Result<bool> matches = HasWhatIsWanted(device);
    if (!matches) return Fail(matches.error());
    ++(*matches ? matching_ : differing_);
    const std::vector<std::string> changes =
        ChangesFor(std::move(snapshot), device, settings_, places_.clock.Now());
    if (changes.empty()) return {};
    if (*matches) disturbed_.Add(device.udid);
    std::string line = "    " + device.udid + ": ";
    for (const std::string& change : changes) {
      ++changes_[change];
      line += (&change == &changes.front() ? "" : ", ") + change;
    }
    if (shown_.size() < kDevicesShown) shown_.push_back(std::move(line));
    return {};
  }

  const ImportPlaces& places_;
  const UsableRows& rows_;
  Documents& documents_;
  Settings settings_;
  std::vector<MdmDirectorDevice> devices_;
  std::int64_t matching_ = 0;
  std::int64_t differing_ = 0;
  std::int64_t unreported_ = 0;
  NamedCount disturbed_;
  std::map<std::string, std::int64_t> changes_;
  std::vector<std::string> shown_;
};

}  // namespace

Status CheckFirstDecisions(const ImportPlaces& places, const UsableRows& rows, Documents& documents,
                           ImportOutcome& outcome) {
  FirstDecisions decisions(places, rows, documents);
  if (Status done = decisions.Run(); !done) return done;
  decisions.SayAll();
  decisions.AddTo(outcome);
  return {};
}

}  // namespace director::mdmdirector
