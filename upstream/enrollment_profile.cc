#include "upstream/enrollment_profile.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "base/text.h"

namespace director {
namespace {

/// Where the webhook is, and what is asked for there.
struct WebhookTarget {
  HttpEndpoint endpoint;
  std::string path;
};

Result<WebhookTarget> ParseTarget(const EnrollmentProfileSettings& settings) {
  const std::string_view url = settings.url;
  if (url.find('#') != std::string_view::npos) {
    return Fail(InvalidField("url", "the URL must not have a fragment"));
  }
  const std::size_t scheme_end = url.find("://");
  const std::size_t authority_begin = scheme_end == std::string_view::npos ? 0 : scheme_end + 3;
  const std::size_t path_begin = std::min(url.find_first_of("/?", authority_begin), url.size());
  WebhookTarget target;
  target.endpoint.url = std::string(url.substr(0, path_begin));
  target.endpoint.bearer_token = settings.token;
  target.endpoint.ca_file = settings.ca_file;
  target.path = std::string(url.substr(path_begin));
  if (!target.path.starts_with('/')) target.path.insert(0, "/");
  const bool is_visible = std::all_of(target.path.begin(), target.path.end(),
                                      [](char c) { return c > 0x20 && c < 0x7F; });
  if (!is_visible) {
    return Fail(InvalidField("url", "the URL has spaces or non-ASCII characters"));
  }
  return target;
}

ErrorKind KindOfStatus(int status) {
  if (status == 401 || status == 403) return ErrorKind::kUnauthorized;
  const bool may_pass = status == 408 || status == 429 || status >= 500;
  return may_pass ? ErrorKind::kUnavailable : ErrorKind::kRejected;
}

bool IsWebPage(const HttpResponse& response) {
  const std::string head = ToLowerAscii(response.body.substr(0, 256));
  return ToLowerAscii(response.content_type).starts_with("text/html") ||
         head.find("<html") != std::string::npos ||
         head.find("<!doctype html") != std::string::npos;
}

tl::unexpected<Error> BadAnswer(ErrorKind kind, const std::string& what) {
  return Fail(kind, "the re-enrollment webhook answered with " + what);
}

class WebhookEnrollmentProfiles final : public EnrollmentProfileSource {
 public:
  WebhookEnrollmentProfiles(std::unique_ptr<HttpClient> http, std::string path, Duration timeout)
      : http_(std::move(http)), path_(std::move(path)), timeout_(timeout) {}

  Result<std::string> FetchEnrollmentProfile(std::string_view machine_info) override {
    if (machine_info.empty() || machine_info.size() > kMachineInfoMaxBytes) {
      return Fail(InvalidField("machine_info",
                               fmt::format("must be of 1 to {} bytes", kMachineInfoMaxBytes)));
    }
    HttpRequest request;
    request.method = "GET";
    request.path = path_;
    request.headers["X-Apple-Aspen-Deviceinfo"] = EncodeBase64(machine_info);
    request.timeout = timeout_;
    Result<HttpResponse> response = http_->Send(request);
    if (response) return Judge(std::move(*response));
    Error error = response.error();
    error.kind = ErrorKind::kUnavailable;
    error.message = "no answer from the re-enrollment webhook: " + error.message;
    return Fail(std::move(error));
  }

 private:
  static Result<std::string> Judge(HttpResponse response) {
    if (response.status != 200) {
      return BadAnswer(KindOfStatus(response.status), fmt::format("HTTP {}", response.status));
    }
    if (response.body.empty()) return BadAnswer(ErrorKind::kRejected, "nothing");
    if (response.body.size() > kEnrollmentProfileMaxBytes) {
      return BadAnswer(ErrorKind::kRejected, "more than 1 MiB");
    }
    if (IsWebPage(response)) {
      return BadAnswer(ErrorKind::kRejected, "a web page, perhaps to log in");
    }
    return std::move(response.body);
  }

  const std::unique_ptr<HttpClient> http_;
  const std::string path_;
  const Duration timeout_;
};

}  // namespace

Result<std::unique_ptr<EnrollmentProfileSource>> MakeEnrollmentProfileSource(
    const EnrollmentProfileSettings& settings) {
  if (settings.token.empty()) return Fail(InvalidField("token", "a token is needed"));
  Result<WebhookTarget> target = ParseTarget(settings);
  if (!target) return Fail(target.error());
  Result<std::unique_ptr<HttpClient>> http = MakeHttpClient(target->endpoint);
  if (!http) return Fail(http.error());
  return std::unique_ptr<EnrollmentProfileSource>(std::make_unique<WebhookEnrollmentProfiles>(
      std::move(*http), std::move(target->path), settings.timeout));
}

}  // namespace director
