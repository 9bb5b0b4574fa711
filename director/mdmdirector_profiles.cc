// Profiles as clients of MDMDirector hand them in and see them.
#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/digest.h"
#include "base/text.h"
#include "director/assignment_rules.h"
#include "director/json_body.h"
#include "director/mdmdirector_api.h"
#include "director/mdmdirector_support.h"
#include "director/profile_upload.h"
#include "director/revisions.h"
#include "mdm/mdmdirector_document.h"

namespace director::mdmdirector {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kProfilesPerRequestMax = 100;
/// Devices times profiles of one request.
constexpr std::size_t kAssignmentsMax = 10'000;

/// What a request names, before the store is looked at.
struct ProfileRequest {
  bool all_devices = false;
  std::vector<std::string> udids;
  std::vector<std::string> serial_numbers;
  bool udids_must_be_known = false;
  bool push_now = false;
  bool metadata = false;
};

/// One profile of a request.
struct WantedProfile {
  Assignment assignment;  ///< without its target
  std::optional<Revision> revision;
  std::string hashed_payload_uuid;  ///< as it stands in the document; empty when absent
};

/// What becomes of one profile for one device.
struct Outcome {
  const WantedProfile* profile = nullptr;
  bool changed = false;
};

bool IsWildcard(const std::vector<std::string>& names) {
  return !names.empty() && names.front() == "*";
}

/// What POST and DELETE have in common; the rules of the two for their targets differ.
ProfileRequest ReadRequest(JsonBody& body, bool is_post) {
  body.LowerCaseKeys();
  ProfileRequest request;
  request.udids_must_be_known = is_post;
  const bool has_udids = body.Has("udids") && !body.json()["udids"].is_null();
  request.udids = body.OptionalStrings("udids");
  request.serial_numbers = body.OptionalStrings("serial_numbers");
  request.push_now = body.OptionalBool("push_now");
  request.metadata = body.OptionalBool("metadata");
  if (body.Has("uuids")) body.Problem("uuids", "is unknown; devices are named by udids");
  if (is_post && has_udids) request.serial_numbers.clear();
  request.all_devices = IsWildcard(request.udids) || IsWildcard(request.serial_numbers);
  if (!is_post && !request.serial_numbers.empty()) request.udids.clear();
  if (request.udids.size() + request.serial_numbers.size() > kDevicesPerRequestMax) {
    body.Problem("udids", fmt::format("names more than {} devices", kDevicesPerRequestMax));
  }
  return request;
}

const nlohmann::json& ProfilesOf(JsonBody& body) {
  static const nlohmann::json kNone = nlohmann::json::array();
  const auto found = body.json().find("profiles");
  if (found == body.json().end() || found->is_null()) return kNone;
  if (found->is_array() && found->size() <= kProfilesPerRequestMax) return *found;
  body.Problem("profiles", fmt::format("must be an array of at most {}", kProfilesPerRequestMax));
  return kNone;
}

/// MDMDirector's rewriting gives the PayloadUUID, ours the checks.
Result<WantedProfile> ReadProfile(const nlohmann::json& entry, bool for_all, Timestamp now) {
  if (!entry.is_string()) return Fail(ErrorKind::kInvalid, "must be a base64 string");
  Result<std::string> bytes = DecodeBase64(entry.get_ref<const std::string&>());
  if (!bytes) return Fail(bytes.error());
  bytes = RemoveSignature(std::move(*bytes));
  if (!bytes) return Fail(bytes.error());
  Result<Profile> profile = ParseUploadedProfile(*bytes);
  if (!profile) return Fail(profile.error());
  auto document = for_all ? ForAllDevices(*bytes) : ForOneDevice(*bytes);
  if (!document) return Fail(document.error());
  if (document->mobileconfig.size() > kProfileSizeMaxBytes) {
    return Fail(ErrorKind::kInvalid, "is too large in the form that devices get");
  }
  profile->payload_uuid = PayloadUuid(ToUpperAscii(document->payload_uuid));
  profile->original_payload_uuid = std::move(document->original_payload_uuid);
  profile->mobileconfig = std::move(document->mobileconfig);
  WantedProfile wanted;
  wanted.assignment.payload_identifier = profile->payload_identifier;
  wanted.assignment.payload_uuid = profile->payload_uuid;
  wanted.hashed_payload_uuid = std::move(document->payload_uuid);
  wanted.revision = ToRevision(std::move(*profile), kSource, now);
  return wanted;
}

Result<WantedProfile> ReadRemoval(const nlohmann::json& entry) {
  std::string identifier;
  for (const auto& [key, value] : entry.items()) {
    const bool is_it = EqualsIgnoreCaseAscii(key, "payload_identifier") && value.is_string();
    if (is_it) identifier = value.get<std::string>();
  }
  if (!entry.is_object() || identifier.empty()) {
    return Fail(ErrorKind::kInvalid, "must be an object with a payload_identifier");
  }
  WantedProfile wanted;
  if (Status usable = CheckPayloadIdentifier(identifier); !usable) return Fail(usable.error());
  wanted.assignment.payload_identifier = PayloadIdentifier(identifier);
  wanted.assignment.presence = Presence::kAbsent;
  wanted.assignment.adopt = true;  // MDMDirector removes whatever has the identifier
  return wanted;
}

/// Reads each entry of `profiles`; problems name their place.
template <typename Read>
std::vector<WantedProfile> ReadProfiles(JsonBody& body, const Read& read) {
  std::vector<WantedProfile> profiles;
  std::map<PayloadIdentifier, std::size_t> first;
  const nlohmann::json& entries = ProfilesOf(body);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const std::string place = fmt::format("profiles[{}]", i);
    Result<WantedProfile> profile = read(entries[i]);
    if (!profile) {
      const std::string& field = profile.error().field;
      body.Problem(place + (field.empty() ? "" : "." + field), profile.error().message);
      continue;
    }
    const auto [twin, is_first] = first.emplace(profile->assignment.payload_identifier, i);
    if (!is_first) {
      body.Problem(place, fmt::format("has the PayloadIdentifier of profiles[{}]", twin->second));
    }
    profiles.push_back(std::move(*profile));
  }
  return profiles;
}

