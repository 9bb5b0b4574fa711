#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "director/http_server.h"
#include "store/store.h"

namespace director::bench {

inline constexpr std::size_t kProfiles = 20;  ///< that each device has

struct Options {
  std::size_t devices = 20'000;
  double seconds = 3;  ///< for each timed part
};

/// One line: a figure, the floor measured in the same run, and what the ratio has to reach.
struct Line {
  std::string name;
  double figure = 0;
  std::string unit;
  double floor = 0;
  std::string floor_name;
  double ratio = 0;
  double target = 0;
  bool smaller_is_better = false;
};

using Bench = std::function<Result<std::vector<Line>>(const Options&)>;

/// A folder of its own below the current one (tmpfs would make commits look free).
class Scratch {
 public:
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::string path(const std::string& name) const { return folder_ + "/" + name; }

 private:
  std::string folder_;
};

/// Runs `call` on `threads` threads until `seconds` are over; returns calls per second. Each call
/// gets its thread's number.
double Rate(std::size_t threads, double seconds, const std::function<bool(std::size_t)>& call);

/// Posts bodies to a server over keep-alive connections; returns answers with status 200 per
/// second. Every body is sent at most once, so the run ends early when they are used up.
Result<double> PostRate(int port, const std::string& path, const std::vector<std::string>& bodies,
                        std::size_t connections, double seconds);

/// A webhook body as NanoMDM sends it.
std::string WebhookBody(const std::string& topic, const std::string& udid,
                        const std::string& plist);
std::string UdidOf(std::size_t index);

/// Stores `kProfiles` revisions of 4 KiB; returns their payload_uuids.
Result<std::vector<PayloadUuid>> SeedRevisions(Store& store, Timestamp now);

Result<std::vector<Line>> IngestBench(const Options& options);
Result<std::vector<Line>> DecisionBench(const Options& options);
Result<std::vector<Line>> SignatureBench(const Options& options);
Result<std::vector<Line>> MemoryBench(const Options& options);

}  // namespace director::bench
