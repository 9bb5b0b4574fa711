#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/time.h"
#include "upstream/http_client.h"
#include "upstream/upstream.h"

namespace director {

enum class UpstreamKind { kNanoMdm, kMicroMdm, kNanoHub };

/// `nanomdm`, `micromdm`, `nanohub`.
std::string_view UpstreamKindName(UpstreamKind kind);
/// The reverse. kInvalid for any other name.
Result<UpstreamKind> ParseUpstreamKind(std::string_view name);

struct UpstreamSettings {
  UpstreamName name;
  UpstreamKind kind = UpstreamKind::kNanoMdm;
  HttpEndpoint endpoint;         ///< `user` is set from the kind: nanomdm, micromdm, nanohub
  std::size_t targets_max = 50;  ///< NanoMDM and NanoHUB; 1 to 50, other values are clamped
  Duration enqueue_timeout = std::chrono::seconds(30);
  Duration push_timeout = std::chrono::seconds(60);  ///< the answer waits for Apple
  Duration queue_timeout = std::chrono::seconds(10);
};

/// Makes the client for a server. kInvalid when the endpoint is not usable. Contacts nobody.
Result<std::unique_ptr<Upstream>> MakeUpstream(const UpstreamSettings& settings);

}  // namespace director
