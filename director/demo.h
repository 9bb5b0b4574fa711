#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/result.h"

namespace director {

struct DemoOptions {
  std::size_t devices = 200;
  std::string examples = "examples";
  std::string database;  ///< empty: a scratch file that is deleted at the end
  std::uint64_t seed = 1;
  std::string timeout = "3m";  ///< for each of the two parts
  bool once = false;
};

/// Starts Director, a NanoMDM stand-in and a simulated fleet in this process (all on loopback, over
/// HTTP), assigns the sample profiles, waits until every Mac reports them, then lets users delete
/// profiles and shows how each is put right. With `once` it ends when the fleet has converged; the
/// error names the stuck devices with their reasons otherwise.
Status RunDemo(const DemoOptions& options);

}  // namespace director
