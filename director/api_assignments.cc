#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include "base/text.h"
#include "director/api.h"
#include "director/api_support.h"
#include "director/assignment_rules.h"
#include "director/json_body.h"
#include "director/profile_upload.h"
#include "mdm/event.h"
#include "mdm/item_definition.h"
#include "mdm/profile.h"

namespace director {
namespace {

using Json = nlohmann::json;

/// What a POST asks for, before the store is looked at.
struct AssignmentRequest {
  Assignment common;                 ///< everything but the target
  std::vector<std::string> devices;  ///< empty: all
};

template <typename T>
T Parsed(JsonBody& body, const std::string& key, const Result<T>& value, T fallback) {
  if (value) return *value;
  body.Problem(key, value.error().message);
  return fallback;
}

void CheckDeviceNames(JsonBody& body, const std::vector<std::string>& devices) {
  if (devices.size() > kDevicesPerRequestMax) {
    body.Problem("devices", fmt::format("names more than {} devices", kDevicesPerRequestMax));
  }
  std::set<std::string> seen;
  for (const std::string& device : devices) {
    if (device.size() > kEnrollmentIdSizeMaxBytes || Printable(device, 1024) != device ||
        device.find_first_of("/\"'\\ ") != std::string::npos) {
      body.Problem("devices", fmt::format("{} is no UDID, serial number or enrollment id",
                                          Printable(device, 64)));
    } else if (!seen.insert(ToLowerAscii(device)).second) {
      body.Problem("devices", fmt::format("{} stands twice", device));
    }
  }
}

void ReadTarget(JsonBody& body, AssignmentRequest& request) {
  const std::string target = body.OptionalString("target", "");
  request.devices = body.OptionalStrings("devices");
  const bool names_devices = body.Has("devices");
  if (names_devices == (target == "all")) {
    body.Problem("target", "say either \"target\": \"all\" or \"devices\": [...]");
  } else if (names_devices && request.devices.empty()) {
    body.Problem("devices", "names no device; no target is not all devices");
  } else if (!target.empty() && target != "all") {
    body.Problem("target", "must be \"all\"");
  }
  CheckDeviceNames(body, request.devices);
  request.common.target_kind = names_devices ? TargetKind::kDevice : TargetKind::kAll;
}

/// What has no meaning for an item of this kind.
void CheckKind(JsonBody& body, const Assignment& wanted) {
  const ItemKind kind = KindOf(wanted.payload_identifier);
  const bool is_absent = wanted.presence == Presence::kAbsent;
  if (is_absent && (wanted.during_setup || wanted.at_enrollment_only)) {
    body.Problem(wanted.during_setup ? "during_setup" : "at_enrollment_only",
                 "has a meaning only when the item shall be present");
  }
  if (kind != ItemKind::kApp && wanted.at_enrollment_only) {
    body.Problem("at_enrollment_only", "has a meaning for apps only");
  }
  if (kind == ItemKind::kProfile) return;
  if (wanted.channel == AssignmentChannel::kUser) {
    body.Problem("channel", "must be device for apps and accounts");
  }
  if (wanted.adopt) body.Problem("adopt", "has a meaning for profiles only");
  if (is_absent && BundleIdentifierOf(wanted.payload_identifier).empty()) {
    body.Problem("presence", "only apps with a bundle identifier and profiles can be absent");
  }
}

AssignmentRequest ReadRequest(JsonBody& body, Timestamp now) {
  AssignmentRequest request;
  Assignment& common = request.common;
  common.payload_identifier = PayloadIdentifier(body.RequiredString("payload_identifier"));
  common.presence =
      Parsed(body, "presence", ParsePresence(body.OptionalString("presence", "present")),
             Presence::kPresent);
  common.channel =
      Parsed(body, "channel", ParseAssignmentChannel(body.OptionalString("channel", "device")),
             AssignmentChannel::kDevice);
  common.payload_uuid = PayloadUuid(ToUpperAscii(body.OptionalString("payload_uuid", "")));
  common.adopt = body.OptionalBool("adopt");
  common.source = ReadSource(body);
  common.assigned_at = now;
  if (common.presence == Presence::kAbsent && !common.payload_uuid.empty()) {
    body.Problem("payload_uuid", "has no meaning when the item shall be absent");
  }
  if (common.presence == Presence::kPresent && common.adopt) {
    body.Problem("adopt", "has a meaning only when the item shall be absent");
  }
  common.during_setup = body.OptionalBool("during_setup");
  common.at_enrollment_only = body.OptionalBool("at_enrollment_only");
  CheckKind(body, common);
  const std::string& identifier = common.payload_identifier.value();
  if (!identifier.empty() && !CheckPayloadIdentifier(identifier)) {
    body.Problem("payload_identifier", "must be at most 255 printable bytes");
  }
  ReadTarget(body, request);
  body.RefuseUnknownKeys();
  return request;
}

/// Fills in the revision: the named one, or the newest of the identifier.
Status ResolveRevision(StoreReader& reader, Assignment& assignment) {
  if (assignment.presence == Presence::kAbsent) return {};
  if (assignment.payload_uuid.empty()) {
    const auto newest = reader.ListRevisions({assignment.payload_identifier, {}}, {"", 1});
    if (!newest) return Fail(newest.error());
    if (newest->empty()) {
      return Fail(
          InvalidField("payload_identifier", "no item with this identifier has been uploaded"));
    }
    assignment.payload_uuid = newest->front().payload_uuid;
    return {};
  }
  const Result<Revision> revision = reader.LoadRevision(assignment.payload_uuid);
  if (!revision && revision.error().kind != ErrorKind::kNotFound) return Fail(revision.error());
  if (!revision || revision->payload_identifier != assignment.payload_identifier) {
    return Fail(InvalidField("payload_uuid", "is no revision of this payload_identifier"));
  }
  return {};
}

bool SameKey(const Assignment& a, const Assignment& b) {
  return a.channel == b.channel && a.target_kind == b.target_kind &&
         EqualsIgnoreCaseAscii(a.target, b.target);
}

bool SameDevice(const std::vector<EnrollmentId>& a, const std::vector<EnrollmentId>& b) {
  return std::any_of(a.begin(), a.end(), [&](const EnrollmentId& id) {
    return std::find(b.begin(), b.end(), id) != b.end();
  });
}

/// Who says again what stands already says it as of then, and what is for enrollment only concerns
/// everybody who has enrolled since it was said first, whatever the revision.
Timestamp AssignedAt(const Assignment& wanted, const std::vector<Assignment>& existing) {
  const auto same = std::find_if(existing.begin(), existing.end(), [&](const Assignment& other) {
    const bool says_the_same =
        wanted.at_enrollment_only ? other.presence == Presence::kPresent : Agree(wanted, other);
    return SameKey(wanted, other) && says_the_same &&
           wanted.at_enrollment_only == other.at_enrollment_only;
  });
  return same == existing.end() ? wanted.assigned_at : same->assigned_at;
}

/// A source replaces only its own, and two equally narrow assignments must not contradict each
/// other on one device.
Status CheckAgainst(StoreReader& reader, const Assignment& wanted,
                    const std::vector<Assignment>& existing) {
  for (const Assignment& other : existing) {
    if (SameKey(wanted, other)) {
      if (other.source == wanted.source) continue;
      return Fail(OwnedByOther(other));
    }
    if (other.target_kind != TargetKind::kDevice || wanted.target_kind != TargetKind::kDevice ||
        other.channel != wanted.channel || Agree(wanted, other)) {
      continue;
    }
    const auto mine = reader.FindEnrollments(wanted.target);
    if (!mine) return Fail(mine.error());
    const auto theirs = reader.FindEnrollments(other.target);
    if (!theirs) return Fail(theirs.error());
    if (SameDevice(*mine, *theirs)) {
      return Fail(
          ErrorKind::kConflict,
          fmt::format("{} and {} name the same device, and assignment {} says otherwise for it",
                      wanted.target, other.target, other.assignment_id));
    }
  }
  return {};
}

}  // namespace

HttpServerResponse Api::PostAssignments(const HttpServerRequest& request) {
  if (Status ok = CheckQuery(request, {}); !ok) return ProblemResponse(ok.error());
  Result<JsonBody> body = JsonBody::Parse(request.body);
  if (!body) return ProblemResponse(body.error());
  const Timestamp now = deps_.clock.Now();
  AssignmentRequest wanted = ReadRequest(*body, now);
  if (!body->problems().empty()) {
    return ProblemResponse(400, "nothing was assigned: the request has problems", body->problems());
  }
  Json stored = Json::array();
  const Status done = deps_.store.Write([&](StoreWriter& writer) -> Status {
    stored = Json::array();
    if (Status ok = ResolveRevision(writer, wanted.common); !ok) return ok;
    const auto existing =
        writer.ListAssignments({.payload_identifier = wanted.common.payload_identifier});
    if (!existing) return Fail(existing.error());
    std::vector<std::string> targets = wanted.devices;
    if (wanted.common.target_kind == TargetKind::kAll) targets = {""};
    std::vector<Assignment> assignments(targets.size(), wanted.common);
    for (std::size_t i = 0; i < targets.size(); ++i) assignments[i].target = targets[i];
    if (Status ok = CheckAccountNames(writer, assignments); !ok) return ok;
    for (Assignment& assignment : assignments) {
      if (Status ok = CheckAgainst(writer, assignment, *existing); !ok) return ok;
      assignment.assigned_at = AssignedAt(assignment, *existing);
      const Result<std::int64_t> id = writer.SaveAssignment(assignment, now);
      if (!id) return Fail(id.error());
      assignment.assignment_id = *id;
      stored.push_back(AssignmentJson(assignment));
    }
    return writer.AddHappenings(
        {{0, now, {}, "desired", DescribeAssignment(wanted.common, targets.size())}});
  });
  if (!done) return ProblemResponse(done.error());
  deps_.notify();
  return JsonResponse(200, {{"assignments", std::move(stored)}});
}

HttpServerResponse Api::ListAssignments(const HttpServerRequest& request) {
  if (Status ok = CheckQuery(request, {"payload_identifier"}); !ok)
    return ProblemResponse(ok.error());
  Json items;
  const Status done = deps_.store.Read([&](StoreReader& reader) -> Status {
    items = Json::array();
    const auto found = reader.ListAssignments(
        {.payload_identifier = PayloadIdentifier(QueryValue(request, "payload_identifier"))});
    if (!found) return Fail(found.error());
    for (const Assignment& assignment : *found) items.push_back(AssignmentJson(assignment));
    return {};
  });
  if (!done) return ProblemResponse(done.error());
  return JsonResponse(200, {{"assignments", std::move(items)}});
}

HttpServerResponse Api::DeleteAssignment(const HttpServerRequest& request) {
  if (Status ok = CheckQuery(request, {"source"}); !ok) return ProblemResponse(ok.error());
  const std::string& text = request.path_values.at("assignment_id");
  std::int64_t id = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (ec != std::errc() || end != text.data() + text.size()) {
    return ProblemResponse(InvalidField("assignment_id", "must be a number"));
  }
  std::string source = QueryValue(request, "source");
  if (source.empty()) source = "api";
  const Timestamp now = deps_.clock.Now();
  const Status done = deps_.store.Write([&](StoreWriter& writer) -> Status {
    const auto all = writer.ListAssignments({});
    if (!all) return Fail(all.error());
    const auto found = std::find_if(all->begin(), all->end(), [&](const Assignment& assignment) {
      return assignment.assignment_id == id;
    });
    if (found == all->end()) return Fail(ErrorKind::kNotFound, fmt::format("no assignment {}", id));
    if (found->source != source) {
      return Fail(
          ErrorKind::kConflict,
          fmt::format("belongs to source {}; only that source can withdraw it", found->source));
    }
    if (Status deleted = writer.DeleteAssignment(id, now); !deleted) return deleted;
    return writer.AddHappenings(
        {{0,
          now,
          {},
          "desired",
          fmt::format("{} is no longer assigned to {}; what is installed stays",
                      found->payload_identifier.value(),
                      found->target.empty() ? "all devices" : found->target)}});
  });
  if (!done) return ProblemResponse(done.error());
  deps_.notify();
  return {204, "", "", {}};
}

}  // namespace director
