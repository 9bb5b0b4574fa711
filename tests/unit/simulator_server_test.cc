#include <httplib.h>

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/text.h"
#include "mdm/command.h"
#include "mdm/plist.h"
#include "signing/device_identity.h"
#include "signing/hmac.h"
#include "simulator/mdm_server.h"
#include "simulator/transport.h"
#include "simulator/webhook_sender.h"
#include "tests/support/catch.h"

namespace director::simulator_server_test {
namespace {

using nlohmann::json;

constexpr auto kPatience = std::chrono::seconds(30);

/// An HTTP server that remembers what it was sent.
class Receiver {
 public:
  struct Seen {
    std::string path;
    std::map<std::string, std::string> headers;
    std::string body;
  };

  explicit Receiver(int status = 200) {
    const auto remember = [this, status](const httplib::Request& request,
                                         httplib::Response& response) {
      Seen seen;
      seen.path = request.path;
      for (const auto& [key, value] : request.headers) seen.headers[key] = value;
      seen.body = request.body;
      response.status = status;
      const std::lock_guard lock(mutex_);
      seen_.push_back(std::move(seen));
      changed_.notify_all();
    };
    http_.Post(".*", remember);
    http_.Put(".*", remember);
    http_.Get("/alive", [](const httplib::Request&, httplib::Response&) {});
    http_.set_keep_alive_timeout(1);
    port_ = http_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { http_.listen_after_bind(); });
    httplib::Client probe("127.0.0.1", port_);
    REQUIRE(probe.Get("/alive"));
  }
  ~Receiver() {
    http_.stop();
    thread_.join();
  }

  std::string Address() const { return "127.0.0.1:" + std::to_string(port_); }
  std::vector<Seen> WaitFor(std::size_t count) {
    std::unique_lock lock(mutex_);
    REQUIRE(changed_.wait_for(lock, kPatience, [&] { return seen_.size() >= count; }));
    return seen_;
  }

