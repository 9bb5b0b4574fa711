// Profiles as clients of MDMDirector hand them in and see them.
#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/digest.h"
#include "base/text.h"
#include "director/json_body.h"
#include "director/mdmdirector_api.h"
#include "director/mdmdirector_support.h"
#include "director/profile_upload.h"
#include "mdm/mdmdirector_document.h"
#include "signing/cms.h"

namespace director::mdmdirector {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kProfilesPerRequestMax = 100;
constexpr std::size_t kDevicesPerRequestMax = 10'000;

/// What a request names, before the store is looked at.
struct ProfileRequest {
  bool all_devices = false;
  std::vector<std::string> udids;
  std::vector<std::string> serial_numbers;
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
ProfileRequest ReadRequest(JsonBody& body, bool udids_win) {
  body.LowerCaseKeys();
  ProfileRequest request;
  const bool has_udids = body.Has("udids") && !body.json()["udids"].is_null();
  request.udids = body.OptionalStrings("udids");
  request.serial_numbers = body.OptionalStrings("serial_numbers");
  request.push_now = body.OptionalBool("push_now");
  request.metadata = body.OptionalBool("metadata");
  if (body.Has("uuids")) body.Problem("uuids", "is unknown; devices are named by udids");
  if (udids_win && has_udids) request.serial_numbers.clear();
  if (!udids_win && !request.serial_numbers.empty()) request.udids.clear();
  request.all_devices = IsWildcard(request.udids) || IsWildcard(request.serial_numbers);
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
  if (LooksLikeCms(*bytes)) bytes = UnwrapSignedData(*bytes);
  if (!bytes) return Fail(bytes.error());
  Result<Profile> profile = ParseUploadedProfile(*bytes);
  if (!profile) return Fail(profile.error());
  auto document = for_all ? ForAllDevices(*bytes) : ForOneDevice(*bytes);
  if (!document) return Fail(document.error());
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
  const auto found = entry.is_object() ? entry.find("payload_identifier") : entry.end();
  if (!entry.is_object() || found == entry.end() || !found->is_string() ||
      found->get_ref<const std::string&>().empty()) {
    return Fail(ErrorKind::kInvalid, "must be an object with a payload_identifier");
  }
  WantedProfile wanted;
  const auto& identifier = found->get_ref<const std::string&>();
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

bool Agree(const Assignment& a, const Assignment& b) {
  return a.presence == b.presence && a.payload_uuid == b.payload_uuid;
}

Error OwnedByOther(const Assignment& row) {
  return MakeError(ErrorKind::kConflict,
                   fmt::format("{} is assigned to {} by source {}; only that source can change it",
                               row.payload_identifier.value(),
                               row.target.empty() ? "all" : row.target, row.source));
}

/// True when the assignment says something else than `rows`. kConflict when one of them is another
/// owner's.
Result<bool> Changes(const Assignment& wanted, const std::vector<Assignment>& rows) {
  bool changed = true;
  for (const Assignment& row : rows) {
    const bool same_key = EqualsIgnoreCaseAscii(row.target, wanted.target);
    if (same_key) changed = !Agree(row, wanted);
    if (Agree(row, wanted)) continue;
    if (!same_key || row.source != kSource) return Fail(OwnedByOther(row));
  }
  return changed;
}

Status Save(StoreWriter& writer, const WantedProfile& profile, const Assignment& assignment,
            Timestamp now) {
  if (profile.revision) {
    const Result<bool> saved = writer.SaveRevision(*profile.revision);
    if (!saved) return Fail(saved.error());
  }
  const Result<std::int64_t> id = writer.SaveAssignment(assignment, now);
  if (!id) return Fail(id.error());
  return writer.AddHappenings(
      {{0,
        now,
        {},
        "desired",
        fmt::format("{} assigned as {} to {} by {}", assignment.payload_identifier.value(),
                    PresenceName(assignment.presence),
                    assignment.target.empty() ? "all devices" : assignment.target, kSource)}});
}

Assignment Complete(Assignment assignment, const std::string& target, Timestamp now) {
  assignment.target_kind = target.empty() ? TargetKind::kAll : TargetKind::kDevice;
  assignment.target = target;
  assignment.source = kSource;
  assignment.assigned_at = now;
  return assignment;
}

/// The devices that a request names, in its order. A UDID that nobody has is kNotFound when
/// `all_known` says so, a serial number is passed over.
Result<std::vector<Enrollment>> FindTargets(StoreReader& reader, const ProfileRequest& request,
                                            bool all_known) {
  std::vector<Enrollment> devices;
  for (const std::string& udid : request.udids) {
    const auto found = FindByUdid(reader, udid);
    if (!found) return Fail(found.error());
    if (*found) devices.push_back(**found);
    if (!*found && all_known) {
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

/// What becomes of every profile for each device. With a writer it is stored, too.
Result<Outcomes> Assign(StoreReader& reader, StoreWriter* writer, const ProfileRequest& request,
                        const std::vector<WantedProfile>& profiles, bool all_known, Timestamp now) {
  const auto devices = FindTargets(reader, request, all_known);
  if (!devices) return Fail(devices.error());
  Outcomes outcomes;
  for (const Enrollment& device : *devices) {
    std::vector<Outcome>& one = outcomes.emplace_back();
    for (const WantedProfile& profile : profiles) {
      const Assignment assignment = Complete(profile.assignment, UdidOf(device), now);
      const auto rows = RowsOf(reader, assignment.payload_identifier, device);
      if (!rows) return Fail(rows.error());
      const Result<bool> changes = Changes(assignment, *rows);
      if (!changes) return Fail(changes.error());
      one.push_back({&profile, *changes});
      if (!*changes || writer == nullptr) continue;
      if (Status stored = Save(*writer, profile, assignment, now); !stored) {
        return Fail(stored.error());
      }
    }
  }
  return outcomes;
}

/// The same for all devices, present and future. What nobody shared is not withdrawn.
Status AssignToAll(StoreWriter& writer, const std::vector<WantedProfile>& profiles, Timestamp now) {
  for (const WantedProfile& profile : profiles) {
    const Assignment assignment = Complete(profile.assignment, "", now);
    auto rows = writer.ListAssignments(
        {.payload_identifier = assignment.payload_identifier, .target_kind = TargetKind::kAll});
    if (!rows) return Fail(rows.error());
    std::erase_if(*rows, [](const auto& row) { return row.channel != AssignmentChannel::kDevice; });
    if (rows->empty() && assignment.presence == Presence::kAbsent) continue;
    const Result<bool> changes = Changes(assignment, *rows);
    if (!changes) return Fail(changes.error());
    if (!*changes) continue;
    if (Status stored = Save(writer, profile, assignment, now); !stored) return stored;
  }
  return {};
}

Json MetadataJson(const Outcomes& outcomes, bool push_now) {
  if (outcomes.empty()) return nullptr;
  Json devices = Json::array();
  for (const std::vector<Outcome>& device : outcomes) {
    Json entries = Json::array();
    for (const Outcome& outcome : device) {
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

/// A client that repeats itself costs a read; only what changes is written.
Result<Outcomes> AssignWhatChanges(Store& store, const ProfileRequest& request,
                                   const std::vector<WantedProfile>& profiles, bool all_known,
                                   Timestamp now) {
  Outcomes outcomes;
  const auto take = [&](Result<Outcomes> found) -> Status {
    if (!found) return Fail(found.error());
    outcomes = std::move(*found);
    return {};
  };
  const Status read = store.Read([&](StoreReader& reader) {
    return take(Assign(reader, nullptr, request, profiles, all_known, now));
  });
  if (!read) return Fail(read.error());
  const bool any = std::any_of(outcomes.begin(), outcomes.end(), [](const auto& device) {
    return std::any_of(device.begin(), device.end(),
                       [](const Outcome& one) { return one.changed; });
  });
  if (!any) return outcomes;
  const Status written = store.Write([&](StoreWriter& writer) {
    return take(Assign(writer, &writer, request, profiles, all_known, now));
  });
  if (!written) return Fail(written.error());
  return outcomes;
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

/// MDMDirector's MobileconfigHash of a shared profile is that of the document before it was
/// rewritten for all.
std::string MobileconfigHash(const Revision& revision) {
  const auto first = WithPayloadUuid(revision.mobileconfig, revision.original_payload_uuid);
  const bool is_shared = first && ToUpperAscii(NameUuid(*first)) == revision.payload_uuid.value();
  return Sha256Base64(is_shared ? *first : revision.mobileconfig);
}

struct ProfileColumns {
  Json payload_uuid = "";
  Json hashed_payload_uuid = "";
  Json data = nullptr;
  Json hash = nullptr;
};

Result<ProfileColumns> LoadColumns(StoreReader& reader, const Assignment& assignment) {
  ProfileColumns columns;
  if (assignment.payload_uuid.empty()) return columns;
  const Result<Revision> revision = reader.LoadRevision(assignment.payload_uuid);
  if (!revision) return Fail(revision.error());
  columns.payload_uuid = revision->original_payload_uuid;
  columns.hashed_payload_uuid = SentPayloadUuid(revision->payload_uuid);
  columns.data = EncodeBase64(revision->mobileconfig);
  columns.hash = MobileconfigHash(*revision);
  return columns;
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
  Result<JsonBody> body = JsonBody::Parse(request.body);
  if (!body) return Problem(body.error());
  const Timestamp now = deps_.clock.Now();
  const ProfileRequest wanted = ReadRequest(*body, /*udids_win=*/true);
  const std::vector<WantedProfile> profiles = ReadProfiles(*body, [&](const nlohmann::json& entry) {
    return ReadProfile(entry, wanted.all_devices, now);
  });
  if (!body->problems().empty()) return Problem(body->problems().front());
  Outcomes outcomes;
  if (wanted.all_devices) {
    const Status done =
        deps_.store.Write([&](StoreWriter& writer) { return AssignToAll(writer, profiles, now); });
    if (!done) return Problem(done.error());
  } else {
    Result<Outcomes> done = AssignWhatChanges(deps_.store, wanted, profiles, true, now);
    if (!done) return Problem(done.error());
    outcomes = std::move(*done);
  }
  deps_.notify();
  if (!wanted.metadata) return Done();
  return Answer(MetadataJson(outcomes, wanted.push_now));
}

HttpServerResponse Api::DeleteProfiles(const HttpServerRequest& request) {
  Result<JsonBody> body = JsonBody::Parse(request.body);
  if (!body) return Problem(body.error());
  const Timestamp now = deps_.clock.Now();
  const ProfileRequest wanted = ReadRequest(*body, /*udids_win=*/false);
  const std::vector<WantedProfile> profiles = ReadProfiles(*body, ReadRemoval);
  if (!body->problems().empty()) return Problem(body->problems().front());
  if (wanted.all_devices) {
    const Status done =
        deps_.store.Write([&](StoreWriter& writer) { return AssignToAll(writer, profiles, now); });
    if (!done) return Problem(done.error());
    deps_.notify();
    return Done();
  }
  const Result<Outcomes> outcomes = AssignWhatChanges(deps_.store, wanted, profiles, false, now);
  if (!outcomes) return Problem(outcomes.error());
  deps_.notify();
  if (!wanted.metadata) return Done();
  return Answer(MetadataJson(*outcomes, wanted.push_now));
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
