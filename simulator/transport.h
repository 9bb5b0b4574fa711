#pragma once

#include <memory>
#include <optional>

#include "base/clock.h"
#include "base/result.h"
#include "base/time.h"
#include "signing/device_identity.h"
#include "simulator/device.h"
#include "simulator/device_facts.h"
#include "simulator/mdm_core.h"
#include "simulator/mdm_server.h"
#include "upstream/http_client.h"

namespace director {

/// Carries a device's message to a server and brings back its answer.
class DeviceTransport {
 public:
  virtual ~DeviceTransport() = default;
  /// Blocks until the answer or the time-out. Status 0 when no answer came: the server may or may
  /// not have handled the message. Does not wait for `message.delay`: that is the caller's.
  virtual DeviceReply Send(const DeviceFacts& device, const DeviceMessage& message) = 0;
};

/// Straight into the core, on the caller's thread. Not thread-safe. Both references outlive the
/// transport.
std::unique_ptr<DeviceTransport> MakeCoreTransport(MdmStandIn& core, const Clock& clock);

/// Into a server of the same process, without sockets. Thread-safe. The server outlives the
/// transport.
std::unique_ptr<DeviceTransport> MakeServerTransport(MdmServer& server);

enum class DeviceProtocol {
  kNanoMdm,   ///< `/mdm` takes everything (NanoMDM, NanoHUB, MdmServer)
  kMicroMdm,  ///< `/mdm/checkin` and `/mdm/connect`
};

struct HttpTransportSettings {
  HttpEndpoint endpoint;  ///< no credentials: devices have certificates
  DeviceProtocol protocol = DeviceProtocol::kNanoMdm;
  /// Issues each device a certificate of its own, with which it signs (`Mdm-Signature`). Absent:
  /// nothing is signed, which only `MdmServer` accepts.
  std::optional<PemIdentity> authority;
  Timestamp now;  ///< begin of the certificates' validity
  int certificate_days = 365;
  Duration timeout = std::chrono::seconds(10);
};

/// Over HTTP. Thread-safe. A device gets a certificate for each of its identities
/// (`DeviceMessage::identity`) and uses the one of its last message, its user channels too; at most
/// a million are held, devices beyond get status 0. kInvalid when the endpoint is not usable.
/// Source: Apple MDM, SignMessage; NanoMDM and MicroMDM, device paths.
Result<std::unique_ptr<DeviceTransport>> MakeHttpTransport(const HttpTransportSettings& settings);

}  // namespace director
