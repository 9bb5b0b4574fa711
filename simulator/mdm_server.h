#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "simulator/mdm_core.h"

namespace director {

struct MdmServerSettings {
  std::string host = "127.0.0.1";
  int port = 0;    ///< 0: any free one
  Secret api_key;  ///< Basic password of user `nanomdm`; empty: the API answers 404, as the real
                   ///< server without a key
  /// `http(s)://[user:password@]host[:port]/path[?query]`; empty: no webhook.
  std::string webhook_url;
  Secret webhook_hmac_key;                 ///< not empty: `X-Hmac-Signature` is sent
  std::size_t webhook_threads = 4;         ///< 1 .. 64
  std::size_t webhook_queue_max = 10'000;  ///< events beyond are dropped and counted
  Duration webhook_timeout = std::chrono::seconds(10);
  std::size_t http_threads = 32;  ///< 1 .. 256
  /// Each answer of the API takes so much longer: a database and Apple are behind a real server.
  Duration api_delay{};
  CoreFaults faults;
  std::uint64_t seed = 1;
};

struct WebhookCounters {
  std::uint64_t delivered = 0;  ///< answered 200
  std::uint64_t failed = 0;     ///< anything else; never sent again
  std::uint64_t dropped = 0;    ///< the queue was full, or the server stopped
};

/// A NanoMDM stand-in over HTTP: `/v1/enqueue/{ids}`, `/v1/push/{ids}`, `/v1/queue/{ids}`,
/// `/version`, PUT `/mdm` and the webhook.
///
/// For loopback only: device requests are answered without looking at any certificate or signature,
/// so whoever reaches the port can speak for every device. Webhooks are fire and forget, posted by
/// a few threads out of a bounded queue, in no certain order, once. Thread-safe. Source: NanoMDM
/// v0.9; see `MdmCore` for what it does and does not do.
class MdmServer {
 public:
  using PushListener = std::function<void(const EnrollmentId&)>;

  /// Listens before it returns. kInvalid for an unusable webhook URL, kUnavailable when the port
  /// cannot be had. `clock` outlives the server.
  static Result<std::unique_ptr<MdmServer>> Start(const MdmServerSettings& settings,
                                                  const Clock& clock);
  /// Calls Stop.
  ~MdmServer();
  MdmServer(const MdmServer&) = delete;
  MdmServer& operator=(const MdmServer&) = delete;

  /// Stops listening, drops events not yet sent, joins all threads: at most `webhook_timeout` plus
  /// two seconds. Idempotent.
  void Stop();

  int port() const;
  /// `http://host:port`.
  std::string url() const;

  /// Calls `listener` for each push that Apple would deliver. An empty one ends it; when this
  /// returns, no call of the former listener runs any more. The listener must not call back into
  /// this function.
  void SetPushListener(PushListener listener);

  /// The same as over HTTP, without sockets and credentials.
  CoreAnswer HandleDevice(const DeviceRequest& request);
  CoreAnswer HandleApi(const ApiRequest& request);

  void SetFaults(const CoreFaults& faults);
  void MarkUnregistered(const EnrollmentId& enrollment_id);
  void LoseQueue(const EnrollmentId& enrollment_id);
  std::optional<CoreEnrollment> FindEnrollment(const EnrollmentId& enrollment_id) const;
  CoreCounters core_counters() const;
  WebhookCounters webhook_counters() const;

  /// Waits until every event so far was sent or given up. False after `timeout`.
  bool FlushWebhooks(Duration timeout);

 private:
  class Impl;
  explicit MdmServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace director
