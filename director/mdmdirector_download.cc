// What MDMDirector's NanoMDM branch adds for declarations: a profile to download, and what is not
// built.
#include <optional>
#include <utility>

#include "base/log.h"
#include "base/log_keys.h"
#include "base/text.h"
#include "director/mdmdirector_api.h"
#include "director/mdmdirector_support.h"
#include "mdm/item_definition.h"
#include "reconciler/desired.h"

namespace director::mdmdirector {
namespace {

/// The answer of MDMDirector: no reason, for it is a device that asks.
HttpServerResponse Refusal(int status, const std::string& text) {
  return {status, kText, text + "\n", {{"X-Content-Type-Options", "nosniff"}}};
}

HttpServerResponse Failure(const std::string& udid, const Error& error) {
  Log(LogLevel::kError, "a profile cannot be handed out",
      {{log_key::kEnrollmentId, Printable(udid, kEnrollmentIdSizeMaxBytes)},
       {log_key::kError, ErrorForLog(error)}});
  return Refusal(500, "Internal Server Error");
}

/// The revision that the device shall have now; by the same rule as the loop's. Nothing when it
/// shall have none, when that is contradictory, or when the device is not enrolled (an Authenticate
/// proves nothing yet): the loop sends it nothing then.
Result<std::optional<PayloadUuid>> AssignedRevision(StoreReader& reader, const std::string& udid,
                                                    const std::string& identifier) {
  const std::optional<PayloadUuid> none;
  const auto device = FindByUdid(reader, udid);
  if (!device) return Fail(device.error());
  if (!*device || (*device)->status != EnrollmentStatus::kEnrolled) return none;
  const Result<Snapshot> snapshot = reader.LoadSnapshot((*device)->channel.enrollment_id);
  if (!snapshot) return Fail(snapshot.error());
  for (const DesiredItem& item :
       ResolveDesired(snapshot->assignments, snapshot->enrollment.epoch_began_at)) {
    const DesiredAssignment& assignment = *item.assignment;
    if (assignment.payload_identifier.value() != identifier) continue;
    const bool is_profile = KindOf(assignment.payload_identifier) == ItemKind::kProfile;
    const bool is_wanted = assignment.presence == Presence::kPresent && item.conflict.empty();
    if (!is_profile || !is_wanted) return none;
    return std::optional<PayloadUuid>(assignment.payload_uuid);
  }
  return none;
}

}  // namespace

HttpServerResponse Api::DownloadProfile(const HttpServerRequest& request) {
  if (request.method == "HEAD") return {405, kText, "", {{"Allow", "GET"}}};
  if (deps_.downloads == nullptr) return Refusal(404, "Not Found: profile_download is not set");
  const std::string& udid = request.path_values.at("udid");
  if (request.Header("x-enrollment-id") != udid) return Refusal(401, "Unauthorized");
  std::optional<PayloadUuid> revision;
  const Status done = deps_.store.Read([&](StoreReader& reader) -> Status {
    auto found = AssignedRevision(reader, udid, request.path_values.at("identifier"));
    if (!found) return Fail(found.error());
    revision = std::move(*found);
    return {};
  });
  if (!done) return Failure(udid, done.error());
  if (!revision) return Refusal(404, "Not Found");
  const auto payload = deps_.downloads->Get(*revision);
  if (!payload) return Failure(udid, payload.error());
  return {200, "application/x-apple-aspen-config", **payload, {}};
}

HttpServerResponse Api::RefuseDeclarations(const HttpServerRequest&) {
  return {501,
          kText,
          "declarative management is not built: profiles go to every device by InstallProfile, "
          "and no device can be opted in or out\n",
          {}};
}

}  // namespace director::mdmdirector
