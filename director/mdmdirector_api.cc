#include "director/mdmdirector_api.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "base/secret.h"
#include "base/text.h"
#include "director/api_support.h"
#include "director/assignment_rules.h"
#include "director/mdmdirector_support.h"
#include "director/profile_upload.h"
#include "mdm/event.h"

namespace director::mdmdirector {
namespace {

using Json = nlohmann::ordered_json;

/// The device channels that answer to `name` and pass `fits`.
template <typename Fits>
Result<std::vector<Enrollment>> FindDevices(StoreReader& reader, const std::string& name,
                                            const Fits& fits) {
  std::vector<Enrollment> devices;
  if (!CanNameDevice(name)) return devices;
  const Result<std::vector<EnrollmentId>> ids = reader.FindEnrollments(name);
  if (!ids) return Fail(ids.error());
  Result<std::vector<Enrollment>> found = reader.LoadEnrollments(*ids);
  if (!found) return Fail(found.error());
  for (Enrollment& enrollment : *found) {
    if (!IsUserChannel(enrollment.channel.type) && fits(enrollment)) {
      devices.push_back(std::move(enrollment));
    }
  }
  return devices;
}

/// Of several with one name the one heard from last: the others have been replaced.
std::optional<Enrollment> Newest(std::vector<Enrollment> devices) {
  if (devices.empty()) return std::nullopt;
  return *std::max_element(devices.begin(), devices.end(), [](const auto& a, const auto& b) {
    return a.last_seen_at < b.last_seen_at;
  });
}

}  // namespace

HttpServerResponse Done() { return {200, "", "", {}}; }

HttpServerResponse AnswerInParts(std::function<Result<std::string>()> next) {
  Result<std::string> first = next();
  if (!first) return Problem(first.error());
  HttpServerResponse response = Done();
  response.content_type = kText;
  response.more = [next = std::move(next),
                   first = std::move(*first)]() mutable -> Result<std::string> {
    return first.empty() ? next() : Result<std::string>(std::exchange(first, {}));
  };
  return response;
}

std::string Render(const Json& json) {
  const std::string text = json.dump(4, ' ', false, Json::error_handler_t::replace);
  std::string escaped;
  escaped.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string_view three = std::string_view(text).substr(i, 3);
    if (three == "\u2028" || three == "\u2029") {  // line ends to JavaScript
      escaped += three == "\u2028" ? "\\u2028" : "\\u2029";
      i += 2;
    } else if (text[i] == '<' || text[i] == '>' || text[i] == '&') {
      escaped += fmt::format("\\u{:04x}", text[i]);
    } else {
      escaped.push_back(text[i]);
    }
  }
  return escaped;
}

std::string Indented(const std::string& text) {
  std::string indented;
  indented.reserve(text.size() + text.size() / 4);
  for (const char c : text) {
    indented.push_back(c);
    if (c == '\n') indented += "    ";
  }
  return indented;
}

HttpServerResponse Answer(const Json& json) { return {200, kText, Render(json), {}}; }

HttpServerResponse Problem(const Error& error) {
  const std::string where = error.field.empty() ? "" : Printable(error.field, 256) + ": ";
  return {HttpStatusOf(error.kind),
          kText,
          where + Printable(error.message, 1024) + "\n",
          {{"X-Content-Type-Options", "nosniff"}}};
}

Result<std::optional<Enrollment>> FindByUdid(StoreReader& reader, const std::string& udid) {
  auto found = FindDevices(reader, udid, [&](const Enrollment& enrollment) {
    return EqualsIgnoreCaseAscii(UdidOf(enrollment), udid);
  });
  if (!found) return Fail(found.error());
  return Newest(std::move(*found));
}

Result<std::optional<Enrollment>> FindBySerial(StoreReader& reader, const std::string& serial) {
  auto found = FindDevices(reader, serial, [&](const Enrollment& enrollment) {
    return EqualsIgnoreCaseAscii(enrollment.serial_number, serial);
  });
  if (!found) return Fail(found.error());
  return Newest(std::move(*found));
}

DeviceNames ReadDeviceNames(JsonBody& body) {
  DeviceNames names{body.OptionalStrings("udids"), body.OptionalStrings("serial_numbers")};
  if (body.Has("uuids")) body.Problem("uuids", "is unknown; devices are named by udids");
  if (names.udids.size() + names.serial_numbers.size() > kDevicesPerRequestMax) {
    body.Problem("udids", fmt::format("names more than {} devices", kDevicesPerRequestMax));
  }
  return names;
}

