#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <set>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "director/upstreams.h"
#include "store/store.h"

namespace director {

/// Lets a request wait until the loop has sent what the request made due. Nothing is sent from
/// here. Thread-safe.
class Departures {
 public:
  struct Limits {
    /// Requests that wait at a time; one more is not let in.
    std::size_t waiting_max = 8;
    /// Shorter than the shortest time that a known client waits for its answer (5 s).
    Duration time_max = std::chrono::seconds(4);
  };
  using Pause = std::function<void(Duration)>;

  /// `pause` passes the time between two looks; empty: the thread sleeps.
  Departures(Store& store, Upstreams& upstreams, Limits limits, Pause pause = {});

  /// Waits until each of `devices` has been decided on since it was made due at `since`, and the
  /// MDM server has said something of every command that came of it; at most `time_max`. What is
  /// decided later does not count: the change that a sleeping device is asked and pushed for, what
  /// waits for its turn.
  ///
  /// Returns those whose changes have not surely left: not taken by the server, the server away
  /// before it took anything, no time left. A question that the server refuses is no change. With
  /// too many waiting already nobody is waited for and nobody returned. Errors
  /// are those of the store.
  Result<std::set<EnrollmentId>> Await(const std::vector<Enrollment>& devices, Timestamp since);

 private:
  Result<std::set<EnrollmentId>> Watch(const std::vector<Enrollment>& devices, Timestamp since);
  bool IsAway(const UpstreamName& upstream);

  Store& store_;
  Upstreams& upstreams_;
  const Limits limits_;
  const Pause pause_;
  std::atomic<std::size_t> waiting_{0};
};

}  // namespace director
