#include "base/invariant.h"

#include <fmt/core.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace director {
namespace {
std::atomic<InvariantMode> invariant_mode{InvariantMode::kThrow};
}  // namespace

void SetInvariantMode(InvariantMode mode) { invariant_mode.store(mode); }

void FailInvariant(const char* condition, const char* file, int line) {
  const std::string text = fmt::format("broken invariant: {} at {}:{}", condition, file, line);
  if (invariant_mode.load() == InvariantMode::kAbort) {
    std::fputs((text + "\n").c_str(), stderr);
    std::abort();
  }
  throw InvariantViolation(text);
}

}  // namespace director
