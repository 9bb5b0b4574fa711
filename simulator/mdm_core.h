#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
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
#include "simulator/mdm_stand_in.h"

namespace director {

/// Whose habits the server has. Source: NanoMDM v0.9 with key-value and SQL stores.
enum class CoreStore {
  kKeyValue,  ///< unknown ids are accepted and wait; Authenticate clears the own queue only
  kSql,  ///< an id without a TokenUpdate so far refuses the whole batch; Authenticate clears user
         ///< channels too
};

/// What a result for a command that is not in the queue does.
enum class ForeignResult {
  kIgnored,
  kLosesQueue,  ///< everything queued for the enrollment vanishes, as on NanoMDM's key-value stores
};

/// Whether queues can be looked at and cleared.
enum class CoreQueueApi {
  kAbsent,    ///< NanoMDM up to v0.9, NanoHUB: 404
  kProposed,  ///< `GET` and `DELETE /v1/queue/{id}` as NanoMDM's pull requests 214, 215 and 269
};

/// What goes wrong. Probabilities are 0 .. 1.
struct CoreFaults {
  CoreStore store = CoreStore::kKeyValue;
  CorePush push = CorePush::kOk;
  ForeignResult foreign_result = ForeignResult::kIgnored;
  CoreQueueApi queue_api = CoreQueueApi::kProposed;
  double drop_webhook = 0;
  double duplicate_webhook = 0;  ///< the same body twice
};

/// `PUT /v1/enqueue/{ids}`; `ids` is the decoded path segment (comma-separated), `nopush` the query
/// value (any non-empty text means no push).
struct EnqueueCall {
  std::string ids;
  std::string nopush;
  std::string body;
};

inline constexpr std::size_t kCoreTargetsMax = 10'000;  ///< ids in one request
inline constexpr std::size_t kCoreQueuePageMax = 100;   ///< commands in one answer about a queue
inline constexpr std::size_t kCoreCommandsMax =
    1'000'000;  ///< remembered CommandUUIDs, oldest forgotten first

/// A stand-in for NanoMDM without HTTP: the API's answers, the queue, the device protocol and the
/// webhook's JSON.
///
/// Differences from the real server: no certificates (an id that never sent Authenticate is refused
/// with 500, as its certificate would be), no declarative-management backend (500), everything in
/// memory. Above the bounds below: 413 for bodies, 500 otherwise. Pure but for the sinks: time is
/// an argument, chances come from the seed. Not thread-safe. Source: NanoMDM v0.9 (API, webhook,
/// key-value store), observed behaviour.
class MdmCore final : public MdmStandIn {
 public:
  MdmCore(CoreFaults faults, CoreSinks sinks, std::uint64_t seed);

  /// Stores one command for the ids, then pushes unless `nopush`. An empty body with pushes allowed
  /// only pushes.
  CoreAnswer Enqueue(const EnqueueCall& call);
  /// `GET /v1/push/{ids}`.
  CoreAnswer Push(std::string_view ids);
  /// `GET /version`.
  CoreAnswer Version() const;
  /// `GET /v1/queue/{id}`, in pages, and `DELETE /v1/queue/{ids}`; other methods are 405.
  CoreAnswer HandleQueue(const std::string& method, const std::string& ids,
                         const std::string& cursor);
  /// All these by their paths; like the real server it looks at the method for queues only.
  CoreAnswer HandleApi(const ApiRequest& request, Timestamp now) override;
  /// `PUT /mdm`. Statuses: 200; 400 bad or unknown message; 410 UserAuthenticate; 413; 500.
  CoreAnswer HandleDevice(const DeviceRequest& request, Timestamp now) override;

  void SetFaults(const CoreFaults& faults) { faults_ = faults; }
  void MarkUnregistered(const EnrollmentId& enrollment_id) override;
  void LoseQueue(const EnrollmentId& enrollment_id) override;

  std::optional<CoreEnrollment> FindEnrollment(const EnrollmentId& enrollment_id) const override;
  std::size_t enrollment_count() const override { return enrollments_.size(); }
  const CoreCounters& counters() const override { return counters_; }

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
  CoreAnswer ViewQueue(const std::string& id, const std::string& cursor) const;
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
  void Emit(const std::string& body);

  CoreFaults faults_;
  CoreSinks sinks_;
  SeededRandom random_;
  std::map<std::string, Enrollment> enrollments_;
  std::unordered_set<std::string> command_uuids_;
  std::deque<std::string> command_uuid_order_;
  CoreCounters counters_;
};

}  // namespace director