Result<std::vector<Enrollment>> FindNamed(StoreReader& reader, const DeviceNames& names) {
  std::vector<Enrollment> devices;
  std::set<EnrollmentId> seen;
  const auto add = [&](const auto& found, const std::string& what) -> Status {
    if (!found) return Fail(found.error());
    if (!*found) return Fail(ErrorKind::kNotFound, "no device has the " + what);
    if (seen.insert((*found)->channel.enrollment_id).second) devices.push_back(**found);
    return {};
  };
  for (const std::string& udid : names.udids) {
    if (Status added = add(FindByUdid(reader, udid), "UDID " + udid); !added) {
      return Fail(added.error());
    }
  }
  for (const std::string& serial : names.serial_numbers) {
    if (Status added = add(FindBySerial(reader, serial), "serial number " + serial); !added) {
      return Fail(added.error());
    }
  }
  return devices;
}

std::string UdidOf(const Enrollment& enrollment) {
  const Channel& channel = enrollment.channel;
  return channel.udid.empty() ? channel.enrollment_id.value() : channel.udid;
}

std::vector<HttpRoute> Api::Routes() {
  return {
      Route("POST", "/profile", &Api::PostProfiles, kProfilesBodyMaxBytes),
      Route("DELETE", "/profile", &Api::DeleteProfiles, kApiBodySizeMaxBytes),
      Route("GET", "/profile", &Api::ListSharedProfiles),
      Route("GET", "/profile/{udid}", &Api::ListDeviceProfiles),
      Route("GET", "/device", &Api::ListDevices),
      Route("GET", "/device/{udid}", &Api::GetDevice),
      Route("GET", "/device/serial/{serial}", &Api::GetDeviceBySerial),
      Route("GET", "/device/push/{udid}", &Api::PushDevice),
      Route("GET", "/device/{udid}/commands", &Api::ListQueue),
      Route("POST", "/device/command/{command}", &Api::PostDeviceCommand, kApiBodySizeMaxBytes),
      Route("POST", "/installapplication", &Api::PostApps, kApiBodySizeMaxBytes),
      Route("GET", "/installapplication", &Api::ListSharedApps),
      Route("DELETE", "/installapplication", &Api::DeleteApps, kApiBodySizeMaxBytes),
      Route("GET", "/command", &Api::ListCommands),
      Route("GET", "/command/pending", &Api::ListPendingCommands),
      Route("GET", "/command/pending/delete", &Api::RefuseDeletion),
      Route("GET", "/command/error", &Api::ListFailedCommands),
      Route("POST", "/device/{udid}/ddm", &Api::RefuseDeclarations, kApiBodySizeMaxBytes),
      Route("DELETE", "/device/{udid}/ddm", &Api::RefuseDeclarations, kApiBodySizeMaxBytes),
      Route("POST", "/device/{udid}/ddm/activate", &Api::RefuseDeclarations, kApiBodySizeMaxBytes),
      Route("GET", "/device/{udid}/ddm/status", &Api::RefuseDeclarations),
      {"GET", "/profiledownload/{udid}/{identifier}", 0,
       [this](const HttpServerRequest& request) { return DownloadProfile(request); }},
      {"GET", "/health", 0,
       [this](const HttpServerRequest& request) { return GetHealth(request); }},
  };
}

HttpRoute Api::Route(std::string method, std::string pattern, Handler handler,
                     std::size_t body_size_max_bytes) {
  return {std::move(method), std::move(pattern), body_size_max_bytes,
          [this, handler](const HttpServerRequest& request) -> HttpServerResponse {
            // Some of what GET does here is more than reading.
            if (request.method == "HEAD") return {405, kText, "", {{"Allow", "GET"}}};
            if (IsAuthorized(request.Header("authorization"))) return (this->*handler)(request);
            return {401,
                    kText,
                    "Unauthorised.\n",
                    {{"WWW-Authenticate",
                      "Basic realm=\"Please enter your username and password for this site\""}}};
          }};
}

bool Api::IsAuthorized(const std::string& authorization) const {
  constexpr std::string_view kScheme = "basic ";
  if (!ToLowerAscii(authorization.substr(0, kScheme.size())).starts_with(kScheme)) return false;
  const Result<std::string> given = DecodeBase64(authorization.substr(kScheme.size()));
  const Result<Secret> password = deps_.password.Get();
  return given && password && ConstantTimeEquals(*given, "mdmdirector:" + password->Reveal());
}

HttpServerResponse Api::GetHealth(const HttpServerRequest&) {
  const Status read = deps_.store.Read([](StoreReader& reader) -> Status {
    const auto any = reader.LoadEnrollments({EnrollmentId("health")});
    if (!any) return Fail(any.error());
    return {};
  });
  return {read ? 200 : 503, kText, read ? R"({"status":"UP"})" : R"({"status":"DOWN"})", {}};
}

}  // namespace director::mdmdirector
