#pragma once

#include <cstddef>
#include <cstdint>

#include "base/clock.h"
#include "base/random.h"
#include "director/runner.h"

namespace director::bench {

/// The reconciler's loop on two threads and nothing around it, with an MDM server that takes
/// everything at once.
class Loop {
 public:
  Loop(Store& store, const Clock& clock);
  /// Until nobody is due; returns how many were decided for.
  Result<std::size_t> Run();
  std::uint64_t commands() const { return executor_.counters().commands_queued; }

 private:
  SystemRandom random_;
  Upstreams upstreams_;
  Payloads payloads_;
  Secrets secrets_;
  Executor executor_;
  Runner runner_;
};

/// A fleet that has the profiles that it should have, and whose items say so.
Status SeedSettledFleet(Store& store, std::size_t devices, std::size_t profiles,
                        const Clock& clock);

}  // namespace director::bench
