#pragma once

#include <atomic>

#include "base/time.h"

namespace director {

/// Tells the time. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Timestamp Now() const = 0;
};

/// The machine's UTC clock.
class SystemClock final : public Clock {
 public:
  Timestamp Now() const override {
    return std::chrono::floor<Duration>(std::chrono::system_clock::now());
  }
};

/// A clock that a test or a simulation moves by hand.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(Timestamp start) : now_ms_(ToUnixMs(start)) {}
  Timestamp Now() const override { return FromUnixMs(now_ms_.load()); }
  void Advance(Duration by) { now_ms_.fetch_add(by.count()); }
  void Set(Timestamp at) { now_ms_.store(ToUnixMs(at)); }

 private:
  std::atomic<std::int64_t> now_ms_;
};

}  // namespace director
