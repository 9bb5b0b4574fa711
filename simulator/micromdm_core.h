#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/ids.h"
#include "base/random.h"
#include "base/time.h"
#include "mdm/event.h"
#include "mdm/plist.h"
#include "simulator/mdm_stand_in.h"

namespace director {

/// Which of MicroMDM's queues (`-queue`) the server has.
///
/// | | builtin | inmem |
/// | --- | --- | --- |
/// | order | first in, first out; what was handed out goes to the end | first in, first out |
/// | poll again without an answer | the next command | the same command |
/// | NotNow | into a second list, handed out one at a time when no other is left | stays, flagged |
/// | queue view | without what said NotNow | everything |
/// | unknown status | 500 once anything was ever queued for the id | ignored |
///
/// Both: the answer to NotNow is never a command that said NotNow; Acknowledged, Error and
/// CommandFormatError remove the first copy of the CommandUUID that waits (builtin: but not out of
/// the NotNow list); Authenticate empties the queue of its own id, CheckOut does not.
enum class MicroQueue { kBuiltin, kInMemory };

/// What goes wrong. Probabilities are 0 .. 1.
struct MicroMdmFaults {
  MicroQueue queue = MicroQueue::kBuiltin;
  CorePush push = CorePush::kOk;
  /// A command that arrives at most `race_window` after a device changed the same queue is
  /// overwritten by that change: answered 201 and pushed, never queued. `builtin` only, whose reads
  /// and writes are separate transactions.
  double lose_raced_enqueue = 0;
  Duration race_window = std::chrono::seconds(1);
  /// From the 201 until the command is in the queue (seen by the view, by polls, by Authenticate).
  Duration store_delay = Duration::zero();
  double drop_webhook = 0;
  double duplicate_webhook = 0;  ///< the same body twice
};

/// A stand-in for MicroMDM without HTTP: raw commands, queue view and clearing, pushes, the device
/// protocol and the webhook's JSON.
///
/// API: `POST|PUT|GET|DELETE /v1/commands/{id}`, `POST /v1/push/{id}`, `GET /push/{id}`,
/// `/version`. Errors are 500 with `{"error": ...}`; 404 and 405 come without JSON; a push without
/// a push certificate for an id with a token has status 0. Every command that is queued is pushed.
///
/// `{id}` is MicroMDM's name of a queue: UserID on user channels, EnrollmentID in User Enrollments,
/// else UDID. Devices get 200, 410 (UserAuthenticate) or 500.
///
/// Differences from the real server: no certificates, blocked devices, blueprints, JSON commands
/// (404) or declarative-management backend (500); messages without a usable identity are 500;
/// pushes that fail for want of a certificate do not wait for one; everything in memory. Above the
/// bounds: 413 for bodies, 500 otherwise. Pure but for the sinks: time is an argument, chances come
/// from the seed. Source: MicroMDM v1.13.1 (source and observed behaviour).
class MicroMdmCore final : public MdmStandIn {
 public:
  MicroMdmCore(MicroMdmFaults faults, CoreSinks sinks, std::uint64_t seed);

  CoreAnswer HandleDevice(const DeviceRequest& request, Timestamp now) override;
  CoreAnswer HandleApi(const ApiRequest& request, Timestamp now) override;

  /// Precondition: `faults.queue` stays what it was.
  void SetFaults(const MicroMdmFaults& faults) { faults_ = faults; }
  void MarkUnregistered(const EnrollmentId& enrollment_id) override;
  void LoseQueue(const EnrollmentId& enrollment_id) override;

  std::optional<CoreEnrollment> FindEnrollment(const EnrollmentId& enrollment_id) const override;
  std::size_t enrollment_count() const override { return enrollments_.size(); }
  const CoreCounters& counters() const override { return counters_; }

 private:
  struct Queued {
    CommandUuid command_uuid;
    std::shared_ptr<const std::string> body;
    bool said_not_now = false;  // inmem only
    Timestamp stored_at;
  };
  /// What MicroMDM keeps under one of its ids.
  struct Queue {
    bool has_record = false;       // builtin: something was stored at some time
    std::deque<Queued> arriving;   // answered 201, not stored yet
    std::deque<Queued> commands;   // what the view shows
    std::deque<Queued> not_now;    // builtin only
    EnrollmentId push_target;      // who sent the last TokenUpdate; empty: no push data
    bool is_unregistered = false;  // Apple refuses the token
    std::optional<Timestamp> changed_by_device_at;
    bool has_push_data() const { return !push_target.empty(); }
  };
  struct Enrollment {
    std::string queue_id;
    bool has_device_record = false;
    bool is_enabled = false;
    int token_update_tally = 0;
    std::string bootstrap_token;
  };
  /// A message of a device, decoded.
  struct Message {
    const DeviceRequest& request;
    PlistDict plist;
    Channel channel;
    std::string queue_id;
  };
  enum class Said { kIdle, kNotNow, kFinal, kUnknown };

  CoreAnswer HandleCommands(const ApiRequest& request, const std::string& queue_id, Timestamp now);
  CoreAnswer Enqueue(const std::string& queue_id, const std::string& body, Timestamp now);
  CoreAnswer ViewQueue(const std::string& queue_id, Timestamp now);
  CoreAnswer ClearQueue(const std::string& queue_id, Timestamp now);
  CoreAnswer Push(const std::string& queue_id);
  bool IsOverwritten(const Queue& queue, Timestamp now);

  CoreAnswer HandleCheckin(const Message& message, Timestamp now);
  CoreAnswer RunCheckin(const std::string& type, const Message& message, Timestamp now);
  CoreAnswer GetBootstrapToken(const Message& message);
  void Authenticate(const Message& message, Timestamp now);
  void TokenUpdate(const Message& message);
  void CheckOut(const Message& message);
  CoreAnswer HandleConnect(const Message& message, Timestamp now);
  static Said ParseStatus(const std::string& status);
  static CoreAnswer NextBuiltin(Queue& queue, Said said, const std::string& command_uuid,
                                Timestamp now);
  static CoreAnswer NextInMemory(Queue& queue, Said said, const std::string& command_uuid);

  std::string QueueIdOf(const EnrollmentId& enrollment_id) const;
  /// Both return null for one more than `kCoreEnrollmentsMax`.
  Queue* TouchQueue(const std::string& queue_id);
  Enrollment* TouchEnrollment(const Message& message);
  /// The queue with what has arrived by now, or null.
  Queue* FindQueue(const std::string& queue_id, Timestamp now);
  static void Store(Queue& queue, Timestamp now);

  MicroMdmFaults faults_;
  CoreSinks sinks_;
  SeededRandom random_;
  std::map<std::string, Queue> queues_;
  std::map<std::string, Enrollment> enrollments_;
  CoreCounters counters_;
};

}  // namespace director
