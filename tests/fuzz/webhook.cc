#include <string>
#include <variant>

#include "director/ingest.h"
#include "tests/fuzz/properties.h"
#include "tests/fuzz/target.h"
#include "webhook/decode.h"

// Webhook bodies of NanoMDM, MicroMDM and NanoHUB. Nothing ends the service: what cannot be read
// is kept.
namespace director::fuzz_webhook {
namespace {

const UpstreamName kUpstream("nanomdm");

Timestamp ReceivedAt() { return FromUnixMs(1'795'000'000'123); }

void CheckDeadLetter(const DeadLetter& letter, std::string_view input) {
  fuzz::CheckRefusal(MakeError(ErrorKind::kInvalid, letter.reason));
  INVARIANT(letter.body == input.substr(0, kDeadLetterBodyMaxBytes));
  INVARIANT(letter.size_bytes == static_cast<std::int64_t>(input.size()));
}

void CheckEvent(const MdmEvent& event) {
  INVARIANT(fuzz::IsPrintable(event.event_id) && event.event_id.size() <= 64);
  INVARIANT(fuzz::IsPrintable(EventName(event.body)) && EventName(event.body).size() <= 64);
  INVARIANT(event.created_at <= ReceivedAt() + std::chrono::minutes(5));
  INVARIANT(event.created_at >= std::chrono::sys_days(std::chrono::year(2000) / 1 / 1));
  if (event.channel.enrollment_id.empty()) {
    INVARIANT(event.channel == Channel());
    INVARIANT(std::holds_alternative<OtherEvent>(event.body));
    return;
  }
  fuzz::CheckChannel(event.channel);
}

}  // namespace

FUZZ_TARGET(webhook) {
  const Incoming incoming = DecodeIncoming(input, kUpstream, ReceivedAt());
  INVARIANT(incoming.received_at == ReceivedAt());
  const auto* event = std::get_if<MdmEvent>(&incoming.content);
  if (event == nullptr) return CheckDeadLetter(std::get<DeadLetter>(incoming.content), input);
  CheckEvent(*event);
  const Result<MdmEvent> again = DecodeWebhook(input, kUpstream, ReceivedAt());
  INVARIANT(again.has_value());
  INVARIANT(again->channel == event->channel);
  INVARIANT(EventName(again->body) == EventName(event->body));
}

}  // namespace director::fuzz_webhook
