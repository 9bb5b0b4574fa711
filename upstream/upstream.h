#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "base/result.h"
#include "upstream/http_client.h"

namespace director {

/// One enqueue: the same command for one or more enrollments.
struct EnqueueRequest {
  CommandUuid command_uuid;  ///< fresh, journaled before this call
  std::string request_type;
  std::string command;                ///< XML property list, begins with `<?xml`
  std::vector<EnrollmentId> targets;  ///< distinct; 1 .. `UpstreamLimits::targets_max`
};

/// What became of the command for one target.
enum class EnqueueOutcome {
  kQueued,       ///< stored (a failed push does not matter here)
  kUnavailable,  ///< surely not stored; try later with a fresh CommandUUID
  kRejected,     ///< refused for good (bad command, no such enrollment, credentials)
  kUnknown,      ///< perhaps stored; look before repeating
};

struct EnqueueTargetResult {
  EnrollmentId enrollment_id;
  EnqueueOutcome outcome = EnqueueOutcome::kUnknown;
  std::string detail;  ///< the server's words, at most 300 bytes, printable; empty when queued
};

enum class PushOutcome {
  kSent,          ///< Apple took the push, or the server says so
  kFailed,        ///< try later
  kUnregistered,  ///< the token is dead: wait for the next TokenUpdate
};

struct PushTargetResult {
  EnrollmentId enrollment_id;
  PushOutcome outcome = PushOutcome::kFailed;
  std::string detail;
};

/// A command that waits in the queue of one enrollment.
struct QueuedCommand {
  CommandUuid command_uuid;
  std::string request_type;  ///< empty when neither the server nor the command says it
  std::string command;       ///< the property list, byte by byte as the device will get it
};

/// A longer queue, or one of more bytes, is not read.
inline constexpr std::size_t kQueuedCommandsMax = 10'000;
inline constexpr std::size_t kQueuedCommandsSizeMaxBytes = kHttpResponseSizeMaxBytes;

struct UpstreamLimits {
  std::size_t targets_max = 1;  ///< distinct ids in one enqueue or push
  bool pushes_on_enqueue =
      false;  ///< true: every enqueue pushes and cannot be told not to (MicroMDM)
  /// How long a device is left alone after it last spoke, so that nothing is added to its queue
  /// while it still fetches from it. Zero where the queue takes both at once.
  Duration settle_time = Duration::zero();
};

/// An MDM server's API. Thread-safe. Calls block at most the configured time-outs (connect 5 s,
/// enqueue 30 s, push 60 s, queue 10 s by default).
///
/// One writer per enrollment: callers never have two Enqueue calls under way that name the same
/// enrollment (NanoMDM's key-value stores lose commands otherwise). A command that is enqueued
/// while the same queue is cleared may be cleared with it.
class Upstream {
 public:
  virtual ~Upstream() = default;

  virtual const UpstreamName& name() const = 0;
  virtual UpstreamLimits limits() const = 0;

  /// Stores one command for all targets without a push where the server can (see limits). Returns
  /// one result per target, in the order of `targets`. Decides by the keys of the answer, not by
  /// its HTTP status. When an answer is lost, the implementation looks first (NanoMDM: same
  /// CommandUUID again, a duplicate is proof; MicroMDM: queue view) and says kUnknown only when
  /// looking did not settle it.
  virtual std::vector<EnqueueTargetResult> Enqueue(const EnqueueRequest& request) = 0;

  /// Sends one push to each. Returns one result per target, in order. Idempotent.
  virtual std::vector<PushTargetResult> Push(const std::vector<EnrollmentId>& targets) = 0;

  /// Returns what waits for one enrollment, in the server's order. Commands that a device has been
  /// given and has not answered are among them; those that it put off with NotNow need not be
  /// (MicroMDM's `builtin` store hides them). Blocks for at most ten time-outs.
  ///
  /// kNotFound: this server has no API for queues. kUnavailable: no answer, or the server cannot
  /// just now. kRejected: refused (credentials, URL), or the queue is longer than is read.
  /// kCorrupt: the answer is no queue. kInvalid: the server has no queue for such an id.
  virtual Result<std::vector<QueuedCommand>> ReadQueue(const EnrollmentId& enrollment_id) = 0;

  /// Makes the server forget every command that waits for one enrollment, those put off with NotNow
  /// included. What a device has been given already it may still carry out and answer. Idempotent;
  /// an empty or unknown queue is cleared, too. Blocks for one time-out.
  ///
  /// The errors of ReadQueue but kCorrupt, of which all mean that nothing was cleared, and
  /// kUnknownOutcome: perhaps cleared.
  virtual Status ClearQueue(const EnrollmentId& enrollment_id) = 0;

  /// Asks the server for its version (`unknown` is a version): proves that it is there and speaks
  /// HTTP. kUnavailable otherwise.
  virtual Result<std::string> Probe() = 0;

  /// When the push certificate of a topic expires. Blocks for one time-out. kNotFound: this server
  /// does not tell. kUnavailable: no answer, or it has no certificate of that topic (NanoMDM
  /// answers 500 then). kCorrupt: the answer tells no time.
  virtual Result<Timestamp> ReadPushCertificateEnd(const std::string& /*topic*/) {
    return Fail(ErrorKind::kNotFound, "the server does not tell");
  }
};

}  // namespace director