/// The assignments of an item for a device under each of its names; the first is what MDMDirector
/// calls it.
Result<std::vector<Assignment>> RowsOf(StoreReader& reader, const PayloadIdentifier& identifier,
                                       const Enrollment& enrollment) {
  std::vector<Assignment> rows;
  std::set<std::string> seen;
  for (const std::string& name :
       {UdidOf(enrollment), enrollment.channel.enrollment_id.value(), enrollment.serial_number}) {
    if (name.empty() || !seen.insert(ToLowerAscii(name)).second) continue;
    const auto found = reader.ListAssignments({.payload_identifier = identifier, .target = name});
    if (!found) return Fail(found.error());
    for (const Assignment& row : *found) {
      if (row.channel == AssignmentChannel::kDevice) rows.push_back(row);
    }
  }
  return rows;
}

/// What a request changes: the assignment takes the place of others of ours.
struct Change {
  const WantedProfile* profile = nullptr;
  Assignment assignment;
  std::vector<std::int64_t> replaced;
};

/// Nothing when `rows` say it already. kConflict when one that says otherwise is another owner's.
Result<std::optional<Change>> ChangeOf(const WantedProfile& profile, const Assignment& wanted,
                                       const std::vector<Assignment>& rows) {
  Change change{&profile, wanted, {}};
  bool is_said = false;
  for (const Assignment& row : rows) {
    const bool same_key = EqualsIgnoreCaseAscii(row.target, wanted.target);
    const bool agrees = Agree(row, wanted) && (!same_key || row.adopt == wanted.adopt);
    if (same_key && agrees) is_said = true;
    if (agrees) continue;
    if (row.source != kSource) return Fail(OwnedByOther(row));
    if (!same_key) change.replaced.push_back(row.assignment_id);
  }
  if (is_said && change.replaced.empty()) return std::optional<Change>();
  return std::optional<Change>(std::move(change));
}

