// Apps by the URL of their manifest: the import takes them over for the enrollments to come.
#include <fmt/core.h>

#include <map>
#include <utility>

#include "base/text.h"
#include "director/assignment_rules.h"
#include "director/mdmdirector_import_parts.h"
#include "director/mdmdirector_support.h"
#include "director/revisions.h"
#include "mdm/app.h"

namespace director::mdmdirector {
namespace {

constexpr std::size_t kAppsPerBatch = 500;

/// An app as POST /installapplication with `bootstrap_only` would have stored it: MDMDirector has
/// sent it to whoever is enrolled.
struct WantedApp {
  Revision revision;
  Assignment assignment;
};

Result<WantedApp> TranslateApp(const MdmDirectorApp& app, Timestamp now) {
  if (!app.udid.empty() && !CanNameDevice(app.udid)) {
    return Fail(ErrorKind::kInvalid, "its UDID names no device");
  }
  AppSpec spec;
  spec.manifest_url = app.manifest_url;
  const Result<ItemDefinition> defined = DefineApp(spec);
  if (!defined) return Fail(defined.error());
  WantedApp wanted{ToRevision(*defined, kSource, now), {}};
  wanted.assignment.payload_identifier = defined->item;
  wanted.assignment.payload_uuid = wanted.revision.payload_uuid;
  wanted.assignment.target_kind = app.udid.empty() ? TargetKind::kAll : TargetKind::kDevice;
  wanted.assignment.target = app.udid;
  wanted.assignment.at_enrollment_only = true;
  wanted.assignment.source = kSource;
  wanted.assignment.assigned_at = now;
  return wanted;
}

/// What Director has for the same target, by whomever, stays.
Result<bool> IsThere(StoreReader& reader, const Assignment& wanted) {
  const auto rows = reader.ListAssignments({.payload_identifier = wanted.payload_identifier,
                                            .target_kind = wanted.target_kind,
                                            .target = wanted.target});
  if (!rows) return Fail(rows.error());
  return !rows->empty();
}

class AppsPass {
 public:
  AppsPass(const ImportPlaces& places, ImportMode mode) : places_(places), mode_(mode) {}

  Status Take(const std::vector<WantedApp>& batch) {
    Missing missing;
    const Status done =
        mode_ == ImportMode::kPlan
            ? places_.store.Read(
                  [&](StoreReader& reader) { return Look(reader, batch, nullptr, missing); })
            : places_.store.Write([&](StoreWriter& writer) -> Status {
                if (Status locked = writer.LockDesired(); !locked) return locked;
                return Look(writer, batch, &writer, missing);
              });
    for (const auto& [item, count] : missing) new_targets[item] += count;
    return done;
  }

  /// Numbers of targets by item.
  using Missing = std::map<std::string, std::int64_t>;
  Missing new_targets;

 private:
  /// Counts what is missing and, with `writer`, stores it.
  Status Look(StoreReader& reader, const std::vector<WantedApp>& batch, StoreWriter* writer,
              Missing& missing) {
    missing.clear();
    for (const WantedApp& app : batch) {
      const Result<bool> is_there = IsThere(reader, app.assignment);
      if (!is_there) return Fail(is_there.error());
      if (*is_there) continue;
      ++missing[app.assignment.payload_identifier.value()];
      if (writer == nullptr) continue;
      if (const auto saved = writer->SaveRevision(app.revision); !saved) return Fail(saved.error());
      const auto assigned = writer->SaveAssignment(app.assignment, places_.clock.Now());
      if (!assigned) return Fail(assigned.error());
    }
    return {};
  }

  const ImportPlaces& places_;
  const ImportMode mode_;
};

}  // namespace

Status TakeApps(const ImportPlaces& places, ImportMode mode, std::set<std::string>& said,
                ImportOutcome& outcome) {
  const auto all = places.source.ListApps();
  if (!all) return Fail(all.error());
  AppsPass pass(places, mode);
  std::vector<WantedApp> batch;
  for (const MdmDirectorApp& app : *all) {
    Result<WantedApp> wanted = TranslateApp(app, places.clock.Now());
    if (wanted) {
      batch.push_back(std::move(*wanted));
    } else {
      const std::string line =
          fmt::format("problem: the app {} for {} is left out: {}", Printable(app.manifest_url, 255),
                      app.udid.empty() ? "all devices" : Printable(app.udid, 255),
                      wanted.error().message);
      const bool is_new = said.insert(line).second;
      outcome.problems += is_new ? 1 : 0;
      if (is_new) places.say(line);
    }
    if (batch.size() < kAppsPerBatch) continue;
    if (Status taken = pass.Take(batch); !taken) return taken;
    batch.clear();
  }
  if (Status taken = pass.Take(batch); !taken) return taken;
  for (const auto& [item, count] : pass.new_targets) {
    outcome.changes += count;
    places.say(fmt::format("  {}: at enrollment, {} ({})", item, Plural(count, "assignment"),
                           mode == ImportMode::kPlan ? "to do" : "done"));
  }
  return {};
}

}  // namespace director::mdmdirector
