#pragma once

#include <chrono>
#include <memory>

#include "base/ids.h"
#include "base/time.h"
#include "upstream/http_client.h"
#include "upstream/upstream.h"

namespace director {

struct MicroMdmSettings {
  UpstreamName name;
  Duration enqueue_timeout{};
  Duration push_timeout{};
  Duration queue_timeout = std::chrono::seconds(10);
};

/// The client for MicroMDM (1.12 or later: raw commands and the queue view).
///
/// A request names one id, and the user channel `UDID:UserID` is called `UserID` there. Users of a
/// Shared iPad (the part after the colon is a Managed Apple Account, or the id that all of them
/// share) have no queue of their own and are kRejected. The user channel of a User Enrollment has
/// none either, but looks like a Mac's and cannot be told apart here.
///
/// A CommandUUID may be enqueued any number of times, so a request whose answer says nothing is
/// never repeated: the queue view is asked once whether the command waits there. It shows what is
/// pending only; a device that was quick leaves kUnknown. Enqueue blocks for at most two time-outs.
///
/// | answer | outcome |
/// | --- | --- |
/// | 200 or 201 with MicroMDM's `payload` | kQueued (accepted; it is stored some milliseconds
/// later) | | connection refused | kUnavailable | | `error` about the command itself; 3xx, 4xx |
/// kRejected | | any other `error`; 408, 425, 429 | kUnavailable | | lost, 5xx, not MicroMDM's
/// JSON: in the queue | kQueued | | the same: not in the queue, or no queue view | kUnknown |
///
/// The queue is `GET` and `DELETE /v1/commands/{id}`; before 1.12 there is no view (kNotFound).
///
/// Push is `POST /v1/push/{id}`, one request per target. MicroMDM without a push certificate closes
/// the connection instead of answering; that is kFailed with a detail that says so.
std::unique_ptr<Upstream> MakeMicroMdm(MicroMdmSettings settings, std::unique_ptr<HttpClient> http);

}  // namespace director
