#include <fmt/core.h>

#include "base/text.h"
#include "tests/support/catch.h"
#include "webhook/decode.h"

namespace director::webhook_decode_test {
namespace {

const Timestamp kReceivedAt = *ParseTime("2026-11-22T00:10:00Z");

std::string Plist(const std::string& entries) {
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST "
         "1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n<plist "
         "version=\"1.0\"><dict>" +
         entries + "</dict></plist>";
}

std::string Key(const std::string& key, const std::string& text) {
  return fmt::format("<key>{}</key><string>{}</string>", key, text);
}

/// A body whose event object has `fields` besides raw_payload.
std::string Body(const std::string& topic, const std::string& object, const std::string& fields,
                 const std::string& raw,
                 const std::string& top = R"("event_id":"111beb9b3fb8021e",)"
                                          R"("created_at":"2026-11-22T00:08:42.844666864Z",)") {
  return fmt::format(R"({{"topic":"{}",{}"{}":{{{}"raw_payload":"{}"}}}})", topic, top, object,
                     fields, EncodeBase64(raw));
}

Result<MdmEvent> Decode(const std::string& body) {
  return DecodeWebhook(body, UpstreamName("main"), kReceivedAt);
}

MdmEvent MustDecode(const std::string& body) {
  INFO(body);
  const Result<MdmEvent> event = Decode(body);
  if (!event) FAIL(event.error().field + ": " + event.error().message);
  return *event;
}

Error Refusal(const std::string& body) {
  const Result<MdmEvent> event = Decode(body);
  if (event) FAIL("accepted: " + body.substr(0, 200));
  return event.error();
}

const std::string kIdleRaw = Plist(Key("UDID", "UD1") + Key("Status", "Idle"));
const std::string kNanoIds = R"("ids":{"id":"UD1","type":"Device"},"udid":"UD1",)";

TEST_CASE("NanoMDM: Authenticate of a device") {
  const std::string raw = Plist(Key("MessageType", "Authenticate") + Key("UDID", "UD1") +
                                Key("SerialNumber", "C02A") + Key("BuildVersion", "24B1"));
  const MdmEvent event = MustDecode(Body("mdm.Authenticate", "checkin_event",
                                         kNanoIds + R"("url_params":{"foo":"bar","x":""},)", raw));
  CHECK(event.upstream.value() == "main");
  CHECK(event.event_id == "111beb9b3fb8021e");
  CHECK(event.created_at == *ParseTime("2026-11-22T00:08:42.844Z"));
  CHECK(event.channel.enrollment_id.value() == "UD1");
  CHECK(event.channel.type == ChannelType::kDevice);
  const auto* body = std::get_if<AuthenticateEvent>(&event.body);
  REQUIRE(body != nullptr);
  CHECK(body->serial_number == "C02A");
  CHECK(body->build_version == "24B1");
}

TEST_CASE("NanoMDM: TokenUpdate of device, user and user enrollment") {
  const std::string type = Key("MessageType", "TokenUpdate");
  const MdmEvent device = MustDecode(
      Body("mdm.TokenUpdate", "checkin_event", kNanoIds + R"("token_update_tally":1,)",
           Plist(type + Key("UDID", "UD1") + "<key>AwaitingConfiguration</key><true/>")));
  CHECK(std::get<TokenUpdateEvent>(device.body).awaiting_configuration == true);

  const MdmEvent user = MustDecode(Body(
      "mdm.TokenUpdate", "checkin_event",
      R"("ids":{"id":"UD1:USR1","parent_id":"UD1","type":"User"},"udid":"UD1","token_update_tally":1,)",
      Plist(type + Key("UDID", "UD1") + Key("UserID", "USR1") + Key("UserShortName", "ann"))));
  CHECK(user.channel.enrollment_id.value() == "UD1:USR1");
  CHECK(user.channel.device_id.value() == "UD1");
  CHECK(user.channel.type == ChannelType::kUser);
  CHECK(std::get<TokenUpdateEvent>(user.body).user_short_name == "ann");

  const MdmEvent byod = MustDecode(Body(
      "mdm.TokenUpdate", "checkin_event",
      R"("ids":{"id":"EID1:EU1","parent_id":"EID1","type":"User Enrollment"},"enrollment_id":"EID1",)",
      Plist(type + Key("EnrollmentID", "EID1") + Key("EnrollmentUserID", "EU1"))));
  CHECK(byod.channel.enrollment_id.value() == "EID1:EU1");
  CHECK(byod.channel.udid.empty());
}

TEST_CASE("NanoMDM: CheckOut, Idle, results") {
  CHECK(std::holds_alternative<CheckOutEvent>(
      MustDecode(Body("mdm.CheckOut", "checkin_event", kNanoIds,
                      Plist(Key("MessageType", "CheckOut") + Key("UDID", "UD1"))))
          .body));
  CHECK(
      std::holds_alternative<IdleEvent>(MustDecode(Body("mdm.Connect", "acknowledge_event",
                                                        kNanoIds + R"("status":"Idle",)", kIdleRaw))
                                            .body));
  const MdmEvent not_now = MustDecode(Body(
      "mdm.Connect", "acknowledge_event", kNanoIds + R"("status":"NotNow","command_uuid":"c1",)",
      Plist(Key("UDID", "UD1") + Key("Status", "NotNow") + Key("CommandUUID", "c1"))));
  CHECK(std::get<ResultEvent>(not_now.body).status == CommandStatus::kNotNow);
  CHECK(std::get<ResultEvent>(not_now.body).command_uuid.value() == "c1");
}

TEST_CASE("NanoHUB: no event_id") {
  const MdmEvent event = MustDecode(Body("mdm.Connect", "acknowledge_event", kNanoIds, kIdleRaw,
                                         R"("created_at":"2026-11-22T00:08:42Z",)"));
  CHECK(event.event_id.empty());
}

TEST_CASE("MicroMDM: no ids, null url_params, the user only in the payload") {
  CHECK(std::holds_alternative<TokenUpdateEvent>(
      MustDecode(Body("mdm.TokenUpdate", "checkin_event", R"("udid":"MV1","url_params":null,)",
                      Plist(Key("MessageType", "TokenUpdate") + Key("UDID", "MV1"))))
          .body));
  const MdmEvent user =
      MustDecode(Body("mdm.Connect", "acknowledge_event",
                      R"("udid":"MV1","status":"Acknowledged","command_uuid":"r1",)",
                      Plist(Key("UDID", "MV1") + Key("UserID", "USR1") +
                            Key("Status", "Acknowledged") + Key("CommandUUID", "r1"))));
  CHECK(user.channel.enrollment_id.value() == "MV1:USR1");
  const MdmEvent byod = MustDecode(
      Body("mdm.Connect", "acknowledge_event", R"("enrollment_id":"EIV1","status":"Idle",)",
           Plist(Key("EnrollmentID", "EIV1") + Key("Status", "Idle"))));
  CHECK(byod.channel.enrollment_id.value() == "EIV1");
}

TEST_CASE("a device that says both UDID and EnrollmentID goes by its UDID") {
  const MdmEvent event = MustDecode(
      Body("mdm.Connect", "acknowledge_event", R"("udid":"UD1","enrollment_id":"EID1",)",
           Plist(Key("UDID", "UD1") + Key("EnrollmentID", "EID1") + Key("Status", "Idle"))));
  CHECK(event.channel.enrollment_id.value() == "UD1");
}

TEST_CASE("topics that Director does not know are no error") {
  for (const std::string topic : {"dep.SyncDevices", "dep.ErrorEvent", "something", "mdm.Future"}) {
    const MdmEvent event =
        MustDecode(R"({"topic":")" + topic + R"(","created_at":"2026-11-22T00:08:42Z"})");
    CHECK(event.channel.enrollment_id.empty());
    CHECK(std::get<OtherEvent>(event.body).topic == topic);
  }
  const MdmEvent event =
      MustDecode(Body("mdm.SetBootstrapToken", "checkin_event", kNanoIds,
                      Plist(Key("MessageType", "SetBootstrapToken") + Key("UDID", "UD1"))));
  CHECK(event.channel.enrollment_id.value() == "UD1");
  CHECK(std::get<OtherEvent>(event.body).topic == "mdm.SetBootstrapToken");
}

TEST_CASE("topics are made printable and short") {
  const std::string topic = std::string("mdm.") + R"(\u0007)" + std::string(500, 'x');
  const MdmEvent event = MustDecode(Body(topic, "checkin_event", kNanoIds, kIdleRaw));
  CHECK(std::get<OtherEvent>(event.body).topic.size() <= 64);
  CHECK(std::get<OtherEvent>(event.body).topic.starts_with("mdm.?x"));
}

TEST_CASE("created_at that cannot be used becomes the time of receipt") {
  const auto at = [](const std::string& value) {
    return MustDecode(Body("mdm.Connect", "acknowledge_event", kNanoIds, kIdleRaw, value))
        .created_at;
  };
  CHECK(at("") == kReceivedAt);
  CHECK(at(R"("created_at":null,)") == kReceivedAt);
  CHECK(at(R"("created_at":17,)") == kReceivedAt);
  CHECK(at(R"("created_at":"yesterday",)") == kReceivedAt);
  CHECK(at(R"("created_at":"2026-11-22T00:15:00.001Z",)") == kReceivedAt);
  CHECK(at(R"("created_at":"2026-11-22T00:15:00Z",)") == *ParseTime("2026-11-22T00:15:00Z"));
  CHECK(at(R"("created_at":"2026-11-22T01:08:42+01:00",)") == *ParseTime("2026-11-22T00:08:42Z"));
  // An unset time of Go is no time.
  CHECK(at(R"("created_at":"0001-01-01T00:00:00Z",)") == kReceivedAt);
}

TEST_CASE("the envelope must not name another device than the message") {
  CHECK(Refusal(Body("mdm.Connect", "acknowledge_event", R"("udid":"UD2",)", kIdleRaw)).kind ==
        ErrorKind::kCorrupt);
  CHECK(Refusal(Body("mdm.Connect", "acknowledge_event", R"("enrollment_id":"EID2",)",
                     Plist(Key("EnrollmentID", "EID1") + Key("Status", "Idle"))))
            .kind == ErrorKind::kCorrupt);
}

TEST_CASE("bad bodies are refused with the field that is wrong") {
  const auto field = [](const std::string& body) {
    const Error error = Refusal(body);
    CHECK(error.kind == ErrorKind::kInvalid);
    CHECK_FALSE(error.message.empty());
    return error.field;
  };
  CHECK(field("").empty());
  CHECK(field("not json").empty());
  CHECK(field("[]").empty());
  CHECK(field("\"text\"").empty());
  CHECK(field("{\"topic\":\"mdm.Connect\"").empty());
  CHECK(field("{\"topic\":\"mdm.\xFF\"}").empty());
  CHECK(field(R"({"topic":"a","x":)" + std::string(32, '[') + "1" + std::string(32, ']') + "}")
            .empty());
  CHECK(field("{}") == "topic");
  CHECK(field(R"({"topic":""})") == "topic");
  CHECK(field(R"({"topic":5})") == "topic");
  CHECK(field(R"({"topic":"mdm.Connect"})") == "acknowledge_event");
  CHECK(field(R"({"topic":"mdm.Connect","acknowledge_event":[]})") == "acknowledge_event");
  CHECK(field(R"({"topic":"mdm.Connect","checkin_event":{}})") == "acknowledge_event");
  CHECK(field(R"({"topic":"mdm.CheckOut","acknowledge_event":{}})") == "checkin_event");
  CHECK(field(R"({"topic":"mdm.Connect","acknowledge_event":{}})") == "raw_payload");
  CHECK(field(R"({"topic":"mdm.Connect","acknowledge_event":{"raw_payload":7}})") == "raw_payload");
  CHECK(field(R"({"topic":"mdm.Connect","acknowledge_event":{"raw_payload":"*"}})") ==
        "raw_payload");
  const auto connect = [](const std::string& raw) {
    return Body("mdm.Connect", "acknowledge_event", kNanoIds, raw);
  };
  CHECK(field(connect("no plist")) == "raw_payload");
  CHECK(field(connect("")) == "raw_payload");
  CHECK(field(connect("<?xml version=\"1.0\"?><plist version=\"1.0\"><array/></plist>")) ==
        "raw_payload");
  CHECK(field(connect(Plist(Key("Status", "Idle")))) == "UDID");
  CHECK(field(connect(Plist(Key("UDID", "UD1")))) == "Status");
  CHECK(field(connect(Plist(Key("UDID", "UD1") + Key("Status", "Perhaps") +
                            Key("CommandUUID", "c")))) == "Status");
  CHECK(field(connect(Plist(Key("UDID", "UD1") + Key("Status", "Error")))) == "CommandUUID");
  CHECK(field(Body("mdm.CheckOut", "checkin_event", kNanoIds, Plist(Key("UDID", "UD1")))) ==
        "MessageType");
}

TEST_CASE("nesting as deep as allowed is read") {
  CHECK(Decode(R"({"topic":"a","x":)" + std::string(31, '[') + "1" + std::string(31, ']') + "}"));
}

TEST_CASE("a large body is read, and a small one after it") {
  const std::string large = R"({"topic":"a","x":")" + std::string(1024 * 1024, 'x') + "\"}";
  for (const std::string& body : {large, std::string(R"({"topic":"a"})"), large}) {
    const auto event = Decode(body);
    REQUIRE(event);
    CHECK(std::holds_alternative<OtherEvent>(event->body));
  }
}

TEST_CASE("a body above the limit is refused") {
  const std::string body = R"({"topic":"a","x":")" + std::string(kWebhookSizeMaxBytes, 'x') + "\"}";
  CHECK(Refusal(body).kind == ErrorKind::kInvalid);
}

}  // namespace
}  // namespace director::webhook_decode_test
