#include "webhook/decode.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "base/digest.h"
#include "base/text.h"
#include "mdm/plist.h"

namespace director {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kJsonDepthMax = 32;
constexpr Duration kFutureMax = std::chrono::minutes(5);
constexpr Timestamp kNoTimeBefore = std::chrono::sys_days(std::chrono::year(2000) / 1 / 1);

/// Topics whose property list is a check-in that Director reads. Source: NanoMDM and MicroMDM
/// webhooks.
constexpr std::string_view kTopicAuthenticate = "mdm.Authenticate";
constexpr std::string_view kTopicTokenUpdate = "mdm.TokenUpdate";
constexpr std::string_view kTopicCheckOut = "mdm.CheckOut";
constexpr std::string_view kTopicConnect = "mdm.Connect";
constexpr std::size_t kTopicSizeMaxBytes = 64;
constexpr std::string_view kTopicPrefix = "mdm.";

/// The string under `key`, or nothing when it is absent, null or of another type.
std::optional<std::string> FindString(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

Result<Json> ParseObject(std::string_view body) {
  if (body.size() > kWebhookSizeMaxBytes) return Fail(ErrorKind::kInvalid, "the body is too large");
  if (JsonNestsDeeperThan(body, kJsonDepthMax)) {
    return Fail(ErrorKind::kInvalid, fmt::format("nested deeper than {} levels", kJsonDepthMax));
  }
  Json json = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return Fail(ErrorKind::kInvalid, "not JSON");
  if (!json.is_object()) return Fail(ErrorKind::kInvalid, "not a JSON object");
  return json;
}

Timestamp CreatedAt(const Json& json, Timestamp received_at) {
  const std::optional<std::string> text = FindString(json, "created_at");
  if (!text) return received_at;
  const Result<Timestamp> parsed = ParseTime(*text);
  // Unset times arrive as the year 1.
  if (!parsed || *parsed < kNoTimeBefore || *parsed > received_at + kFutureMax) return received_at;
  return *parsed;
}

Result<std::string> RawPayload(const Json& event) {
  const std::optional<std::string> text = FindString(event, "raw_payload");
  if (!text) return Fail(InvalidField("raw_payload", "missing or not a string"));
  Result<std::string> bytes = DecodeBase64(*text);
  if (!bytes) return Fail(InvalidField("raw_payload", bytes.error().message));
  return bytes;
}

/// The envelope's own idea of the device must not contradict the signed message inside.
Status CheckEnvelope(const Json& event, const Channel& channel) {
  // A device may have both names; then it goes by its UDID.
  const char* key = channel.udid.empty() ? "enrollment_id" : "udid";
  const std::optional<std::string> id = FindString(event, key);
  if (!id || id->empty() || *id == channel.device_id.value()) return {};
  return Fail(ErrorKind::kCorrupt, fmt::format("{} names another device than raw_payload", key));
}

/// A check-in of a kind that Director does not know still names its device.
bool IsFromDevice(const Json& json, std::string_view topic) {
  if (topic == kTopicConnect || topic == kTopicAuthenticate || topic == kTopicTokenUpdate ||
      topic == kTopicCheckOut) {
    return true;
  }
  return topic.starts_with(kTopicPrefix) && json.contains("checkin_event");
}

Result<EventBody> DecodeBody(std::string_view topic, const PlistDict& message) {
  if (topic == kTopicConnect) return DecodeResult(message);
  if (topic == kTopicAuthenticate || topic == kTopicTokenUpdate || topic == kTopicCheckOut) {
    return DecodeCheckin(message);
  }
  return EventBody(OtherEvent{Printable(topic, kTopicSizeMaxBytes)});
}

Result<MdmEvent> DecodeDeviceEvent(const Json& json, std::string_view topic, MdmEvent event) {
  const char* key = topic == kTopicConnect ? "acknowledge_event" : "checkin_event";
  const auto found = json.find(key);
  if (found == json.end() || !found->is_object()) {
    return Fail(InvalidField(
        key, fmt::format("missing for topic {}", Printable(topic, kTopicSizeMaxBytes))));
  }
  Result<std::string> raw = RawPayload(*found);
  if (!raw) return Fail(raw.error());
  const Result<PlistValue> plist = DecodePlist(*raw);
  if (!plist) return Fail(InvalidField("raw_payload", plist.error().message));
  const PlistDict* message = plist->AsDict();
  if (message == nullptr) return Fail(InvalidField("raw_payload", "not a dictionary"));

  Result<Channel> channel = DecodeChannel(*message);
  if (!channel) return Fail(channel.error());
  if (Status agrees = CheckEnvelope(*found, *channel); !agrees) return Fail(agrees.error());
  Result<EventBody> body = DecodeBody(topic, *message);
  if (!body) return Fail(body.error());
  event.channel = std::move(*channel);
  event.body = std::move(*body);
  event.raw_digest = Sha256Hex(*raw);
  return event;
}

}  // namespace

Result<MdmEvent> DecodeWebhook(std::string_view body, const UpstreamName& upstream,
                               Timestamp received_at) {
  const Result<Json> json = ParseObject(body);
  if (!json) return Fail(json.error());
  const std::optional<std::string> topic = FindString(*json, "topic");
  if (!topic || topic->empty()) return Fail(InvalidField("topic", "missing or not a string"));

  MdmEvent event;
  event.upstream = upstream;
  event.event_id = Printable(FindString(*json, "event_id").value_or(""), 64);
  event.created_at = CreatedAt(*json, received_at);
  if (!IsFromDevice(*json, *topic)) {
    event.body = OtherEvent{Printable(*topic, kTopicSizeMaxBytes)};
    return event;
  }
  return DecodeDeviceEvent(*json, *topic, std::move(event));
}

}  // namespace director