Assignment Complete(Assignment assignment, const std::string& target, Timestamp now) {
  assignment.target_kind = target.empty() ? TargetKind::kAll : TargetKind::kDevice;
  assignment.target = target;
  assignment.source = kSource;
  assignment.assigned_at = now;
  return assignment;
}

/// The devices that a request names, in its order. A serial number that nobody has is passed over.
Result<std::vector<Enrollment>> FindTargets(StoreReader& reader, const ProfileRequest& request) {
  std::vector<Enrollment> devices;
  for (const std::string& udid : request.udids) {
    const auto found = FindByUdid(reader, udid);
    if (!found) return Fail(found.error());
    if (*found) devices.push_back(**found);
    if (!*found && request.udids_must_be_known) {
      return Fail(ErrorKind::kNotFound, fmt::format("no device has the UDID {}", udid));
    }
  }
  for (const std::string& serial : request.serial_numbers) {
    const auto found = FindBySerial(reader, serial);
    if (!found) return Fail(found.error());
    if (*found) devices.push_back(**found);
  }
  return devices;
}

using Outcomes = std::vector<std::vector<Outcome>>;

/// What a request comes to.
struct Decision {
  std::vector<Enrollment> devices;  ///< that are named
  Outcomes outcomes;                ///< for each of them, for each profile
  std::vector<Change> changes;
};

Status DecideForDevices(StoreReader& reader, const ProfileRequest& request,
                        const std::vector<WantedProfile>& profiles, Timestamp now,
                        Decision& decision) {
  auto devices = FindTargets(reader, request);
  if (!devices) return Fail(devices.error());
  decision.devices = std::move(*devices);
  for (const Enrollment& device : decision.devices) {
    std::vector<Outcome>& outcomes = decision.outcomes.emplace_back();
    for (const WantedProfile& profile : profiles) {
      const auto rows = RowsOf(reader, profile.assignment.payload_identifier, device);
      if (!rows) return Fail(rows.error());
      auto change = ChangeOf(profile, Complete(profile.assignment, UdidOf(device), now), *rows);
      if (!change) return Fail(change.error());
      outcomes.push_back({&profile, change->has_value()});
      if (*change) decision.changes.push_back(std::move(**change));
    }
  }
  return {};
}

/// The same for all devices, present and future. What nobody shared is not withdrawn.
Status DecideForAll(StoreReader& reader, const std::vector<WantedProfile>& profiles, Timestamp now,
                    Decision& decision) {
  for (const WantedProfile& profile : profiles) {
    const Assignment wanted = Complete(profile.assignment, "", now);
    auto rows = reader.ListAssignments(
        {.payload_identifier = wanted.payload_identifier, .target_kind = TargetKind::kAll});
    if (!rows) return Fail(rows.error());
    std::erase_if(*rows, [](const auto& row) { return row.channel != AssignmentChannel::kDevice; });
    if (rows->empty() && wanted.presence == Presence::kAbsent) continue;
    auto change = ChangeOf(profile, wanted, *rows);
    if (!change) return Fail(change.error());
    if (*change) decision.changes.push_back(std::move(**change));
  }
  return {};
}

Result<Decision> Decide(StoreReader& reader, const ProfileRequest& request,
                        const std::vector<WantedProfile>& profiles, Timestamp now) {
  Decision decision;
  const Status done = request.all_devices
                          ? DecideForAll(reader, profiles, now, decision)
                          : DecideForDevices(reader, request, profiles, now, decision);
  if (!done) return Fail(done.error());
  return decision;
}

