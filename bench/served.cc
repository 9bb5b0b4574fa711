#include "bench/served.h"

#include <fmt/core.h>

#include <chrono>
#include <thread>

#include "bench/bench.h"
#include "bench/fleet.h"
#include "upstream/http_client.h"
#include "upstream/make_upstream.h"

namespace director::bench {
namespace {
constexpr char kApiToken[] = "bench";
/// NanoMDM posts each event as it comes.
constexpr std::size_t kWebhookThreads = 32;
}  // namespace

Config MakeConfig(const std::string& mdm_url) {
  Config config;
  config.listen_host = "127.0.0.1";
  config.api_token = SecretSource::FromValue(Secret(kApiToken));
  UpstreamConfig& server = config.upstreams.emplace_back();
  server.name = UpstreamName(kUpstream);
  server.url = mdm_url;
  server.api_key = SecretSource::FromValue(Secret(kMdmApiKey));
  server.webhook.unauthenticated = true;
  return config;
}

Result<std::unique_ptr<MdmServer>> StartMdm(const Clock& clock, Duration api_delay,
                                            int webhook_port) {
  MdmServerSettings settings;
  settings.webhook_threads = kWebhookThreads;
  if (webhook_port != 0) {
    settings.webhook_url = fmt::format("http://127.0.0.1:{}/webhook/{}", webhook_port, kUpstream);
  }
  settings.api_delay = api_delay;
  settings.api_key = Secret(kMdmApiKey);
  return MdmServer::Start(settings, clock);
}

Result<std::unique_ptr<Upstream>> MakeMdmClient(const std::string& mdm_url) {
  UpstreamSettings settings;
  settings.name = UpstreamName(kUpstream);
  settings.endpoint.url = mdm_url;
  settings.endpoint.password = Secret(kMdmApiKey);
  return MakeUpstream(settings);
}

Status PostToApi(int port, const std::string& path, const std::string& body) {
  HttpEndpoint endpoint;
  endpoint.url = fmt::format("http://127.0.0.1:{}", port);
  endpoint.bearer_token = Secret(kApiToken);
  const auto client = MakeHttpClient(endpoint);
  if (!client) return Fail(client.error());
  const Result<HttpResponse> answer =
      (*client)->Send({"POST", "/api/v1" + path, body, "application/json", {}});
  if (!answer) return Fail(answer.error());
  if (answer->status / 100 != 2) return Fail(ErrorKind::kCorrupt, answer->body);
  return {};
}

Status WaitFor(const std::string& what, double seconds_max, const std::function<bool()>& done) {
  const Stopwatch watch;
  while (!done()) {
    if (watch.seconds() > seconds_max)
      return Fail(ErrorKind::kCorrupt, fmt::format("{} did not come in {} s", what, seconds_max));
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return {};
}

}  // namespace director::bench
