#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/ids.h"
#include "base/random.h"
#include "base/time.h"
#include "mdm/event.h"
#include "mdm/plist.h"

namespace director {

/// Whose habits the server has. Source: NanoMDM v0.9 with key-value and SQL stores.
enum class CoreStore {
  kKeyValue,  ///< unknown ids are accepted and wait; Authenticate clears the own queue only
  kSql,  ///< an id without a TokenUpdate so far refuses the whole batch; Authenticate clears user
         ///< channels too
};

enum class CorePush {
  kOk,
  kNoCertificate,  ///< every push fails as a whole: top-level `push_error`
};

/// What a result for a command that is not in the queue does.
enum class ForeignResult {
  kIgnored,
  kLosesQueue,  ///< everything queued for the enrollment vanishes, as on NanoMDM's key-value stores
};

/// What goes wrong. Probabilities are 0 .. 1.
struct CoreFaults {
  CoreStore store = CoreStore::kKeyValue;
  CorePush push = CorePush::kOk;
  ForeignResult foreign_result = ForeignResult::kIgnored;
  double drop_webhook = 0;
  double duplicate_webhook = 0;  ///< the same body twice
};

/// Where the core's effects go; empty functions are skipped. Both are called inside the call that
/// causes them.
struct CoreSinks {
  std::function<void(const std::string& body)> webhook;  ///< one JSON body per event
  std::function<void(const EnrollmentId&)> push;         ///< Apple would wake this enrollment
};

/// An answer in HTTP terms.
struct CoreAnswer {
  int status = 200;
  std::string content_type;
  std::string body;
};

/// `PUT /v1/enqueue/{ids}`; `ids` is the decoded path segment (comma-separated), `nopush` the query
/// value (any non-empty text means no push).
struct EnqueueCall {
  std::string ids;
  std::string nopush;
  std::string body;
};

/// What a device sent: check-ins have a Content-Type that begins with `kCheckinContentType`.
struct DeviceRequest {
  std::string content_type;
  std::string body;
  std::map<std::string, std::string> url_params;
};

inline constexpr std::string_view kCheckinContentType = "application/x-apple-aspen-mdm-checkin";
inline constexpr std::string_view kConnectContentType =
    "application/x-apple-aspen-mdm; charset=UTF-8";

inline constexpr std::size_t kCoreBodyMaxBytes = 32 * 1024 * 1024;
inline constexpr std::size_t kCoreEnrollmentsMax = 1'000'000;
inline constexpr std::size_t kCoreQueueMax = 10'000;    ///< commands per enrollment
inline constexpr std::size_t kCoreTargetsMax = 10'000;  ///< ids in one request
inline constexpr std::size_t kCoreCommandsMax =
    1'000'000;  ///< remembered CommandUUIDs, oldest forgotten first

/// One enrollment as a look from outside.
struct CoreEnrollment {
  EnrollmentId enrollment_id;
  bool is_enabled = false;
  int token_update_tally = 0;
  std::vector<CommandUuid> queue;  ///< in order of delivery
};

struct CoreCounters {
  std::uint64_t commands = 0;  ///< queue entries made
  std::uint64_t pushes = 0;
  std::uint64_t device_requests = 0;
  std::uint64_t events = 0;  ///< handed to the webhook sink
  std::uint64_t events_dropped = 0;
};

/// A stand-in for NanoMDM without HTTP: the API's answers, the queue, the device protocol and the
/// webhook's JSON.
///
/// Differences from the real server: no certificates (an id that never sent Authenticate is refused
/// with 500, as its certificate would be), no declarative-management backend (500), everything in
/// memory. Above the bounds below: 413 for bodies, 500 otherwise. Pure but for the sinks: time is
/// an argument, chances come from the seed. Not thread-safe. Source: NanoMDM v0.9 (API, webhook,
/// key-value store), observed behaviour.
class MdmCore {
 public:
  MdmCore(CoreFaults faults, CoreSinks sinks, std::uint64_t seed);

  /// Stores one command for the ids, then pushes unless `nopush`. An empty body with pushes allowed
  /// only pushes.
  CoreAnswer Enqueue(const EnqueueCall& call);
  /// `GET /v1/push/{ids}`.
  CoreAnswer Push(std::string_view ids);
  /// `GET /version`.
  CoreAnswer Version() const;
  /// `PUT /mdm`. Statuses: 200; 400 bad or unknown message; 410 UserAuthenticate; 413; 500.
  CoreAnswer HandleDevice(const DeviceRequest& request, Timestamp now);

  void SetFaults(const CoreFaults& faults) { faults_ = faults; }
  /// Apple refuses pushes for this id as Unregistered (410) until its next TokenUpdate.
  void MarkUnregistered(const EnrollmentId& enrollment_id);
  /// Forgets all commands of this id, as a broken store does.
  void LoseQueue(const EnrollmentId& enrollment_id);

  /// Nothing for an id that neither enrolled nor was enqueued to.
  std::optional<CoreEnrollment> FindEnrollment(const EnrollmentId& enrollment_id) const;
  std::size_t enrollment_count() const { return enrollments_.size(); }
  const CoreCounters& counters() const { return counters_; }

 private:
  struct Queued {
    CommandUuid command_uuid;
    std::shared_ptr<const std::string> body;
    bool said_not_now = false;
    bool points_to_itself = false;  ///< was enqueued twice in one request: never leaves
  };
  struct Enrollment {
    bool has_authenticated = false;
    bool has_token = false;
    bool is_enabled = false;
    bool is_unregistered = false;
    int token_update_tally = 0;
    std::string bootstrap_token;
    std::deque<Queued> queue;
  };
  struct TargetStatus {
    std::string push_error;
    std::string push_result;
    std::string command_error;
  };
  struct ApiReport {
    std::map<std::string, TargetStatus> targets;
    bool has_no_push = false;
    std::string push_error;
    std::string command_error;
    std::string command_uuid;
    std::string request_type;
  };
  struct Checkin {
    std::string message_type;
    Channel channel;
    PlistDict message;
  };

  static CoreAnswer EncodeReport(const ApiReport& report, std::size_t id_count);
  void EnqueueInto(const EnqueueCall& call, const std::vector<std::string>& ids, ApiReport& report);
  std::string RefuseBatch(const std::vector<std::string>& ids, const std::string& uuid) const;
  void Remember(const std::string& command_uuid);
  void Append(const std::string& id, const CommandUuid& command_uuid,
              const std::shared_ptr<const std::string>& body, ApiReport& report);
  void PushInto(const std::vector<std::string>& ids, ApiReport& report);

  CoreAnswer HandleCheckin(const DeviceRequest& request, Timestamp now);
  CoreAnswer RunCheckin(const Checkin& checkin, Enrollment& enrollment);
  void Authenticate(const Channel& channel, Enrollment& enrollment);
  CoreAnswer CheckOut(const Channel& channel, Enrollment& enrollment);
  CoreAnswer HandleConnect(const DeviceRequest& request, Timestamp now);
  CoreAnswer RunConnect(const std::string& status, const std::string& command_uuid,
                        Enrollment& enrollment);
  /// False when the device shall get 500.
  bool RecordResult(const std::string& status, const std::string& command_uuid,
                    Enrollment& enrollment);
  bool IsBound(const Channel& channel) const;
  Enrollment* Touch(const Channel& channel);
  void Emit(std::string body);

  CoreFaults faults_;
  CoreSinks sinks_;
  SeededRandom random_;
  std::map<std::string, Enrollment> enrollments_;
  std::unordered_set<std::string> command_uuids_;
  std::deque<std::string> command_uuid_order_;
  CoreCounters counters_;
};

}  // namespace director