/// Each revision is stored once and each profile said once, however many devices it is for, and a
/// device that is named twice is changed once.
Status Apply(StoreWriter& writer, const std::vector<Change>& changes, Timestamp now) {
  std::map<const WantedProfile*, std::map<std::string, const Assignment*>> applied;
  for (const Change& change : changes) {
    auto& targets = applied[change.profile];
    if (!targets.emplace(change.assignment.target, &change.assignment).second) continue;
    if (targets.size() == 1 && change.profile->revision) {
      const Result<bool> saved = writer.SaveRevision(*change.profile->revision);
      if (!saved) return Fail(saved.error());
    }
    for (const std::int64_t id : change.replaced) {
      if (Status deleted = writer.DeleteAssignment(id, now); !deleted) return deleted;
    }
    const Result<std::int64_t> id = writer.SaveAssignment(change.assignment, now);
    if (!id) return Fail(id.error());
  }
  std::vector<Happening> happenings;
  for (const auto& [profile, targets] : applied) {
    const Assignment& one = *targets.begin()->second;
    happenings.push_back({0, now, {}, "desired", DescribeAssignment(one, targets.size())});
  }
  return writer.AddHappenings(happenings);
}

/// Waits for the devices for which something changes; returns those that the MDM server failed.
Result<std::set<EnrollmentId>> AwaitDepartures(Departures& departures, const Decision& decision,
                                               Timestamp since) {
  std::vector<Enrollment> changed;
  for (std::size_t i = 0; i < decision.devices.size(); ++i) {
    const std::vector<Outcome>& outcomes = decision.outcomes[i];
    const bool changes = std::any_of(outcomes.begin(), outcomes.end(),
                                     [](const Outcome& outcome) { return outcome.changed; });
    if (changes) changed.push_back(decision.devices[i]);
  }
  if (changed.empty()) return std::set<EnrollmentId>();
  return departures.Await(changed, since);
}

/// Those of `failed` are told nothing about, as MDMDirector does.
Json MetadataJson(const Decision& decision, bool push_now, const std::set<EnrollmentId>& failed) {
  if (decision.outcomes.empty()) return nullptr;
  Json devices = Json::array();
  for (std::size_t i = 0; i < decision.outcomes.size(); ++i) {
    if (failed.contains(decision.devices[i].channel.enrollment_id)) {
      devices.push_back({{"profile_metadata", nullptr}});
      continue;
    }
    Json entries = Json::array();
    for (const Outcome& outcome : decision.outcomes[i]) {
      const WantedProfile& profile = *outcome.profile;
      const bool is_removal = profile.assignment.presence == Presence::kAbsent;
      entries.push_back(
          {{"status", !outcome.changed ? "unchanged"
                      : is_removal     ? "deleted"
                      : push_now       ? "pushed"
                                       : "saved"},
           {"payload_identifier", profile.assignment.payload_identifier.value()},
           {"payload_uuid", profile.revision ? profile.revision->original_payload_uuid : ""},
           {"hashed_payload_uuid", profile.hashed_payload_uuid}});
    }
    devices.push_back({{"profile_metadata", std::move(entries)}});
  }
  return devices;
}

/// The answer of MDMDirector when the MDM server failed it: its general sentence, then what it
/// would have said otherwise.
HttpServerResponse AsFailure(HttpServerResponse response) {
  return {500,
          kText,
          "Internal Server Error\n" + response.body,
          {{"X-Content-Type-Options", "nosniff"}}};
}

/// The PayloadUUID as devices show it: MDMDirector writes its own in lower case.
std::string SentPayloadUuid(const PayloadUuid& uuid) {
  constexpr std::size_t kVersionAt = 14;
  const std::string& text = uuid.value();
  return text.size() > kVersionAt && text[kVersionAt] == '5' ? ToLowerAscii(text) : text;
}

