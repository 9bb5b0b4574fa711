#include "director/api.h"

#include <fmt/core.h>

#include <utility>

#include "base/text.h"
#include "director/api_support.h"
#include "director/assignment_rules.h"
#include "director/profile_upload.h"

namespace director {
std::vector<HttpRoute> Api::Routes() {
  const std::string base = "/api/v1";
  return {
      Route("POST", base + "/profiles", kProfilesBodyMaxBytes, &Api::PostProfiles),
      Route("GET", base + "/profiles", 0, &Api::ListProfiles),
      Route("GET", base + "/profiles/{payload_uuid}", 0, &Api::GetProfile),
      Route("GET", base + "/profiles/{payload_uuid}/mobileconfig", 0, &Api::GetMobileconfig),
      Route("POST", base + "/apps", kProfilesBodyMaxBytes, &Api::PostApps),
      Route("GET", base + "/apps", 0, &Api::ListApps),
      Route("POST", base + "/accounts", kApiBodySizeMaxBytes, &Api::PostAccounts),
      Route("GET", base + "/accounts", 0, &Api::ListAccounts),
      Route("POST", base + "/assignments", kApiBodySizeMaxBytes, &Api::PostAssignments),
      Route("GET", base + "/assignments", 0, &Api::ListAssignments),
      Route("DELETE", base + "/assignments/{assignment_id}", kApiBodySizeMaxBytes,
            &Api::DeleteAssignment),
      Route("GET", base + "/devices", 0, &Api::ListDevices),
      Route("GET", base + "/devices/{device}", 0, &Api::GetDevice),
      Route("GET", base + "/devices/{device}/inventory", 0, &Api::GetInventory),
      Route("GET", base + "/devices/{device}/items/{payload_identifier}", 0, &Api::ExplainItem),
      Route("POST", base + "/devices/{device}/items/{payload_identifier}/retry",
            kApiBodySizeMaxBytes, &Api::RetryItem),
      Route("POST", base + "/devices/{device}/push", kApiBodySizeMaxBytes, &Api::PushDevice),
      Route("POST", base + "/devices/{device}/reconcile", kApiBodySizeMaxBytes,
            &Api::ReconcileDevice),
      Route("POST", base + "/devices/{device}/seen", kApiBodySizeMaxBytes, &Api::SeeDevice),
      Route("POST", base + "/devices/{device}/release", kApiBodySizeMaxBytes, &Api::ReleaseDevice),
      Route("POST", base + "/devices/{device}/proposals", kApiBodySizeMaxBytes, &Api::PostProposal),
      Route("GET", base + "/proposals", 0, &Api::ListProposals),
      Route("GET", base + "/proposals/{proposal_id}", 0, &Api::GetProposal),
      Route("DELETE", base + "/proposals/{proposal_id}", kApiBodySizeMaxBytes,
            &Api::CancelProposal),
      Route("POST", base + "/proposals/{proposal_id}/secret", kApiBodySizeMaxBytes,
            &Api::RevealSecret),
      Route("GET", base + "/status", 0, &Api::GetStatus),
      Route("GET", base + "/events", 0, &Api::ListEvents),
      Route("GET", base + "/dead-letters", 0, &Api::ListDeadLetters),
      Route("DELETE", base + "/mdm-servers/{upstream}/enrollment-profile", kApiBodySizeMaxBytes,
            &Api::ForgetEnrollmentProfile),
  };
}

HttpRoute Api::Route(std::string method, std::string pattern, std::size_t body_size_max_bytes,
                     Handler handler) {
  return {
      std::move(method), std::move(pattern), body_size_max_bytes,
      [this, handler](const HttpServerRequest& request) { return Authorize(request, handler); }};
}

HttpServerResponse Api::Authorize(const HttpServerRequest& request, Handler handler) {
  if (IsAuthorized(request.Header("authorization"))) return (this->*handler)(request);
  HttpServerResponse response = ProblemResponse(
      MakeError(ErrorKind::kUnauthorized, "a valid bearer token or Basic credentials are needed"));
  response.headers["WWW-Authenticate"] = R"(Bearer realm="director", Basic realm="director")";
  return response;
}

bool Api::IsAuthorized(const std::string& authorization) const {
  const Config& config = deps_.config;
  if (authorization.starts_with("Bearer ") && config.api_token.is_set()) {
    const Result<Secret> token = config.api_token.Get();
    return token && ConstantTimeEquals(authorization.substr(7), token->Reveal());
  }
  if (authorization.starts_with("Basic ") && config.api_password.is_set()) {
    const Result<std::string> given = DecodeBase64(authorization.substr(6));
    const Result<Secret> password = config.api_password.Get();
    return given && password &&
           ConstantTimeEquals(*given, config.api_user + ":" + password->Reveal());
  }
  return false;
}

Result<EnrollmentId> Api::FindDevice(StoreReader& reader, const std::string& name) {
  if (!CanNameDevice(name)) {
    return Fail(InvalidField("device", "not a UDID, serial number or enrollment id"));
  }
  const Result<std::vector<EnrollmentId>> found = reader.FindEnrollments(name);
  if (!found) return Fail(found.error());
  if (found->empty())
    return Fail(ErrorKind::kNotFound, fmt::format("no device {}", Printable(name, 64)));
  const Result<std::vector<Enrollment>> enrollments = reader.LoadEnrollments(*found);
  if (!enrollments) return Fail(enrollments.error());
  std::vector<EnrollmentId> devices;
  for (const Enrollment& enrollment : *enrollments) {
    if (enrollment.channel.enrollment_id.value() == name) return enrollment.channel.enrollment_id;
    if (!IsUserChannel(enrollment.channel.type))
      devices.push_back(enrollment.channel.enrollment_id);
  }
  if (devices.size() == 1) return devices.front();
  if (devices.empty()) return found->front();
  return Fail(ErrorKind::kConflict, fmt::format("{} devices answer to {}; use the enrollment id",
                                                devices.size(), Printable(name, 64)));
}

}  // namespace director
