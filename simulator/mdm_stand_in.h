#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/time.h"

namespace director {

enum class CorePush {
  kOk,
  kNoCertificate,  ///< the server has no push certificate: every push fails
};

/// Where a stand-in's effects go; empty functions are skipped. Both are called inside the call that
/// causes them and must not call the stand-in.
struct CoreSinks {
  std::function<void(const std::string& body)> webhook;  ///< one JSON body per event
  std::function<void(const EnrollmentId&)> push;         ///< Apple would wake this enrollment
};

/// An answer in HTTP terms. `status` 0: the server closed the connection without one.
struct CoreAnswer {
  int status = 200;
  std::string content_type;
  std::string body;
};

/// A request to the server's API.
struct ApiRequest {
  std::string method;  ///< GET, PUT, POST, DELETE
  std::string path;    ///< as in a request line: percent-encoded, perhaps with `?query`
  std::string body;
};

/// What a device sent: check-ins have a Content-Type that begins with `kCheckinContentType`, all
/// else is a command connection.
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
inline constexpr std::size_t kCoreQueueMax = 10'000;  ///< commands per queue

/// One enrollment as a look from outside.
struct CoreEnrollment {
  EnrollmentId enrollment_id;
  bool is_enabled = false;
  int token_update_tally = 0;  ///< TokenUpdates since the last Authenticate
  /// In order of delivery; on MicroMDM's `builtin` those that were answered with NotNow come last.
  std::vector<CommandUuid> queue;
};

struct CoreCounters {
  std::uint64_t commands = 0;       ///< queue entries made
  std::uint64_t commands_lost = 0;  ///< of these, gone by a fault or by `LoseQueue`
  std::uint64_t pushes = 0;         ///< handed to the push sink
  std::uint64_t device_requests = 0;
  std::uint64_t events = 0;  ///< handed to the webhook sink, copies included
  std::uint64_t events_dropped = 0;
};

/// An MDM server without HTTP, clock and threads: `MdmCore` is NanoMDM, `MicroMdmCore` MicroMDM.
///
/// Enrollments are named by Director's ids everywhere (`UDID`, `UDID:UserID`), also where the
/// server calls its queue otherwise. Time must not run backwards. Not thread-safe.
class MdmStandIn {
 public:
  virtual ~MdmStandIn() = default;

  /// A check-in or a command connection; the body is empty or the next command.
  virtual CoreAnswer HandleDevice(const DeviceRequest& request, Timestamp now) = 0;
  /// Nobody asks for credentials here. 400 for a badly encoded path, 404 for an unknown one.
  virtual CoreAnswer HandleApi(const ApiRequest& request, Timestamp now) = 0;

  /// Apple refuses pushes for this id as Unregistered (410) until its next TokenUpdate. Nothing
  /// happens for an unknown id.
  virtual void MarkUnregistered(const EnrollmentId& enrollment_id) = 0;
  /// Forgets all commands of this id, as a broken store does.
  virtual void LoseQueue(const EnrollmentId& enrollment_id) = 0;

  /// Nothing for an id that neither was heard of nor was enqueued to.
  virtual std::optional<CoreEnrollment> FindEnrollment(const EnrollmentId& enrollment_id) const = 0;
  virtual std::size_t enrollment_count() const = 0;
  virtual const CoreCounters& counters() const = 0;
};

}  // namespace director
