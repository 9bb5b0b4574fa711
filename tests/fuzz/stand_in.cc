#include <string>

#include "director/ingest.h"
#include "simulator/mdm_core.h"
#include "simulator/micromdm_core.h"
#include "tests/fuzz/properties.h"
#include "tests/fuzz/target.h"

// The stand-ins for MDM servers, which listen on the network in test installations. Each part of an
// input is one request; its first line is `checkin`, `connect`, or `METHOD /path`.
namespace director::fuzz_stand_in {
namespace {

constexpr std::size_t kRequestsMax = 24;

Timestamp Now() { return FromUnixMs(1'795'000'000'000); }

void CheckAnswer(const CoreAnswer& answer) {
  INVARIANT(answer.status == 0 || (answer.status >= 200 && answer.status < 600));
  if (answer.content_type == "application/json") INVARIANT(IsValidUtf8(answer.body));
}

void Send(MdmStandIn& server, std::string_view part) {
  std::string_view line = fuzz::TakeLine(part);
  const std::string method(fuzz::TakeWord(line));
  const std::string body(part);
  if (method == "checkin" || method == "connect") {
    const bool is_checkin = method == "checkin";
    return CheckAnswer(server.HandleDevice(
        {std::string(is_checkin ? kCheckinContentType : kConnectContentType), body, {}}, Now()));
  }
  CheckAnswer(server.HandleApi({method, std::string(line), body}, Now()));
}

/// What the stand-in tells Director is an event, or a dead letter that can be shown.
void CheckWebhook(const std::string& body) {
  const Incoming incoming = DecodeIncoming(body, UpstreamName("nanomdm"), Now());
  if (const auto* letter = std::get_if<DeadLetter>(&incoming.content)) {
    fuzz::CheckRefusal(MakeError(ErrorKind::kInvalid, letter->reason));
  } else {
    fuzz::CheckChannel(std::get<MdmEvent>(incoming.content).channel);
  }
}

void Run(MdmStandIn& server, std::string_view input) {
  const std::vector<std::string_view> parts = fuzz::SplitParts(input);
  for (std::size_t i = 0; i < std::min(parts.size(), kRequestsMax); ++i) Send(server, parts[i]);
  INVARIANT(server.enrollment_count() <= input.size());
}

}  // namespace

FUZZ_TARGET(stand_in) {
  CoreSinks sinks;
  sinks.webhook = &CheckWebhook;
  for (const CoreStore store : {CoreStore::kKeyValue, CoreStore::kSql}) {
    CoreFaults faults;
    faults.store = store;
    MdmCore server(faults, sinks, 7);
    Run(server, input);
  }
  for (const MicroQueue queue : {MicroQueue::kBuiltin, MicroQueue::kInMemory}) {
    MicroMdmFaults faults;
    faults.queue = queue;
    MicroMdmCore server(faults, sinks, 7);
    Run(server, input);
  }
}

}  // namespace director::fuzz_stand_in
