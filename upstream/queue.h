#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "upstream/http_client.h"
#include "upstream/upstream.h"

namespace director {

/// What reading and clearing a queue has in common on NanoMDM and MicroMDM.

/// The keys under which a server shows a command; empty ones it does not have.
struct QueueKeys {
  std::string_view command_uuid;
  std::string_view request_type;
  std::string_view command;  ///< base64 of the property list
};

struct QueuePage {
  std::vector<QueuedCommand> commands;
  std::string next_cursor;  ///< empty at the end
};

/// GET: one page of a queue. Errors as `Upstream::ReadQueue`.
Result<QueuePage> ReadQueueAt(HttpClient& http, const std::string& path, Duration timeout,
                              const QueueKeys& keys);

/// DELETE of a queue; `id` is the key under which an answer names what failed. Errors as
/// `Upstream::ClearQueue`.
Status ClearQueueAt(HttpClient& http, const std::string& path, Duration timeout,
                    const std::string& id);

/// kRejected when this is more than `kQueuedCommandsMax` and `kQueuedCommandsSizeMaxBytes` allow.
Status CheckQueueSize(const std::vector<QueuedCommand>& queue);

}  // namespace director
