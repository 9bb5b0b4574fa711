#include "director/ingest.h"

#include <set>
#include <string>

#include "director/runner.h"
#include "director/turns.h"
#include "mdm/profile.h"
#include "tests/fuzz/properties.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/world.h"

// From a device's messages to a decision: each part of an input is a property list that a device
// sends; a day lies between two when the part begins with an empty line. What is heard is recorded,
// and the loop runs after it.
namespace director::fuzz_ingest {
namespace {

constexpr std::size_t kMessagesMax = 12;
const PayloadIdentifier kItem("com.example.item");

std::string Mobileconfig() {
  return "<plist><dict><key>PayloadType</key><string>Configuration</string>"
         "<key>PayloadVersion</key><integer>1</integer>"
         "<key>PayloadIdentifier</key><string>com.example.item</string>"
         "<key>PayloadContent</key><array/></dict></plist>";
}

/// One profile for all, and one that nobody shall have.
void Assign(fuzz::World& world) {
  static const Result<Profile> profile = ParseProfile(Mobileconfig());
  INVARIANT(profile.has_value());
  const Timestamp now = world.clock().Now();
  const Status done = world.store().Write([&](StoreWriter& writer) -> Status {
    Revision revision;
    revision.payload_uuid = profile->payload_uuid;
    revision.payload_identifier = kItem;
    revision.source = "fuzz";
    revision.created_at = now;
    revision.content = profile->mobileconfig;
    revision.size_bytes = static_cast<std::int64_t>(profile->mobileconfig.size());
    if (const auto saved = writer.SaveRevision(revision); !saved) return Fail(saved.error());
    Assignment present;
    present.payload_identifier = kItem;
    present.payload_uuid = profile->payload_uuid;
    present.source = "fuzz";
    present.assigned_at = now;
    if (const auto id = writer.SaveAssignment(present, now); !id) return Fail(id.error());
    Assignment absent;
    absent.payload_identifier = PayloadIdentifier("com.example.gone");
    absent.presence = Presence::kAbsent;
    absent.adopt = true;
    absent.source = "fuzz";
    absent.assigned_at = now;
    const auto id = writer.SaveAssignment(absent, now);
    return id ? Status() : Fail(id.error());
  });
  INVARIANT(done.has_value());
}

/// The envelope that NanoMDM would put around the message.
std::string Envelope(std::string_view raw) {
  const Result<PlistValue> value = DecodePlist(raw);
  const PlistDict* message = value ? value->AsDict() : nullptr;
  const std::string name = message == nullptr ? std::string() : TextAt(*message, "MessageType");
  std::string topic = "Connect";
  for (const char* known : {"Authenticate", "TokenUpdate", "CheckOut", "SetBootstrapToken"}) {
    if (name == known) topic = known;
  }
  return R"({"topic":"mdm.)" + topic + R"(",")" +
         (topic == "Connect" ? "acknowledge_event" : "checkin_event") + R"(":{"raw_payload":")" +
         EncodeBase64(raw) + R"("}})";
}

/// Every enrollment can be loaded and decided about, and the decision comes to rest.
void CheckDecision(fuzz::World& world, const EnrollmentId& id) {
  const Status done = world.store().Read([&](StoreReader& reader) -> Status {
    Result<Snapshot> stored = reader.LoadSnapshot(id);
    if (!stored) return Fail(stored.error());
    const Timestamp now = world.clock().Now();
    const Snapshot snapshot =
        WithServers(std::move(*stored), world.upstreams(), world.config().settings, now);
    const Plan plan = Reconcile(snapshot, world.config().settings, now);
    for (const ItemRecord& item : plan.items) INVARIANT(!item.reason.empty());
    for (const PlannedCommand& command : plan.commands) INVARIANT(!command.reason.empty());
    return {};
  });
  INVARIANT(done.has_value());
}

}  // namespace

FUZZ_TARGET(ingest) {
  fuzz::World world;
  Assign(world);
  Runner runner(world.store(), world.upstreams(), world.executor(), world.clock(), world.random(),
                world.config().settings);
  std::set<EnrollmentId> heard;
  const std::vector<std::string_view> parts = fuzz::SplitParts(input);
  for (std::size_t i = 0; i < std::min(parts.size(), kMessagesMax); ++i) {
    world.clock().Advance(parts[i].starts_with('\n') ? kDay : Duration(std::chrono::seconds(1)));
    const Incoming incoming =
        DecodeIncoming(Envelope(parts[i]), UpstreamName("nanomdm"), world.clock().Now());
    if (const auto* event = std::get_if<MdmEvent>(&incoming.content)) {
      fuzz::CheckChannel(event->channel);
      heard.insert(event->channel.enrollment_id);
    }
    INVARIANT(RecordIncoming(world.store(), {incoming}).has_value());
    INVARIANT(runner.Step().has_value());
  }
  for (const EnrollmentId& id : heard) CheckDecision(world, id);
}

}  // namespace director::fuzz_ingest
