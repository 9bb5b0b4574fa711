#include "upstream/answer.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace director {
namespace {

constexpr std::size_t kDetailSizeMaxBytes = 300;
constexpr std::size_t kVersionSizeMaxBytes = 64;
constexpr std::size_t kEnrollmentIdSizeMaxBytes = 255;  // NanoMDM's SQL stores

// How NanoMDM and MicroMDM introduce the bytes of a command that they could not parse.
constexpr std::array<std::string_view, 2> kEchoingTexts = {"parse error", "parse payload as plist"};

constexpr std::array<std::string_view, 3> kDuplicateTexts = {"already exists", "duplicate key",
                                                             "Duplicate entry"};

constexpr std::array<std::string_view, 6> kBadCommandTexts = {
    "decoding command",       "invalid command",      "must enqueue or push",
    "parse payload as plist", "request is malformed", "empty path"};

// MicroMDM's push library renders APNs' reasons in words of its own.
constexpr std::array<std::string_view, 6> kUnregisteredTexts = {
    "Unregistered",       "BadDeviceToken",           "status: 410",
    "invalid push token", "device token is inactive", "bad device token"};

template <typename Texts>
bool ContainsAny(std::string_view text, const Texts& needles) {
  return std::any_of(needles.begin(), needles.end(), [&](std::string_view needle) {
    return text.find(needle) != std::string_view::npos;
  });
}

}  // namespace

std::string CleanDetail(std::string_view server_text) {
  if (ContainsAny(server_text, kEchoingTexts)) return "the server cannot parse the command";
  return Printable(server_text, kDetailSizeMaxBytes);
}

// A parse error quotes the command, which may contain anything: it is asked about first.
bool SaysDuplicate(std::string_view server_text) {
  return !SaysBadCommand(server_text) && ContainsAny(server_text, kDuplicateTexts);
}

bool SaysBadCommand(std::string_view server_text) {
  return ContainsAny(server_text, kBadCommandTexts);
}

bool SaysUnregistered(std::string_view server_text) {
  return ContainsAny(server_text, kUnregisteredTexts);
}

bool IsAddressable(const EnrollmentId& enrollment_id) {
  const std::string& id = enrollment_id.value();
  return !id.empty() && id.size() <= kEnrollmentIdSizeMaxBytes && id != "." && id != ".." &&
         id.find_first_of(",/\\") == std::string::npos && Printable(id, id.size()) == id;
}

std::string StatusDetail(int status) {
  switch (status) {
    case 401:
    case 403:
      return fmt::format("credentials refused (HTTP {})", status);
    case 404:
      return "API not enabled or wrong URL (HTTP 404)";
    case 413:
      return "the command is too large for the server or a proxy (HTTP 413)";
    case 414:
    case 431:
      return fmt::format("too many targets for the server or a proxy (HTTP {})", status);
    default:
      if (status >= 300 && status < 400) {
        return fmt::format("redirected, so the URL is wrong (HTTP {})", status);
      }
      return fmt::format("no usable answer (HTTP {})", status);
  }
}

Result<std::string> ProbeVersion(HttpClient& http) {
  HttpRequest request;
  request.method = "GET";
  request.path = "/version";
  const Result<HttpResponse> response = http.Send(request);
  if (!response) {
    return Fail(ErrorKind::kUnavailable, response.error().message);
  }
  if (response->status >= 500) {
    return Fail(ErrorKind::kUnavailable, StatusDetail(response->status));
  }
  const auto json = nlohmann::json::parse(response->body, nullptr, false);
  if (!json.is_object()) return std::string("unknown");
  const auto version = json.find("version");
  if (version == json.end() || !version->is_string()) return std::string("unknown");
  return Printable(version->get_ref<const std::string&>(), kVersionSizeMaxBytes);
}

}  // namespace director
