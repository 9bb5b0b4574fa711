#include "director/api_client.h"

#include <fmt/core.h>

#include <utility>

namespace director {
namespace {

using Json = nlohmann::json;
constexpr char kBase[] = "/api/v1";

/// All messages of a problem document on one line each.
Error ToError(const HttpResponse& response) {
  const Json problem = Json::parse(response.body, nullptr, /*allow_exceptions=*/false);
  std::string message = fmt::format("HTTP {}", response.status);
  if (problem.is_object()) {
    message = problem.value("title", message);
    for (const Json& entry : problem.value("errors", Json::array())) {
      if (!entry.is_object() || !entry.contains("field")) continue;
      message += fmt::format("\n  {}: {}", entry.value("field", ""), entry.value("message", ""));
    }
  }
  return MakeError(response.status == 401   ? ErrorKind::kUnauthorized
                   : response.status == 404 ? ErrorKind::kNotFound
                                            : ErrorKind::kInvalid,
                   message);
}

}  // namespace

Result<ApiClient> ApiClient::Connect(const ClientOptions& options) {
  HttpEndpoint endpoint;
  endpoint.url = options.url;
  endpoint.ca_file = options.ca_file;
  endpoint.bearer_token = options.token;
  if (!options.token_file.empty()) {
    const Result<Secret> token = SecretSource::FromFile(options.token_file).Get();
    if (!token) return Fail(token.error());
    endpoint.bearer_token = *token;
  }
  Result<std::unique_ptr<HttpClient>> http = MakeHttpClient(endpoint);
  if (!http) return Fail(http.error());
  ApiClient client;
  client.http_ = std::move(*http);
  return client;
}

Result<Json> ApiClient::Send(HttpRequest request) {
  request.path = kBase + request.path;
  const Result<HttpResponse> response = http_->Send(request);
  if (!response) return Fail(response.error());
  if (response->status >= 300) return Fail(ToError(*response));
  if (response->body.empty()) return Json();
  Json json = Json::parse(response->body, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded())
    return Fail(ErrorKind::kCorrupt, "the answer is not JSON; is this Director?");
  return json;
}

Result<Json> ApiClient::Get(const std::string& path) {
  HttpRequest request;
  request.method = "GET";
  request.path = path;
  return Send(std::move(request));
}

Result<Json> ApiClient::Post(const std::string& path, const Json& body) {
  return PostBytes(path, body.dump(-1, ' ', false, Json::error_handler_t::replace),
                   "application/json");
}

Result<Json> ApiClient::PostBytes(const std::string& path, std::string bytes,
                                  const std::string& content_type) {
  HttpRequest request;
  request.method = "POST";
  request.path = path;
  request.body = std::move(bytes);
  request.content_type = content_type;
  return Send(std::move(request));
}

Result<Json> ApiClient::Delete(const std::string& path) {
  HttpRequest request;
  request.method = "DELETE";
  request.path = path;
  return Send(std::move(request));
}

Result<Json> ApiClient::GetAll(const std::string& path, const std::string& name) {
  const std::string join = path.find('?') == std::string::npos ? "?" : "&";
  Json all = Json::array();
  std::string after;
  while (all.size() < kRowsMax) {
    const std::string cursor = after.empty() ? "" : "&after=" + EncodePathSegment(after);
    const Result<Json> page = Get(fmt::format("{}{}limit=1000{}", path, join, cursor));
    if (!page) return page;
    if (!page->contains(name)) return Fail(ErrorKind::kCorrupt, "the answer has no " + name);
    for (const Json& row : (*page)[name]) all.push_back(row);
    const auto next = page->find("next");
    if (next == page->end() || !next->is_string()) break;
    after = next->get<std::string>();
  }
  return all;
}

}  // namespace director
