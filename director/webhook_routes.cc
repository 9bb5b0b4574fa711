#include "director/webhook_routes.h"

#include <algorithm>

#include "base/log.h"
#include "base/log_keys.h"
#include "base/text.h"
#include "signing/hmac.h"
#include "webhook/decode.h"

namespace director {
namespace {

bool CheckHmac(const WebhookAuth& auth, const HttpServerRequest& request) {
  if (!auth.hmac_key.is_set()) return true;
  const Result<Secret> key = auth.hmac_key.Get();
  return key && VerifyHmacHeader(*key, request.body, request.Header("x-hmac-signature"));
}

bool CheckBasic(const WebhookAuth& auth, const HttpServerRequest& request) {
  if (!auth.basic_password.is_set()) return true;
  const std::string header = request.Header("authorization");
  const Result<Secret> password = auth.basic_password.Get();
  if (!header.starts_with("Basic ") || !password) return false;
  const Result<std::string> given = DecodeBase64(header.substr(6));
  return given && ConstantTimeEquals(*given, auth.basic_user + ":" + password->Reveal());
}

bool CheckSecretPath(const WebhookAuth& auth, const HttpServerRequest& request) {
  const auto given = request.path_values.find("secret");
  if (!auth.secret_path.is_set()) return given == request.path_values.end();
  const Result<Secret> wanted = auth.secret_path.Get();
  return wanted && given != request.path_values.end() &&
         ConstantTimeEquals(given->second, wanted->Reveal());
}

/// Every configured proof is demanded; without any, only the explicit word lets a sender in.
bool IsAuthentic(const WebhookAuth& auth, const HttpServerRequest& request) {
  const bool any =
      auth.hmac_key.is_set() || auth.basic_password.is_set() || auth.secret_path.is_set();
  if (!any && !auth.unauthenticated) return false;
  return CheckSecretPath(auth, request) && CheckBasic(auth, request) && CheckHmac(auth, request);
}

const UpstreamConfig* FindUpstream(const Config& config, const HttpServerRequest& request) {
  const auto name = request.path_values.find("upstream");
  if (name == request.path_values.end()) return &config.upstreams.front();
  const auto found = std::find_if(
      config.upstreams.begin(), config.upstreams.end(),
      [&](const UpstreamConfig& upstream) { return upstream.name.value() == name->second; });
  return found == config.upstreams.end() ? nullptr : &*found;
}

}  // namespace

std::vector<HttpRoute> WebhookRoutes(const Config& config, Ingest& ingest, const Clock& clock,
                                     WebhookCounts& counts) {
  const auto receive = [&](const HttpServerRequest& request) -> HttpServerResponse {
    const UpstreamConfig* upstream = FindUpstream(config, request);
    if (upstream == nullptr) {
      return ProblemResponse(MakeError(ErrorKind::kNotFound, "no such MDM server"));
    }
    if (!IsAuthentic(upstream->webhook, request)) {
      ++counts.unauthorized;
      Log(LogLevel::kWarning, "webhook refused: the sender did not prove who it is",
          {{log_key::kUpstream, upstream->name.value()}});
      return ProblemResponse(
          MakeError(ErrorKind::kUnauthorized, "the webhook is not authenticated"));
    }
    const Status done = ingest.Accept(
        DecodeIncoming(request.body, upstream->name, clock.Now(), config.settings.renewal.issuers));
    if (!done) {
      ++counts.unavailable;
      return ProblemResponse(done.error());
    }
    ++counts.accepted;
    return {200, "", "", {}};
  };
  return {
      {"POST", "/webhook", kWebhookSizeMaxBytes, receive},
      {"POST", "/webhook/{upstream}", kWebhookSizeMaxBytes, receive},
      {"POST", "/webhook/{upstream}/{secret}", kWebhookSizeMaxBytes, receive},
  };
}

}  // namespace director
