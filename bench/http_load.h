#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/result.h"

namespace director::bench {

/// How requests come in.
struct LoadShape {
  std::size_t connections = 32;  ///< kept alive; one request at a time on each
  double seconds = 3;
  /// Requests per second that arrive whether or not earlier ones are answered; 0: each connection
  /// sends its next one as soon as it has its answer.
  double rate = 0;
};

struct LoadResult {
  double rate = 0;  ///< answers per second
  double p50_ms = 0;
  double p99_ms = 0;  ///< from the moment a request was to be sent until its answer was read
  double max_ms = 0;
  std::size_t answers = 0;
};

/// Posts each of `bodies` at most once, in order, to a server on the loopback, on one thread that
/// spends as little as it can. Ends early when they are used up. kCorrupt when one is not answered
/// 200, kUnavailable when a connection fails.
Result<LoadResult> PostAll(int port, const std::string& path,
                           const std::vector<std::string>& bodies, const LoadShape& shape);

}  // namespace director::bench
