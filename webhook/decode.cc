#include "webhook/decode.h"

#include <fmt/core.h>
#include <simdjson.h>

#include <new>
#include <utility>

#include "base/text.h"
#include "mdm/plist.h"

namespace director {
namespace {

using Json = simdjson::dom::element;

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

/// Nothing when it is absent or of another type.
template <typename T>
std::optional<T> Find(const Json& object, const char* key) {
  T found;
  if (object[key].get(found) != simdjson::SUCCESS) return std::nullopt;
  return found;
}

std::optional<std::string_view> FindString(const Json& object, const char* key) {
  return Find<std::string_view>(object, key);
}

/// A thread's own. What it returns lives until its next call or `Trim`.
class Parser {
 public:
  /// A rare large body does not keep its room.
  void Trim() {
    if (parser_.capacity() > kParserRoomMaxBytes) parser_ = simdjson::dom::parser();
  }

  Result<Json> ParseObject(std::string_view body) {
    if (body.size() > kWebhookSizeMaxBytes)
      return Fail(ErrorKind::kInvalid, "the body is too large");
    if (body.empty()) return Fail(ErrorKind::kInvalid, "not JSON");
    const std::size_t room = std::max(body.size(), kParserRoomMinBytes);
    if (parser_.capacity() < room &&
        parser_.allocate(room, kJsonDepthMax + 1) != simdjson::SUCCESS) {
      throw std::bad_alloc();
    }
    Json json;
    const simdjson::error_code error = parser_.parse(body.data(), body.size()).get(json);
    if (error == simdjson::DEPTH_ERROR) {
      return Fail(ErrorKind::kInvalid, fmt::format("nested deeper than {} levels", kJsonDepthMax));
    }
    if (error != simdjson::SUCCESS) return Fail(ErrorKind::kInvalid, "not JSON");
    if (!json.is_object()) return Fail(ErrorKind::kInvalid, "not a JSON object");
    return json;
  }

 private:
  static constexpr std::size_t kParserRoomMinBytes = 16 * 1024;
  static constexpr std::size_t kParserRoomMaxBytes = 256 * 1024;

  simdjson::dom::parser parser_;
};

Timestamp CreatedAt(const Json& json, Timestamp received_at) {
  const std::optional<std::string_view> text = FindString(json, "created_at");
  if (!text) return received_at;
  const Result<Timestamp> parsed = ParseTime(*text);
  // Unset times arrive as the year 1.
  if (!parsed || *parsed < kNoTimeBefore || *parsed > received_at + kFutureMax) return received_at;
  return *parsed;
}

Result<std::string> RawPayload(const Json& event) {
  const std::optional<std::string_view> text = FindString(event, "raw_payload");
  if (!text) return Fail(InvalidField("raw_payload", "missing or not a string"));
  Result<std::string> bytes = DecodeBase64(*text);
  if (!bytes) return Fail(InvalidField("raw_payload", bytes.error().message));
  return bytes;
}

/// The envelope's own idea of the device must not contradict the signed message inside.
Status CheckEnvelope(const Json& event, const Channel& channel) {
  // A device may have both names; then it goes by its UDID.
  const char* key = channel.udid.empty() ? "enrollment_id" : "udid";
  const std::optional<std::string_view> id = FindString(event, key);
  if (!id || id->empty() || *id == channel.device_id.value()) return {};
  return Fail(ErrorKind::kCorrupt, fmt::format("{} names another device than raw_payload", key));
}

/// A check-in of a kind that Director does not know still names its device.
bool IsFromDevice(const Json& json, std::string_view topic) {
  if (topic == kTopicConnect || topic == kTopicAuthenticate || topic == kTopicTokenUpdate ||
      topic == kTopicCheckOut) {
    return true;
  }
  return topic.starts_with(kTopicPrefix) && json["checkin_event"].error() == simdjson::SUCCESS;
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
  const std::optional<Json> found = Find<Json>(json, key);
  if (!found || !found->is_object()) {
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
  return event;
}

Result<MdmEvent> DecodeWith(Parser& parser, std::string_view body, const UpstreamName& upstream,
                            Timestamp received_at) {
  const Result<Json> json = parser.ParseObject(body);
  if (!json) return Fail(json.error());
  const std::optional<std::string_view> topic = FindString(*json, "topic");
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

}  // namespace

Result<MdmEvent> DecodeWebhook(std::string_view body, const UpstreamName& upstream,
                               Timestamp received_at) {
  thread_local Parser parser;
  Result<MdmEvent> event = DecodeWith(parser, body, upstream, received_at);
  parser.Trim();
  return event;
}

}  // namespace director
