#pragma once

#include <chrono>
#include <functional>
#include <thread>

namespace director::test {

inline constexpr auto kPatience = std::chrono::seconds(60);

/// Asks again and again; false when `done` never says yes within `kPatience`.
inline bool WaitFor(const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!done()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

}  // namespace director::test