std::string Sha256Base64(std::string_view bytes) {
  const Sha256Digest digest = Sha256(bytes);
  return EncodeBase64({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

/// What a shared revision was before it was rewritten for all; nothing for any other.
std::optional<std::string> FirstForm(const Revision& revision) {
  auto first = WithPayloadUuid(revision.content, revision.original_payload_uuid);
  if (!first || NameUuid(*first) != revision.payload_uuid.value()) return std::nullopt;
  return std::move(*first);
}

struct ProfileColumns {
  Json payload_uuid = "";
  Json hashed_payload_uuid = "";
  Json data = nullptr;
  Json hash = nullptr;
};

/// MDMDirector's MobileconfigHash of a shared profile is that of its first form.
ProfileColumns ColumnsOf(const Revision& revision, TargetKind kind) {
  const auto first = kind == TargetKind::kAll ? FirstForm(revision) : std::nullopt;
  return {revision.original_payload_uuid, SentPayloadUuid(revision.payload_uuid),
          EncodeBase64(revision.content), Sha256Base64(first ? *first : revision.content)};
}

/// MDMDirector keeps what it shared last when it is to be removed from all.
Result<ProfileColumns> LastShared(StoreReader& reader, const PayloadIdentifier& identifier) {
  constexpr std::size_t kLookedAtMax = 20;
  const auto newest = reader.ListRevisions({identifier, {}}, {"", kLookedAtMax});
  if (!newest) return Fail(newest.error());
  for (const Revision& listed : *newest) {
    if (listed.source != kSource) continue;
    const Result<Revision> revision = reader.LoadRevision(listed.payload_uuid);
    if (!revision) return Fail(revision.error());
    if (FirstForm(*revision)) return ColumnsOf(*revision, TargetKind::kAll);
  }
  return ProfileColumns();
}

Result<ProfileColumns> LoadColumns(StoreReader& reader, const Assignment& assignment) {
  if (assignment.payload_uuid.empty()) {
    if (assignment.target_kind == TargetKind::kDevice) return ProfileColumns();
    return LastShared(reader, assignment.payload_identifier);
  }
  const Result<Revision> revision = reader.LoadRevision(assignment.payload_uuid);
  if (!revision) return Fail(revision.error());
  return ColumnsOf(*revision, assignment.target_kind);
}

Result<Json> SharedProfilesJson(StoreReader& reader) {
  const auto assignments = reader.ListAssignments({.target_kind = TargetKind::kAll});
  if (!assignments) return Fail(assignments.error());
  Json profiles = Json::array();
  for (const Assignment& assignment : *assignments) {
    if (assignment.channel != AssignmentChannel::kDevice) continue;
    Result<ProfileColumns> columns = LoadColumns(reader, assignment);
    if (!columns) return Fail(columns.error());
    profiles.push_back(
        {{"ID", ToLowerAscii(NameUuid(fmt::format("assignment {}", assignment.assignment_id)))},
         {"PayloadUUID", std::move(columns->payload_uuid)},
         {"HashedPayloadUUID", std::move(columns->hashed_payload_uuid)},
         {"PayloadIdentifier", assignment.payload_identifier.value()},
         {"MobileconfigData", std::move(columns->data)},
         {"MobileconfigHash", std::move(columns->hash)},
         {"Installed", assignment.presence == Presence::kPresent}});
  }
  return profiles;
}

}  // namespace

Result<Json> DeviceProfilesJson(StoreReader& reader, const Enrollment& enrollment) {
  const auto rows = RowsOf(reader, {}, enrollment);
  if (!rows) return Fail(rows.error());
  Json profiles = Json::array();
  for (const Assignment& assignment : *rows) {
    Result<ProfileColumns> columns = LoadColumns(reader, assignment);
    if (!columns) return Fail(columns.error());
    profiles.push_back({{"PayloadUUID", std::move(columns->payload_uuid)},
                        {"PayloadIdentifier", assignment.payload_identifier.value()},
                        {"HashedPayloadUUID", std::move(columns->hashed_payload_uuid)},
                        {"MobileconfigData", std::move(columns->data)},
                        {"MobileconfigHash", std::move(columns->hash)},
                        {"DeviceUDID", UdidOf(enrollment)},
                        {"Installed", assignment.presence == Presence::kPresent}});
  }
  return profiles;
}

HttpServerResponse Api::PostProfiles(const HttpServerRequest& request) {
  return ChangeProfiles(request, /*is_post=*/true);
}

HttpServerResponse Api::DeleteProfiles(const HttpServerRequest& request) {
  return ChangeProfiles(request, /*is_post=*/false);
}

HttpServerResponse Api::ChangeProfiles(const HttpServerRequest& request, bool is_post) {
  Result<JsonBody> body = JsonBody::Parse(request.body);
  if (!body) return Problem(body.error());
  const Timestamp now = deps_.clock.Now();
  const ProfileRequest wanted = ReadRequest(*body, is_post);
  const std::vector<WantedProfile> profiles = ReadProfiles(*body, [&](const nlohmann::json& entry) {
    return is_post ? ReadProfile(entry, wanted.all_devices, now) : ReadRemoval(entry);
  });
  if (profiles.size() * (wanted.udids.size() + wanted.serial_numbers.size()) > kAssignmentsMax) {
    body->Problem("profiles", fmt::format("times devices is more than {}", kAssignmentsMax));
  }
  if (!body->problems().empty()) return Problem(body->problems().front());

  // A client that repeats itself costs a read; only what changes is written.
  Decision decision;
  const auto decide = [&](StoreReader& reader) -> Status {
    Result<Decision> decided = Decide(reader, wanted, profiles, now);
    if (!decided) return Fail(decided.error());
    decision = std::move(*decided);
    return {};
  };
  Status done = deps_.store.Read(decide);
  if (done && !decision.changes.empty()) {
    done = deps_.store.Write([&](StoreWriter& writer) -> Status {
      if (Status locked = writer.LockDesired(); !locked) return locked;
      if (Status decided = decide(writer); !decided) return decided;
      return Apply(writer, decision.changes, now);
    });
    deps_.notify();
  }
  if (!done) return Problem(done.error());
  std::set<EnrollmentId> failed;
  if (deps_.departures != nullptr && wanted.push_now) {
    auto awaited = AwaitDepartures(*deps_.departures, decision, now);
    if (!awaited) return Problem(awaited.error());
    // MDMDirector says `pushed` of an InstallProfile whatever the MDM server said.
    if (!is_post) failed = std::move(*awaited);
  }
  const bool says_more = wanted.metadata && (is_post || !wanted.all_devices);
  HttpServerResponse response =
      says_more ? Answer(MetadataJson(decision, wanted.push_now, failed)) : Done();
  return failed.empty() ? response : AsFailure(std::move(response));
}

HttpServerResponse Api::ListSharedProfiles(const HttpServerRequest&) {
  Json profiles;
  const Status done = deps_.store.Read([&](StoreReader& reader) -> Status {
    Result<Json> found = SharedProfilesJson(reader);
    if (!found) return Fail(found.error());
    profiles = std::move(*found);
    return {};
  });
  if (!done) return Problem(done.error());
  return Answer(profiles);
}

HttpServerResponse Api::ListDeviceProfiles(const HttpServerRequest& request) {
  Json profiles;
  const Status done = deps_.store.Read([&](StoreReader& reader) -> Status {
    const auto device = FindByUdid(reader, request.path_values.at("udid"));
    if (!device) return Fail(device.error());
    if (!*device) return Fail(ErrorKind::kNotFound, "no device has this UDID");
    Result<Json> found = DeviceProfilesJson(reader, **device);
    if (!found) return Fail(found.error());
    profiles = std::move(*found);
    return {};
  });
  if (!done) return Problem(done.error());
  return Answer(profiles);
}

}  // namespace director::mdmdirector
