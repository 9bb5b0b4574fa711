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
#include "director/mdmdirector_changes.h"
#include "director/mdmdirector_support.h"
#include "director/profile_upload.h"
#include "director/revisions.h"
#include "mdm/mdmdirector_document.h"

namespace director::mdmdirector {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kProfilesPerRequestMax = 100;

/// What a request for profiles says besides.
struct ProfileRequest {
  Targets targets;
  bool push_now = false;
  bool metadata = false;
};

ProfileRequest ReadRequest(JsonBody& body, Method method) {
  ProfileRequest request;
  request.targets = ReadTargets(body, method);
  request.push_now = body.OptionalBool("push_now");
  request.metadata = body.OptionalBool("metadata");
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
Result<WantedItem> ReadProfile(const nlohmann::json& entry, bool for_all, Timestamp now) {
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
  WantedItem wanted;
  wanted.assignment.payload_identifier = profile->payload_identifier;
  wanted.assignment.payload_uuid = profile->payload_uuid;
  wanted.hashed_payload_uuid = std::move(document->payload_uuid);
  wanted.revision = ToRevision(std::move(*profile), kSource, now);
  return wanted;
}

Result<WantedItem> ReadRemoval(const nlohmann::json& entry) {
  std::string identifier;
  for (const auto& [key, value] : entry.items()) {
    const bool is_it = EqualsIgnoreCaseAscii(key, "payload_identifier") && value.is_string();
    if (is_it) identifier = value.get<std::string>();
  }
  if (!entry.is_object() || identifier.empty()) {
    return Fail(ErrorKind::kInvalid, "must be an object with a payload_identifier");
  }
  WantedItem wanted;
  if (Status usable = CheckPayloadIdentifier(identifier); !usable) return Fail(usable.error());
  if (KindOf(PayloadIdentifier(identifier)) != ItemKind::kProfile) {
    return Fail(ErrorKind::kInvalid, "names no profile");
  }
  wanted.assignment.payload_identifier = PayloadIdentifier(identifier);
  wanted.assignment.presence = Presence::kAbsent;
  wanted.assignment.adopt = true;  // MDMDirector removes whatever has the identifier
  return wanted;
}

/// Reads each entry of `profiles`; problems name their place.
template <typename Read>
std::vector<WantedItem> ReadProfiles(JsonBody& body, const Read& read) {
  std::vector<WantedItem> profiles;
  std::map<PayloadIdentifier, std::size_t> first;
  const nlohmann::json& entries = ProfilesOf(body);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const std::string place = fmt::format("profiles[{}]", i);
    Result<WantedItem> profile = read(entries[i]);
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
      const WantedItem& profile = *outcome.item;
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

bool IsProfile(const Assignment& assignment) {
  return KindOf(assignment.payload_identifier) == ItemKind::kProfile;
}

Result<Json> SharedProfilesJson(StoreReader& reader) {
  const auto assignments = reader.ListAssignments({.target_kind = TargetKind::kAll});
  if (!assignments) return Fail(assignments.error());
  Json profiles = Json::array();
  for (const Assignment& assignment : *assignments) {
    if (assignment.channel != AssignmentChannel::kDevice || !IsProfile(assignment)) continue;
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
    if (!IsProfile(assignment)) continue;
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
  const ProfileRequest wanted = ReadRequest(*body, is_post ? Method::kPost : Method::kDelete);
  const std::vector<WantedItem> profiles = ReadProfiles(*body, [&](const nlohmann::json& entry) {
    return is_post ? ReadProfile(entry, wanted.targets.all_devices, now) : ReadRemoval(entry);
  });
  CheckSize(*body, "profiles", profiles.size(), wanted.targets);
  if (!body->problems().empty()) return Problem(body->problems().front());

  // A client that repeats itself costs a read; only what changes is written.
  Decision decision;
  const auto decide = [&](StoreReader& reader) -> Status {
    Result<Decision> decided = Decide(reader, wanted.targets, profiles, now);
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
  const bool says_more = wanted.metadata && (is_post || !wanted.targets.all_devices);
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
