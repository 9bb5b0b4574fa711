#pragma once

#include <fmt/core.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "director/app.h"
#include "director/ingest.h"
#include "simulator/device.h"
#include "store/store.h"
#include "tests/support/catch.h"
#include "tests/support/director_parts.h"
#include "upstream/http_client.h"

namespace director::director_test {

inline constexpr char kToken[] = "the-api-token";
inline constexpr char kHmacKey[] = "the-hmac-key";

/// A configuration for a service on a free port, with an MDM server at `mdm_url`.
inline Config MakeTestConfig(const std::string& mdm_url = "http://127.0.0.1:9") {
  Config config;
  config.listen_host = "127.0.0.1";
  config.listen_port = 0;
  config.database = ":memory:";
  config.api_token = SecretSource::FromValue(Secret(kToken));
  config.http_threads = 8;
  UpstreamConfig server;
  server.name = UpstreamName("nanomdm");
  server.url = mdm_url;
  server.api_key = SecretSource::FromValue(Secret("key"));
  server.webhook.hmac_key = SecretSource::FromValue(Secret(kHmacKey));
  config.upstreams.push_back(std::move(server));
  return config;
}

/// An answer with its body as JSON, when it is JSON.
struct ApiAnswer {
  int status = 0;
  std::string content_type;
  std::string body;
  nlohmann::json json;

  /// True when a problem document names `field`.
  bool Names(const std::string& field) const {
    if (!json.is_object() || !json.contains("errors")) return false;
    for (const auto& error : json["errors"]) {
      if (error.value("field", "") == field) return true;
    }
    return false;
  }
};

/// The running service and a client with its token.
class Service {
 public:
  explicit Service(Config config = MakeTestConfig()) {
    ConfigureLog(LogLevel::kError, LogFormat::kLogfmt);
    auto started = App::Start(config, clock_, OpenStore(config.database));
    INFO((started ? std::string() : ErrorForLog(started.error())));
    REQUIRE(started);
    app_ = std::move(*started);
  }

  App& app() { return *app_; }
  Store& store() { return app_->store(); }
  const Clock& clock() const { return clock_; }

  ApiAnswer Send(const std::string& method, const std::string& path, const std::string& body = {},
                 const std::string& content_type = "application/json",
                 const std::map<std::string, std::string>& headers = {}) {
    HttpEndpoint endpoint;
    endpoint.url = app_->url();
    if (!headers.contains("Authorization") && with_token) endpoint.bearer_token = Secret(kToken);
    auto client = MakeHttpClient(endpoint);
    REQUIRE(client);
    HttpRequest request;
    request.method = method;
    request.path = path;
    request.body = body;
    request.content_type = content_type;
    request.headers = headers;
    const Result<HttpResponse> response = (*client)->Send(request);
    INFO(method << " " << path.substr(0, 200) << ": "
                << (response ? std::string() : ErrorForLog(response.error())));
    REQUIRE(response);
    auto json = nlohmann::json::parse(response->body, nullptr, false);
    if (json.is_discarded()) json = nullptr;
    return {response->status, response->content_type, response->body, std::move(json)};
  }
  ApiAnswer Get(const std::string& path) { return Send("GET", "/api/v1" + path); }
  ApiAnswer Delete(const std::string& path) { return Send("DELETE", "/api/v1" + path); }
  ApiAnswer Post(const std::string& path, const nlohmann::json& body = nlohmann::json::object()) {
    return Send("POST", "/api/v1" + path, body.dump());
  }
  ApiAnswer PostText(const std::string& path, const std::string& body) {
    return Send("POST", "/api/v1" + path, body);
  }

  /// Uploads a profile; returns its PayloadUUID.
  std::string Upload(const std::string& mobileconfig) {
    const ApiAnswer stored =
        Send("POST", "/api/v1/profiles", mobileconfig, "application/x-apple-aspen-config");
    INFO(stored.body);
    REQUIRE(stored.status < 300);
    return stored.json["profiles"][0]["payload_uuid"].get<std::string>();
  }

  bool with_token = true;

 private:
  SystemClock clock_;
  std::unique_ptr<App> app_;
};

/// A webhook body as NanoMDM sends it for a message of a device.
inline std::string WebhookBody(const VirtualDevice& device, const DeviceMessage& message,
                               const std::string& topic, Timestamp at) {
  const bool is_checkin = message.kind == MessageKind::kCheckin;
  nlohmann::json event{{"udid", device.facts().udid}, {"raw_payload", EncodeBase64(message.body)}};
  if (!is_checkin) event["status"] = "Idle";
  return nlohmann::json{{"topic", topic},
                        {"event_id", "event"},
                        {"created_at", FormatTime(at)},
                        {is_checkin ? "checkin_event" : "acknowledge_event", event}}
      .dump();
}

inline VirtualDevice MakeMac(std::size_t index) {
  return VirtualDevice(MakeDeviceFacts(DeviceKind::kMac, 7, index), {}, index);
}

/// Enrolls a device as far as Director can tell: its Authenticate and TokenUpdate.
inline void Enroll(Store& store, const VirtualDevice& device, Timestamp at) {
  const UpstreamName server("nanomdm");
  const std::string authenticate =
      WebhookBody(device, device.MakeAuthenticate(), "mdm.Authenticate", at);
  const std::string token_update =
      WebhookBody(device, device.MakeTokenUpdate(), "mdm.TokenUpdate", at);
  REQUIRE(RecordIncoming(
      store, {DecodeIncoming(authenticate, server, at), DecodeIncoming(token_update, server, at)}));
}

}  // namespace director::director_test