 private:
  httplib::Server http_;
  int port_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Seen> seen_;
  std::thread thread_;
};

std::unique_ptr<MdmServer> Start(MdmServerSettings settings) {
  static const SystemClock clock;
  settings.api_key = Secret("key");
  auto started = MdmServer::Start(settings, clock);
  REQUIRE(started);
  return std::move(*started);
}

Result<HttpResponse> Call(const MdmServer& server, const std::string& user,
                          const std::string& method, const std::string& path,
                          const std::string& body = "") {
  HttpEndpoint endpoint;
  endpoint.url = server.url();
  endpoint.user = user;
  endpoint.password = Secret("key");
  auto client = MakeHttpClient(endpoint);
  REQUIRE(client);
  HttpRequest request;
  request.method = method;
  request.path = path;
  request.body = body;
  // What curl sends by default; the real server does not care.
  if (!body.empty()) request.content_type = "application/x-www-form-urlencoded";
  return (*client)->Send(request);
}

TEST_CASE("the API asks for credentials, the version does not") {
  const auto server = Start({});
  CHECK(Call(*server, "", "GET", "/version")->status == 200);
  for (const char* path : {"/v1/enqueue/A", "/v1/push/A"}) {
    const auto refused = Call(*server, "wrong", "GET", path);
    REQUIRE(refused);
    CHECK(refused->status == 401);
    CHECK(refused->body.rfind("Unauthorized", 0) == 0);
  }
  CHECK(Call(*server, "nanomdm", "GET", "/v1/push/A")->status == 500);
  CHECK(Call(*server, "nanomdm", "GET", "/nowhere")->status == 404);
}

TEST_CASE("without an API key there is no API") {
  const SystemClock clock;
  const auto server = MdmServer::Start({}, clock);
  REQUIRE(server);
  CHECK(Call(**server, "nanomdm", "GET", "/v1/push/A")->status == 404);
}

TEST_CASE("commands travel through the API to a device and the answer to the webhook") {
  Receiver receiver;
  MdmServerSettings settings;
  settings.webhook_url = "http://hook:p%40ss@" + receiver.Address() + "/hooks/nano?x=1";
  settings.webhook_hmac_key = Secret("hmac");
  const auto server = Start(settings);
  HttpTransportSettings http;
  http.endpoint.url = server->url();
  const auto transport = MakeHttpTransport(http);
  REQUIRE(transport);

  VirtualDevice device(MakeDeviceFacts(DeviceKind::kMac, 1, 0), {}, 1);
  const std::string id = device.enrollment_id().value();
  const std::string command =
      EncodeCommand(ProfileListCommand(), CommandUuid("C1")) + std::string(20'000, '\n');
  const Timestamp now = FromUnixMs(1'795'000'000'000);
  (*transport)->Send(device.facts(), device.MakeAuthenticate());
  const auto enqueued = Call(*server, "nanomdm", "POST",
                             "/v1/enqueue/" + EncodePathSegment(id) + "?nopush=1", command);
  REQUIRE(enqueued);
  CHECK(enqueued->status == 200);
  CHECK(enqueued->content_type.rfind("application/json", 0) == 0);
  CHECK(json::parse(enqueued->body)["command_uuid"] == "C1");
  CHECK((*transport)->Send(device.facts(), device.MakeTokenUpdate()).status == 200);
  const DeviceReply reply = (*transport)->Send(device.facts(), device.MakeIdle());
  CHECK(reply.status == 200);
  CHECK(reply.body == command);
  const auto answer = device.Execute(reply.body, now);
  REQUIRE(answer);
  CHECK((*transport)->Send(device.facts(), {MessageKind::kConnect, answer->body, {}}).body.empty());

  const auto seen = receiver.WaitFor(4);
  CHECK(server->FlushWebhooks(kPatience));
  CHECK(server->webhook_counters().delivered == 4);
  std::map<std::string, int> topics;
  for (const auto& post : seen) {
    CHECK(post.path == "/hooks/nano");
    CHECK(post.headers.at("Authorization") == "Basic " + EncodeBase64("hook:p@ss"));
    CHECK(VerifyHmacHeader(Secret("hmac"), post.body, post.headers.at("X-Hmac-Signature")));
    ++topics[json::parse(post.body)["topic"]];
  }
  CHECK(topics == std::map<std::string, int>{
                      {"mdm.Authenticate", 1}, {"mdm.Connect", 2}, {"mdm.TokenUpdate", 1}});
}

TEST_CASE("webhooks are sent once, whatever the answer") {
  Receiver receiver(500);
  MdmServerSettings settings;
  settings.webhook_url = "http://" + receiver.Address();
  const auto server = Start(settings);
  VirtualDevice device(MakeDeviceFacts(DeviceKind::kMac, 1, 0), {}, 1);
  const auto transport = MakeServerTransport(*server);
  CHECK(transport->Send(device.facts(), device.MakeAuthenticate()).status == 200);
  CHECK(server->FlushWebhooks(kPatience));
  CHECK(server->webhook_counters().failed == 1);
  CHECK(receiver.WaitFor(1).size() == 1);
}

TEST_CASE("events beyond the queue are dropped and counted") {
  MdmServerSettings settings;
  settings.webhook_url = "http://127.0.0.1:1";
  settings.webhook_queue_max = 0;
  const auto server = Start(settings);
  VirtualDevice device(MakeDeviceFacts(DeviceKind::kMac, 1, 0), {}, 1);
  MakeServerTransport(*server)->Send(device.facts(), device.MakeAuthenticate());
  CHECK(server->webhook_counters().dropped == 1);
}

TEST_CASE("url parameters of the device reach the webhook") {
  Receiver receiver;
  MdmServerSettings settings;
  settings.webhook_url = "http://" + receiver.Address() + "/";
  const auto server = Start(settings);
  VirtualDevice device(MakeDeviceFacts(DeviceKind::kMac, 1, 0), {}, 1);
  httplib::Client client("127.0.0.1", server->port());
  const auto answer = client.Put("/mdm?foo=bar&foo=late", device.MakeAuthenticate().body,
                                 std::string(kCheckinContentType).c_str());
  REQUIRE(answer);
  CHECK(answer->status == 200);
  const json event = json::parse(receiver.WaitFor(1).front().body);
  CHECK(event["checkin_event"]["url_params"] == json({{"foo", "bar"}}));
}

TEST_CASE("pushes reach the listener until it is taken away") {
  const auto server = Start({});
  VirtualDevice device(MakeDeviceFacts(DeviceKind::kMac, 1, 0), {}, 1);
  const auto transport = MakeServerTransport(*server);
  transport->Send(device.facts(), device.MakeAuthenticate());
  transport->Send(device.facts(), device.MakeTokenUpdate());
  std::vector<EnrollmentId> woken;
  server->SetPushListener([&](const EnrollmentId& id) { woken.push_back(id); });
  const ApiRequest push{"GET", "/v1/push/" + device.enrollment_id().value(), ""};
  CHECK(server->HandleApi(push).status == 200);
  server->SetPushListener({});
  CHECK(server->HandleApi(push).status == 200);
  CHECK(woken == std::vector<EnrollmentId>{device.enrollment_id()});
}

TEST_CASE("settings that cannot work are refused") {
  const SystemClock clock;
  MdmServerSettings settings;
  settings.webhook_url = GENERATE("ftp://x", "nonsense", "http://", "http://a%zz@host/");
  const auto bad_url = MdmServer::Start(settings, clock);
  REQUIRE_FALSE(bad_url);
  CHECK(bad_url.error().kind == ErrorKind::kInvalid);
  const auto first = Start({});
  MdmServerSettings elsewhere;
  elsewhere.host = "192.0.2.1";
  const auto bad_host = MdmServer::Start(elsewhere, clock);
  REQUIRE_FALSE(bad_host);
  CHECK(bad_host.error().kind == ErrorKind::kUnavailable);
}

TEST_CASE("stopping twice is fine and silences the port") {
  const auto server = Start({});
  server->Stop();
  server->Stop();
  CHECK_FALSE(Call(*server, "nanomdm", "GET", "/version"));
}

TEST_CASE("the HTTP transport signs and uses each server's paths") {
  Receiver receiver;
  const auto authority = MakeAuthority("test CA", FromUnixMs(1'795'000'000'000), 10);
  REQUIRE(authority);
  HttpTransportSettings http;
  http.endpoint.url = "http://" + receiver.Address();
  http.authority = *authority;
  http.now = FromUnixMs(1'795'000'000'000);
  VirtualDevice device(MakeDeviceFacts(DeviceKind::kMac, 1, 0), {}, 1);
  std::vector<std::string> paths;
  SECTION("NanoMDM") { paths = {"/mdm", "/mdm"}; }
  SECTION("MicroMDM") {
    http.protocol = DeviceProtocol::kMicroMdm;
    paths = {"/mdm/checkin", "/mdm/connect"};
  }
  if (paths.empty()) return;
  const auto transport = MakeHttpTransport(http);
  REQUIRE(transport);
  CHECK((*transport)->Send(device.facts(), device.MakeAuthenticate()).status == 200);
  CHECK((*transport)->Send(device.facts(), device.MakeIdle()).status == 200);
  const auto seen = receiver.WaitFor(2);
  CHECK(seen[0].path == paths[0]);
  CHECK(seen[1].path == paths[1]);
  CHECK(seen[0].headers.at("Content-Type") == kCheckinContentType);
  CHECK(seen[1].headers.at("Content-Type") == kConnectContentType);
  for (const auto& put : seen) {
    const auto signature = DecodeBase64(put.headers.at("Mdm-Signature"));
    REQUIRE(signature);
    CHECK(signature->size() > 300);
    CHECK(put.headers.at("Mdm-Signature").find('\n') == std::string::npos);
  }
}

/// What was sent `index`-th was signed with the certificate of `other`: that stands in both.
bool SharesCertificate(const std::vector<Receiver::Seen>& seen, std::size_t index,
                       std::size_t other) {
  constexpr std::size_t kBeforeCertificate = 80;
  constexpr std::size_t kOfCertificate = 200;
  const auto signature = DecodeBase64(seen.at(index).headers.at("Mdm-Signature"));
  const auto other_signature = DecodeBase64(seen.at(other).headers.at("Mdm-Signature"));
  REQUIRE(signature);
  REQUIRE(other_signature);
  return signature->find(other_signature->substr(kBeforeCertificate, kOfCertificate)) !=
         std::string::npos;
}

TEST_CASE("a device with a new identity signs with another certificate, and so does its user") {
  Receiver receiver;
  HttpTransportSettings http;
  http.endpoint.url = "http://" + receiver.Address();
  http.now = FromUnixMs(1'795'000'000'000);
  http.authority = *MakeAuthority("test CA", http.now, 10);
  const auto transport = MakeHttpTransport(http);
  REQUIRE(transport);
  const VirtualDevice mac(MakeDeviceFacts(DeviceKind::kMac, 1, 0), {}, 1);
  const VirtualDevice user(MakeUserFacts(mac.facts(), 1), {}, 1);
  DeviceMessage renewed = mac.MakeAuthenticate();
  renewed.identity = 1;
  CHECK((*transport)->Send(mac.facts(), mac.MakeIdle()).status == 200);
  CHECK((*transport)->Send(user.facts(), user.MakeIdle()).status == 200);
  CHECK((*transport)->Send(mac.facts(), renewed).status == 200);
  CHECK((*transport)->Send(user.facts(), user.MakeIdle()).status == 200);
  const auto seen = receiver.WaitFor(4);
  CHECK(SharesCertificate(seen, 1, 0));
  CHECK_FALSE(SharesCertificate(seen, 2, 0));
  CHECK(SharesCertificate(seen, 3, 2));
}

TEST_CASE("nobody there: status 0; an unusable endpoint: kInvalid") {
  HttpTransportSettings http;
  http.endpoint.url = "http://127.0.0.1:1";
  VirtualDevice device(MakeDeviceFacts(DeviceKind::kMac, 1, 0), {}, 1);
  const auto transport = MakeHttpTransport(http);
  REQUIRE(transport);
  CHECK((*transport)->Send(device.facts(), device.MakeIdle()).status == 0);
  http.endpoint.url = "nonsense";
  const auto refused = MakeHttpTransport(http);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::kInvalid);
}

TEST_CASE("the core transport runs on a manual clock") {
  std::vector<json> events;
  CoreSinks sinks;
  sinks.webhook = [&](const std::string& body) { events.push_back(json::parse(body)); };
  MdmCore core({}, sinks, 1);
  ManualClock clock(FromUnixMs(1'795'000'000'000));
  const auto transport = MakeCoreTransport(core, clock);
  VirtualDevice device(MakeDeviceFacts(DeviceKind::kIphone, 1, 0), {}, 1);
  auto message = device.BeginSession(clock.Now());
  while (message) {
    message = device.HandleReply(transport->Send(device.facts(), *message), clock.Now());
  }
  CHECK(device.state() == EnrollmentState::kEnrolled);
  REQUIRE(events.size() == 3);
  CHECK(ParseTime(events[0]["created_at"].get<std::string>()).value() == clock.Now());
}

}  // namespace
}  // namespace director::simulator_server_test
