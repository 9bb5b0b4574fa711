// Holds docs/openapi.yaml and the program together: the same routes, the same keys, the same words.
#include <fmt/core.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/text.h"
#include "director/api.h"
#include "director/app.h"
#include "director/ingest.h"
#include "director/runner.h"
#include "director/version.h"
#include "director/webhook_routes.h"
#include "signing/hmac.h"
#include "simulator/mdm_server.h"
#include "store/sqlite_store.h"
#include "tests/support/catch.h"
#include "tests/support/director_parts.h"
#include "tests/support/openapi_document.h"
#include "tests/support/willing_upstream.h"
#include "upstream/http_client.h"

namespace director::director_openapi_test {
namespace {

using Json = nlohmann::json;

const Timestamp kNow = FromUnixMs(1'760'000'000'000);

std::string ReadSource(const std::string& path) {
  std::ifstream in(std::string(DIRECTOR_SOURCE_DIR) + "/" + path, std::ios::binary);
  REQUIRE(in);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

using test::OpenapiDocument;

const OpenapiDocument& TheDocument() {
  static const OpenapiDocument document(ReadSource("docs/openapi.yaml"));
  return document;
}

/// What another tool says about a device.
Json TheHintExample() {
  return TheDocument().Operation(
      "POST /api/v1/devices/{device}/seen")["requestBody"]["content"]["application/json"]
                                           ["examples"]["profiles"];
}

/// A command that a person proposes.
const Json& TheProposalExample() {
  return TheDocument().Operation(
      "POST /api/v1/devices/{device}/proposals")["requestBody"]["content"]["application/json"]
                                                ["example"];
}

std::string MediaType(const std::string& content_type) {
  return content_type.substr(0, content_type.find(';'));
}

/// Requires that the document names this status, media type and shape for the operation.
void RequireDocumented(const std::string& operation, int status, const std::string& content_type,
                       const std::string& body) {
  const OpenapiDocument& document = TheDocument();
  INFO(operation << " answered " << status << " " << content_type << ": " << body);
  const Json& responses = document.Operation(operation).at("responses");
  REQUIRE(responses.contains(std::to_string(status)));
  const Json& response = document.Resolve(responses.at(std::to_string(status)));
  if (!response.contains("content")) {
    CHECK(body.empty());
    return;
  }
  const std::string media_type = MediaType(content_type);
  REQUIRE(response["content"].contains(media_type));
  const bool is_json = media_type == "application/json" || media_type == "application/problem+json";
  const Json value = is_json ? Json::parse(body) : Json(body);
  CHECK(document.Problems(response["content"][media_type].at("schema"), value, "$") ==
        std::vector<std::string>{});
}

Config MakeTestConfig(const std::string& mdm_url) {
  Config config;
  config.listen_host = "127.0.0.1";
  config.database = ":memory:";
  config.api_token = SecretSource::FromValue(Secret("token"));
  UpstreamConfig server;
  server.name = UpstreamName("nanomdm");
  server.url = mdm_url;
  server.api_key = SecretSource::FromValue(Secret("key"));
  server.webhook.hmac_key = SecretSource::FromValue(Secret("hmac"));
  config.upstreams.push_back(server);
  return config;
}

Enrollment MakeEnrollment(const std::string& udid, const std::string& serial_number,
                          EnrollmentStatus status) {
  Enrollment enrollment;
  enrollment.channel.enrollment_id = EnrollmentId(udid);
  enrollment.channel.device_id = EnrollmentId(udid);
  enrollment.channel.udid = udid;
  enrollment.upstream = UpstreamName("nanomdm");
  enrollment.status = status;
  enrollment.serial_number = serial_number;
  enrollment.first_seen_at = kNow;
  enrollment.last_seen_at = kNow;
  enrollment.enrolled_at = kNow;
  return enrollment;
}

constexpr char kItem[] = "com.example.firewall";

/// The real routes over a store in memory that holds a device, a quarantined one, a profile and its
/// assignment.
class Service {
 public:
  Service() {
    auto upstream = std::make_unique<test::WillingUpstream>();
    upstream_ = upstream.get();
    upstreams_.Add(std::move(upstream));
    routes_ = api_.Routes();
    for (HttpRoute& route : WebhookRoutes(config_, ingest_, clock_, counts_))
      routes_.push_back(std::move(route));
    Fill();
  }

  Store& store() { return *store_; }
  Config& config() { return config_; }

  std::set<std::string> RouteNames() const {
    std::set<std::string> names;
    for (const HttpRoute& route : routes_) names.insert(route.method + " " + route.pattern);
    return names;
  }

  /// Calls the handler of "METHOD /pattern" and requires that the answer is documented.
  HttpServerResponse Call(const std::string& operation, int status,
                          HttpServerRequest request = {}) {
    const auto route =
        std::find_if(routes_.begin(), routes_.end(), [&](const HttpRoute& candidate) {
          return candidate.method + " " + candidate.pattern == operation;
        });
    REQUIRE(route != routes_.end());
    if (!request.headers.contains("authorization"))
      request.headers["authorization"] = "Bearer token";
    const HttpServerResponse response = route->handler(request);
    INFO(operation << ": " << response.body);
    CHECK(response.status == status);
    RequireDocumented(operation, response.status, response.content_type, response.body);
    if (response.status < 300) answered_.insert(operation);
    return response;
  }

  Json CallJson(const std::string& operation, int status, HttpServerRequest request = {}) {
    return Json::parse(Call(operation, status, std::move(request)).body);
  }

  /// Operations that have answered with success.
  const std::set<std::string>& answered() const { return answered_; }
  const std::string& payload_uuid() const { return payload_uuid_; }
  test::WillingUpstream& upstream() { return *upstream_; }

 private:
  void Fill();

  ManualClock clock_{kNow};
  SystemRandom random_;
  Config config_ = MakeTestConfig("http://127.0.0.1:1");
  std::unique_ptr<Store> store_ = director_test::OpenStore();
  Upstreams upstreams_;
  test::WillingUpstream* upstream_ = nullptr;
  Payloads payloads_{*store_, nullptr};
  const Secrets secrets_{director_test::TestDataKey(), nullptr};
  Executor executor_{*store_, upstreams_, payloads_, secrets_, clock_, random_};
  Runner runner_{*store_, upstreams_, executor_, clock_, random_, config_.settings};
  Ingest ingest_{*store_, [] {}};
  WebhookCounts counts_;
  Api api_{{*store_, upstreams_, executor_, secrets_, clock_, config_, [] {}}};
  std::vector<HttpRoute> routes_;
  std::set<std::string> answered_;
  std::string payload_uuid_;
};

HttpServerRequest WithBody(std::string body, const std::string& content_type = "application/json") {
  HttpServerRequest request;
  request.body = std::move(body);
  request.headers["content-type"] = content_type;
  return request;
}

HttpServerRequest WithPath(std::map<std::string, std::string> path_values) {
  HttpServerRequest request;
  request.path_values = std::move(path_values);
  return request;
}

HttpServerRequest WithQuery(std::map<std::string, std::string> query) {
  HttpServerRequest request;
  request.query = std::move(query);
  return request;
}

HttpServerRequest Webhook(std::map<std::string, std::string> path_values, const std::string& body) {
  HttpServerRequest request = WithPath(std::move(path_values));
  request.body = body;
  request.headers["x-hmac-signature"] = EncodeBase64(HmacSha256(Secret("hmac"), body));
  return request;
}

void Service::Fill() {
  const Status saved = store_->Write([&](StoreWriter& writer) {
    return writer.SaveEnrollments(
        {MakeEnrollment("UDID-1", "SERIAL1", EnrollmentStatus::kEnrolled),
         MakeEnrollment("UDID-2", "SERIAL2", EnrollmentStatus::kQuarantined)});
  });
  REQUIRE(saved);
  const Json uploaded = CallJson(
      "POST /api/v1/profiles", 201,
      WithBody(ReadSource("examples/firewall.mobileconfig"), "application/x-apple-aspen-config"));
  REQUIRE(uploaded["profiles"][0]["payload_identifier"] == kItem);
  payload_uuid_ = uploaded["profiles"][0]["payload_uuid"].get<std::string>();
  const Json assigned = CallJson(
      "POST /api/v1/assignments", 200,
      WithBody(Json{{"payload_identifier", kItem}, {"target", "all"}, {"source", "ci"}}.dump()));
  REQUIRE(assigned["assignments"].size() == 1);
  const auto stepped = runner_.Step();  // sends the profile and the questions
  REQUIRE(stepped);
  REQUIRE(*stepped == 2);
  const Status reported = store_->Write([&](StoreWriter& writer) {
    ProfileListReport report;
    report.epoch = 1;
    report.reported_at = kNow;
    report.profiles = {{PayloadIdentifier("com.example.mdm"), "UUID", "MDM", true, false}};
    const Inventory inventory = {
        {{EnrollmentId("UDID-1"), InventoryKind::kSecurityInfo},
         {1, kNow, R"({"FDE_Enabled":true})"}},
        {{EnrollmentId("UDID-1"), InventoryKind::kCertificateList}, {1, kNow, "[]"}}};
    if (Status done = writer.SaveInventory(inventory); !done) return done;
    return writer.SaveReports({{EnrollmentId("UDID-1"), report}}, report.reported_at);
  });
  REQUIRE(reported);
}

std::set<std::string> Without(std::set<std::string> all, const std::set<std::string>& some) {
  for (const std::string& name : some) all.erase(name);
  return all;
}

const std::set<std::string> kServiceRoutes = {"GET /healthz", "GET /metrics", "GET /readyz"};

/// The names that a Parse function knows, from what it says about an unknown one.
template <typename T>
std::set<std::string> KnownNames(const Result<T>& refused) {
  REQUIRE_FALSE(refused);
  const std::string intro = "must be one of: ";
  std::string list = refused.error().message;
  REQUIRE(list.starts_with(intro));
  list.erase(0, intro.size());
  std::set<std::string> names;
  for (std::size_t end = 0; end != std::string::npos;) {
    end = list.find(", ");
    names.insert(list.substr(0, end));
    if (end != std::string::npos) list.erase(0, end + 2);
  }
  return names;
}

std::set<std::string> EnumOf(const std::string& schema) {
  const auto values = TheDocument().Schema(schema).at("enum").get<std::vector<std::string>>();
  return {values.begin(), values.end()};
}

}  // namespace

TEST_CASE("openapi: the routes are those of the program, both ways") {
  const Service service;
  CHECK(service.RouteNames() == Without(TheDocument().Operations(), kServiceRoutes));
}

TEST_CASE("openapi: every operation of API and webhook answers as documented") {
  Service service;
  const auto device = WithPath({{"device", "serial1"}});
  const auto item = WithPath({{"device", "UDID-1"}, {"payload_identifier", kItem}});
  const auto revision = WithPath({{"payload_uuid", service.payload_uuid()}});

  CHECK(service.CallJson("GET /api/v1/profiles", 200)["profiles"].size() == 1);
  CHECK(service.CallJson("GET /api/v1/profiles", 200, WithQuery({{"limit", "1"}}))["next"] ==
        service.payload_uuid());
  service.Call("GET /api/v1/profiles/{payload_uuid}", 200, revision);
  service.Call("GET /api/v1/profiles/{payload_uuid}/mobileconfig", 200, revision);
  const std::string base64 = EncodeBase64(ReadSource("examples/firewall.mobileconfig"));
  service.Call("POST /api/v1/profiles", 200,
               WithBody(Json{{"profiles", {{{"mobileconfig", base64}}}}, {"source", "ci"}}.dump()));
  const Json& app = TheDocument().Operation(
      "POST /api/v1/apps")["requestBody"]["content"]["application/json"]["examples"]["package"];
  service.Call("POST /api/v1/apps", 201, WithBody(app["value"].dump()));
  service.Call("POST /api/v1/apps", 200, WithBody(app["value"].dump()));
  service.Call("POST /api/v1/apps", 400, WithBody("{}"));
  CHECK(service.CallJson("GET /api/v1/apps", 200)["apps"].size() == 1);
  PlistDict accounts;
  accounts.Set("PrimaryAccountUserName", "ann");
  const Json defined{{"account_configuration", EncodeBase64(EncodePlistXml(accounts))}};
  service.Call("POST /api/v1/accounts", 201, WithBody(defined.dump()));
  CHECK(service.CallJson("GET /api/v1/accounts", 200)["accounts"].size() == 1);
  service.Call("POST /api/v1/assignments", 200,
               WithBody(Json{{"payload_identifier", "com.example.old"},
                             {"devices", {"SERIAL1"}},
                             {"presence", "absent"}}
                            .dump()));
  const Json assignments = service.CallJson("GET /api/v1/assignments", 200)["assignments"];
  REQUIRE(assignments.size() == 2);

  const Json devices = service.CallJson("GET /api/v1/devices", 200)["devices"];
  REQUIRE(devices.size() == 2);
  CHECK(devices[0]["item_counts"] == Json{{"in_flight", 1}});
  const auto half = WithQuery({{"half_enrolled", "true"}});
  CHECK(service.CallJson("GET /api/v1/devices", 200, half)["devices"].empty());
  const Json detail = service.CallJson("GET /api/v1/devices/{device}", 200, device);
  CHECK(detail["items"].size() == 2);
  // One change, its ProfileList, and every question but the one about managed apps.
  CHECK(detail["commands"].size() == 1 + kInventoryKinds.size());
  CHECK(detail["profile_list"]["profiles"].size() == 1);
  CHECK(service
            .CallJson("GET /api/v1/devices/{device}/items/{payload_identifier}", 200,
                      item)["commands"]
            .size() == 1);
  const std::string inventory = "GET /api/v1/devices/{device}/inventory";
  CHECK(service.CallJson(inventory, 200, device)["inventory"].size() == 2);
  auto of_one_kind = device;
  of_one_kind.query = {{"kind", "SecurityInfo"}};
  const Json security = service.CallJson(inventory, 200, of_one_kind)["inventory"];
  REQUIRE(security.size() == 1);
  CHECK(security[0]["answer"] == Json{{"FDE_Enabled", true}});
  of_one_kind.query = {{"kind", "Weather"}};
  service.Call(inventory, 400, of_one_kind);
  service.Call(inventory, 404, WithPath({{"device", "nobody"}}));
  service.Call("POST /api/v1/devices/{device}/items/{payload_identifier}/retry", 204, item);
  service.Call("POST /api/v1/devices/{device}/push", 200, device);
  service.Call("POST /api/v1/devices/{device}/reconcile", 202, device);
  HttpServerRequest hint = WithBody(TheHintExample()["value"].dump());
  hint.path_values = device.path_values;
  service.Call("POST /api/v1/devices/{device}/seen", 202, hint);
  service.Call("POST /api/v1/devices/{device}/seen", 202, device);
  service.Call("POST /api/v1/devices/{device}/release", 204, WithPath({{"device", "UDID-2"}}));
  HttpServerRequest lock = WithBody(TheProposalExample().dump());
  lock.path_values = device.path_values;
  const Json proposal = service.CallJson("POST /api/v1/devices/{device}/proposals", 201, lock);
  CHECK(service.CallJson("GET /api/v1/devices/{device}", 200, device)["proposal"] == proposal);
  const auto proposed = WithPath({{"proposal_id", proposal["proposal_id"].dump()}});
  service.Call("GET /api/v1/proposals/{proposal_id}", 200, proposed);
  CHECK(service.CallJson("POST /api/v1/proposals/{proposal_id}/secret", 200, proposed)["secret"]
            .get<std::string>()
            .size() == 6);
  CHECK(service.CallJson("GET /api/v1/proposals", 200, WithQuery({{"open", "true"}}))["proposals"]
            .size() == 1);
  const Json open = service.CallJson("GET /api/v1/status", 200)["open_proposals"];
  CHECK(open ==
        Json::array({{{"request_type", "DeviceLock"}, {"state", "waiting"}, {"count", 1}}}));
  CHECK(service.CallJson("DELETE /api/v1/proposals/{proposal_id}", 200, proposed)["state"] ==
        "cancelled");
  const auto propose = [&](const Json& body, int status) {
    HttpServerRequest request = WithBody(body.dump());
    request.path_values = device.path_values;
    return service.CallJson("POST /api/v1/devices/{device}/proposals", status, request);
  };
  const Json set = {
      {"request_type", "SetRecoveryLock"}, {"reason", "Policy"}, {"new_password", "a new word"}};
  const Json guarded = propose(set, 201);
  CHECK(guarded["effect"] == "none");
  CHECK(guarded["has_secret"] == true);
  CHECK(guarded["verifies"].is_null());
  CHECK(guarded.dump().find("word") == std::string::npos);
  const auto guarding = WithPath({{"proposal_id", guarded["proposal_id"].dump()}});
  CHECK(service.CallJson("POST /api/v1/proposals/{proposal_id}/secret", 200, guarding)["secret"] ==
        "a new word");
  service.Call("DELETE /api/v1/proposals/{proposal_id}", 200, guarding);
  propose({{"request_type", "VerifyRecoveryLock"}, {"reason", "Policy"}}, 409);
  const Json verify = propose({{"request_type", "VerifyRecoveryLock"},
                               {"reason", "Policy"},
                               {"verifies", guarded["proposal_id"]}},
                              201);
  CHECK(verify["verifies"] == guarded["proposal_id"]);
  service.Call("DELETE /api/v1/proposals/{proposal_id}", 200,
               WithPath({{"proposal_id", verify["proposal_id"].dump()}}));

  propose({{"request_type", "RotateFileVaultKey"}, {"reason", "Policy"}}, 409);
  propose(
      {{"request_type", "RotateFileVaultKey"}, {"reason", "Policy"}, {"key_type", "institutional"}},
      400);
  propose({{"request_type", "RotateFileVaultKey"},
           {"reason", "Policy"},
           {"password", "a users word"},
           {"pin", "123456"}},
          400);
  const Json rotate = propose(
      {{"request_type", "RotateFileVaultKey"}, {"reason", "Policy"}, {"password", "a users word"}},
      201);
  CHECK(rotate["has_secret"] == false);
  CHECK(rotate["command_uuid"].is_null());
  CHECK(rotate.dump().find("word") == std::string::npos);
  const auto rotating = WithPath({{"proposal_id", rotate["proposal_id"].dump()}});
  service.Call("POST /api/v1/proposals/{proposal_id}/secret", 404, rotating);
  service.Call("DELETE /api/v1/proposals/{proposal_id}", 200, rotating);

  const std::string unknown_topic =
      R"({"topic": "other.Topic", "created_at": "2025-10-09T08:53:20Z"})";
  service.Call("POST /webhook", 200, Webhook({}, unknown_topic));
  service.Call("POST /webhook/{upstream}", 200, Webhook({{"upstream", "nanomdm"}}, "rubbish"));
  CHECK(service.CallJson("GET /api/v1/dead-letters", 200)["dead_letters"].size() == 1);
  CHECK(service.CallJson("GET /api/v1/events", 200, WithQuery({{"device", "UDID-1"}}))["events"]
            .size() == 12);
  const Json status = service.CallJson("GET /api/v1/status", 200);
  CHECK(status["items"].size() == 1);
  CHECK(status["oldest_waiting"].is_object());
  const auto id = assignments[1]["assignment_id"].dump();
  service.Call("DELETE /api/v1/assignments/{assignment_id}", 204,
               WithPath({{"assignment_id", id}}));

  const auto upstream = WithPath({{"upstream", "nanomdm"}});
  service.Call("DELETE /api/v1/mdm-servers/{upstream}/enrollment-profile", 404, upstream);
  director_test::WriteTo(service.store(), [](StoreWriter& writer) {
    return writer.SavePin(
        {UpstreamName("nanomdm"), PayloadIdentifier("com.example.enroll"), "{}", kNow, false});
  });
  const auto forget = [&](const std::string& key, const std::string& value, int answer) {
    auto request = upstream;
    request.query = {{key, value}};
    service.Call("DELETE /api/v1/mdm-servers/{upstream}/enrollment-profile", answer, request);
  };
  forget("payload_uuid", "x", 400);
  forget("payload_identifier", "", 400);
  forget("payload_identifier", "com.example.other", 404);
  forget("payload_identifier", "com.example.enroll", 204);
  director_test::WriteTo(service.store(), [](StoreWriter& writer) {
    return writer.SavePin(
        {UpstreamName("nanomdm"), PayloadIdentifier("com.example.enroll"), "{}", kNow, false});
  });
  service.Call("DELETE /api/v1/mdm-servers/{upstream}/enrollment-profile", 204, upstream);

  // The one that is left needs a secret path, which this MDM server does not have.
  service.Call("POST /webhook/{upstream}/{secret}", 401,
               Webhook({{"upstream", "nanomdm"}, {"secret", "x"}}, unknown_topic));
  CHECK(Without(TheDocument().Operations(), service.answered()) ==
        std::set<std::string>{"GET /healthz", "GET /metrics", "GET /readyz",
                              "POST /webhook/{upstream}/{secret}"});
}

TEST_CASE("openapi: the identity of a device is told where issuers are configured") {
  Service service;
  const auto device = WithPath({{"device", "UDID-1"}});
  CHECK(service.CallJson("GET /api/v1/devices/{device}", 200, device)["identity"].is_null());
  service.config().settings.renewal.issuers = {"CN=CA"};
  const Json unknown = service.CallJson("GET /api/v1/devices/{device}", 200, device)["identity"];
  CHECK(unknown["state"] == "blocked");
  CHECK(unknown["not_after"].is_null());
  Enrollment enrollment = MakeEnrollment("UDID-1", "SERIAL1", EnrollmentStatus::kEnrolled);
  enrollment.identity = MdmIdentity{"CN=CA", kNow, kNow + 365 * kDay};
  enrollment.identity_asked_at = kNow;
  director_test::WriteTo(service.store(),
                         [&](StoreWriter& writer) { return writer.SaveEnrollments({enrollment}); });
  const Json known = service.CallJson("GET /api/v1/devices/{device}", 200, device)["identity"];
  CHECK(known["state"] == "verified");
  CHECK(known["issuer"] == "CN=CA");
  CHECK(known["not_after"].is_string());
  const Json item =
      service.CallJson("GET /api/v1/devices/{device}/items/{payload_identifier}", 200,
                       WithPath({{"device", "UDID-1"}, {"payload_identifier", "identity:MDM"}}));
  CHECK(item["kind"] == "identity");
  CHECK(service.CallJson("GET /api/v1/status", 200)["identities"]["later"] == 1);
}

TEST_CASE("openapi: errors are the documented problem documents") {
  Service service;
  for (const std::string& operation : service.RouteNames()) {
    HttpServerRequest stranger = WithPath({{"upstream", "nanomdm"}});
    stranger.headers["authorization"] = "Bearer wrong";
    service.Call(operation, 401, stranger);
    if (operation.find("{device}") == std::string::npos) continue;
    service.Call(operation, 404, WithPath({{"device", "nobody"}, {"payload_identifier", kItem}}));
    service.Call(operation, 400,
                 WithPath({{"device", std::string(300, 'x')}, {"payload_identifier", kItem}}));
  }
  for (const char* list :
       {"profiles", "assignments", "devices", "proposals", "status", "events", "dead-letters"}) {
    service.Call(fmt::format("GET /api/v1/{}", list), 400, WithQuery({{"colour", "red"}}));
  }
  service.Call("GET /api/v1/devices", 400, WithQuery({{"item_state", "happy"}}));
  service.Call("GET /api/v1/devices", 400, WithQuery({{"half_enrolled", "perhaps"}}));
  service.Call("GET /api/v1/events", 404, WithQuery({{"device", "nobody"}}));
  service.Call("GET /api/v1/profiles/{payload_uuid}", 404, WithPath({{"payload_uuid", "X"}}));
  service.Call("GET /api/v1/profiles/{payload_uuid}/mobileconfig", 404,
               WithPath({{"payload_uuid", "X"}}));
  service.Call("POST /api/v1/profiles", 400, WithBody("rubbish", "text/plain"));
  service.Call("POST /api/v1/assignments", 400, WithBody("{}"));
  service.Call(
      "POST /api/v1/assignments", 409,
      WithBody(Json{{"payload_identifier", kItem}, {"target", "all"}, {"source", "other"}}.dump()));
  service.Call("DELETE /api/v1/assignments/{assignment_id}", 400,
               WithPath({{"assignment_id", "x"}}));
  service.Call("DELETE /api/v1/assignments/{assignment_id}", 404,
               WithPath({{"assignment_id", "4711"}}));
  service.Call("POST /api/v1/devices/{device}/release", 409, WithPath({{"device", "UDID-1"}}));
  service.Call("GET /api/v1/proposals", 400, WithQuery({{"open", "perhaps"}}));
  service.Call("GET /api/v1/proposals", 404, WithQuery({{"device", "nobody"}}));
  for (const char* operation :
       {"GET /api/v1/proposals/{proposal_id}", "DELETE /api/v1/proposals/{proposal_id}",
        "POST /api/v1/proposals/{proposal_id}/secret"}) {
    service.Call(operation, 400, WithPath({{"proposal_id", "x"}}));
    service.Call(operation, 404, WithPath({{"proposal_id", "4711"}}));
  }
  HttpServerRequest lock = WithBody(TheProposalExample().dump());
  lock.path_values = {{"device", "UDID-1"}};
  const Json first = service.CallJson("POST /api/v1/devices/{device}/proposals", 201, lock);
  service.Call("POST /api/v1/devices/{device}/proposals", 409, lock);
  const auto proposed = WithPath({{"proposal_id", first["proposal_id"].dump()}});
  service.Call("DELETE /api/v1/proposals/{proposal_id}", 200, proposed);
  service.Call("DELETE /api/v1/proposals/{proposal_id}", 409, proposed);
  HttpServerRequest wrong = WithBody(R"({"request_type": "Explode", "pin": "1"})");
  wrong.path_values = lock.path_values;
  CHECK(service.CallJson("POST /api/v1/devices/{device}/proposals", 400, wrong)["errors"].size() ==
        2);
  wrong = WithBody(R"({"request_type": "VerifyRecoveryLock", "reason": "a", "verifies": "b"})");
  wrong.path_values = lock.path_values;
  CHECK(service.CallJson("POST /api/v1/devices/{device}/proposals", 400,
                         wrong)["errors"][0]["field"] == "verifies");
  service.Call("POST /webhook/{upstream}", 404, WithPath({{"upstream", "other"}}));
  service.upstream().push_outcome = PushOutcome::kFailed;
  service.upstream().push_detail = "no push certificate";
  service.Call("POST /api/v1/devices/{device}/push", 502, WithPath({{"device", "UDID-1"}}));
}

TEST_CASE("openapi: health, readiness, metrics and forms at the running service are documented") {
  ManualClock clock{kNow};
  MdmServerSettings settings;
  settings.api_key = Secret("key");
  auto mdm = MdmServer::Start(settings, clock);
  REQUIRE(mdm);
  const auto app = App::Start(MakeTestConfig((*mdm)->url()), clock);
  REQUIRE(app);
  HttpEndpoint endpoint;
  endpoint.url = (*app)->url();
  const auto http = MakeHttpClient(endpoint);
  REQUIRE(http);
  const auto get = [&](const std::string& path, int status) {
    HttpRequest request;
    request.method = "GET";
    request.path = path;
    const auto response = (*http)->Send(request);
    REQUIRE(response);
    CHECK(response->status == status);
    RequireDocumented("GET " + path, response->status, response->content_type, response->body);
  };
  // What the server refuses before a handler sees the body.
  for (const std::string path : {"/api/v1/profiles", "/api/v1/assignments", "/webhook"}) {
    HttpRequest form;
    form.method = "POST";
    form.path = path;
    form.content_type = "multipart/form-data; boundary=x";
    form.body = "--x--\r\n";
    const auto response = (*http)->Send(form);
    REQUIRE(response);
    CHECK(response->status == 415);
    RequireDocumented("POST " + path, response->status, response->content_type, response->body);
  }
  get("/healthz", 200);
  get("/readyz", 200);
  get("/metrics", 200);
  mdm->reset();
  get("/readyz", 503);
}

TEST_CASE("openapi: enumerations are the program's words") {
  CHECK(EnumOf("EnrollmentStatus") == KnownNames(ParseEnrollmentStatus("?")));
  std::set<std::string> steps = KnownNames(ParseEnrollmentStep("?"));
  steps.erase("");  // nothing is missing: null
  CHECK(EnumOf("EnrollmentStep") == steps);
  CHECK(EnumOf("ItemState") == KnownNames(ParseItemState("?")));
  CHECK(EnumOf("CommandState") == KnownNames(ParseIntentState("?")));
  CHECK(EnumOf("ProposalKind") == KnownNames(ParseProposalKind("?")));
  CHECK(EnumOf("ProposalState") == KnownNames(ParseProposalState("?")));
  CHECK(EnumOf("InventoryKind") == KnownNames(ParseInventoryKind("?")));
  CHECK(EnumOf("Presence") == KnownNames(ParsePresence("?")));
  CHECK(EnumOf("TargetKind") == KnownNames(ParseTargetKind("?")));
  CHECK(EnumOf("AssignmentChannel") == KnownNames(ParseAssignmentChannel("?")));
  for (const std::string& type : EnumOf("ChannelType")) CHECK(ParseChannelType(type));
  CHECK(EnumOf("ChannelType").size() == 5);
  CHECK(TheDocument().root()["info"]["version"] == kVersion);
}

TEST_CASE("openapi: examples fit their schemas, and request examples are understood") {
  const OpenapiDocument& document = TheDocument();
  const Json& assign =
      document.Operation("POST /api/v1/assignments")["requestBody"]["content"]["application/json"];
  Service service;
  for (const auto& [name, example] : assign["examples"].items()) {
    INFO(name);
    const Json& value = example["value"];
    CHECK(document.Problems(assign["schema"], value, "$") == std::vector<std::string>{});
    // Refused only for a profile that the store does not hold.
    const bool is_known =
        value["payload_identifier"] == kItem || value.value("presence", "") == "absent";
    const Json answer =
        service.CallJson("POST /api/v1/assignments", is_known ? 200 : 400, WithBody(value.dump()));
    for (const Json& error : answer.value("errors", Json::array())) {
      CHECK(error["message"] == "no item with this identifier has been uploaded");
    }
  }
  const Json& upload =
      document.Operation("POST /api/v1/profiles")["requestBody"]["content"]["application/json"];
  CHECK(document.Problems(upload["schema"], upload["example"], "$") == std::vector<std::string>{});
  const Json& hint = document.Operation(
      "POST /api/v1/devices/{device}/seen")["requestBody"]["content"]["application/json"];
  CHECK(document.Problems(hint["schema"], TheHintExample()["value"], "$") ==
        std::vector<std::string>{});
  const Json& propose = document.Operation(
      "POST /api/v1/devices/{device}/proposals")["requestBody"]["content"]["application/json"];
  CHECK(document.Problems(propose["schema"], TheProposalExample(), "$") ==
        std::vector<std::string>{});
  const Json& invalid =
      document.root()["components"]["responses"]["Invalid"]["content"]["application/problem+json"];
  CHECK(document.Problems(invalid["schema"], invalid["example"], "$") ==
        std::vector<std::string>{});
}

}  // namespace director::director_openapi_test
