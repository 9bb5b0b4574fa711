#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "mdm/command.h"
#include "mdm/plist.h"
#include "simulator/micromdm_core.h"
#include "simulator/transport.h"
#include "tests/support/catch.h"

namespace director::micromdm_test {

using nlohmann::json;
using Uuids = std::vector<std::string>;

inline const std::string kUdid = "AAAAAAAA-0000-0000-0000-000000000001";
inline const std::string kUserId = "11111111-2222-3333-4444-555555555555";
inline const std::string kUser = kUdid + ":" + kUserId;

inline std::string ListCommand(const std::string& uuid) {
  return EncodeCommand(ProfileListCommand(), CommandUuid(uuid));
}

inline PlistDict Identity(const std::string& enrollment_id) {
  PlistDict dict;
  const std::size_t colon = enrollment_id.find(':');
  dict.Set("UDID", enrollment_id.substr(0, colon));
  if (colon != std::string::npos) dict.Set("UserID", enrollment_id.substr(colon + 1));
  return dict;
}

inline MicroMdmFaults InMemory() {
  MicroMdmFaults faults;
  faults.queue = MicroQueue::kInMemory;
  return faults;
}

/// A core with a hand that speaks for devices and API clients, and what it said to others.
struct World {
  explicit World(MicroMdmFaults faults = {}) : core(faults, MakeSinks(), 7) {}

  CoreSinks MakeSinks() {
    CoreSinks sinks;
    sinks.webhook = [this](const std::string& body) { events.push_back(json::parse(body)); };
    sinks.push = [this](const EnrollmentId& id) { pushed.push_back(id.value()); };
    return sinks;
  }

  CoreAnswer Checkin(PlistDict dict, const std::string& type) {
    dict.Set("MessageType", type);
    dict.Set("Topic", "com.apple.mgmt.External.test");
    return Send(kCheckinContentType, EncodePlistXml(std::move(dict)));
  }
  CoreAnswer Checkin(const std::string& id, const std::string& type) {
    return Checkin(Identity(id), type);
  }
  void Enroll(const std::string& id) {
    if (id.find(':') == std::string::npos) REQUIRE(Checkin(id, "Authenticate").status == 200);
    REQUIRE(Checkin(id, "TokenUpdate").status == 200);
  }
  CoreAnswer Connect(PlistDict dict, const std::string& status, const std::string& command_uuid) {
    if (!status.empty()) dict.Set("Status", status);
    if (!command_uuid.empty()) dict.Set("CommandUUID", command_uuid);
    return Send(kConnectContentType, EncodePlistXml(std::move(dict)));
  }
  /// The CommandUUID that comes back; empty for an empty 200.
  std::string Next(const PlistDict& identity, const std::string& status,
                   const std::string& command_uuid = "") {
    const CoreAnswer answer = Connect(identity, status, command_uuid);
    REQUIRE(answer.status == 200);
    if (answer.body.empty()) return "";
    const auto command = DecodeCommand(answer.body);
    REQUIRE(command);
    return command->command_uuid.value();
  }
  std::string Next(const std::string& id, const std::string& status,
                   const std::string& command_uuid = "") {
    return Next(Identity(id), status, command_uuid);
  }
  CoreAnswer Send(std::string_view content_type, const std::string& body) {
    return core.HandleDevice({std::string(content_type), body, params}, now);
  }
  CoreAnswer Api(const std::string& method, const std::string& path, const std::string& body = "") {
    return core.HandleApi({method, path, body}, now);
  }
  void Enqueue(const std::string& queue_id, const Uuids& uuids) {
    for (const std::string& uuid : uuids) {
      REQUIRE(Api("POST", "/v1/commands/" + queue_id, ListCommand(uuid)).status == 201);
    }
  }
  /// The CommandUUIDs that the queue view shows.
  Uuids View(const std::string& queue_id) {
    const CoreAnswer answer = Api("GET", "/v1/commands/" + queue_id);
    REQUIRE(answer.status == 200);
    Uuids uuids;
    const json parsed = json::parse(answer.body);
    if (!parsed.contains("commands")) return uuids;
    for (const json& command : parsed["commands"]) uuids.push_back(command["uuid"]);
    return uuids;
  }
  Uuids Queue(const std::string& id) const {
    Uuids uuids;
    const auto found = core.FindEnrollment(EnrollmentId(id));
    REQUIRE(found);
    for (const CommandUuid& uuid : found->queue) uuids.push_back(uuid.value());
    return uuids;
  }

  std::vector<json> events;
  Uuids pushed;
  std::map<std::string, std::string> params;
  Timestamp now = FromUnixMs(1'795'000'000'123);
  MicroMdmCore core;
};

inline std::string ErrorOf(const CoreAnswer& answer) {
  const json parsed = json::parse(answer.body);
  REQUIRE(parsed.size() == 1);
  return parsed["error"];
}

// --- queues -------------------------------------------------------------------------------------

}  // namespace director::micromdm_test
