#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "base/ids.h"
#include "base/time.h"
#include "upstream/http_client.h"
#include "upstream/upstream.h"

namespace director {

struct NanoMdmSettings {
  UpstreamName name;
  std::string api_path;          ///< before `/enqueue/`, `/push/` and `/queue/`: `/v1`, on NanoHUB
                                 ///< `/api/v1/nanomdm`
  std::size_t targets_max = 50;  ///< clamped to 1 .. 50
  Duration enqueue_timeout{};
  Duration push_timeout{};
  Duration queue_timeout = std::chrono::seconds(10);
};

/// Longest path with percent-encoded ids that is sent: reverse proxies commonly stop at 4 kB.
/// 50 ids of user channels (`UDID:UserID`, two UUIDs) fit.
inline constexpr std::size_t kNanoMdmPathSizeMaxBytes = 4096;

/// The client for NanoMDM and for the NanoMDM API of NanoHUB.
///
/// Enqueue sends one request (`nopush=1`) for all targets, and the same request once more when the
/// answer says nothing (lost, too large, not NanoMDM's JSON, 5xx of a proxy); so it blocks for at
/// most two time-outs. NanoMDM refuses a CommandUUID that it has, which makes the repetition safe.
///
/// | answer | outcome |
/// | --- | --- |
/// | connection refused at the first try | kUnavailable |
/// | JSON without `command_error`, whatever its status and `push_error` | kQueued |
/// | `status.<id>.command_error` | kUnavailable for this id |
/// | `status.<no target>.command_error` (key-value stores name the command there) | kUnknown |
/// | `command_error` that says duplicate | kQueued |
/// | `command_error` about the command itself; 3xx, 4xx | kRejected |
/// | any other `command_error`; 408, 425, 429; 413, 414, 431 with several targets | kUnavailable |
/// | second answer neither stored nor duplicate | kUnknown |
///
/// Several targets that fail as a whole (SQL stores: one bad id is enough) are all kUnavailable;
/// the caller sends smaller groups next time. The same holds for a path over
/// `kNanoMdmPathSizeMaxBytes`. Ids that cannot stand in a path (see `IsAddressable`) are kRejected
/// alone; ids named twice are sent once.
///
/// Push splits long lists by itself. An id without an entry in an answer without errors is kSent.
///
/// The queue is `GET` and `DELETE {api_path}/queue/{id}`, which NanoMDM proposes (its pull requests
/// 214, 215 and 269) and some deployments have; v0.9 and NanoHUB answer 404, which is kNotFound.
/// The answer comes in pages with `next_cursor`, of which ten are read.
std::unique_ptr<Upstream> MakeNanoMdm(NanoMdmSettings settings, std::unique_ptr<HttpClient> http);

}  // namespace director
