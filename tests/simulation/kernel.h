#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/time.h"

namespace director::simulation {

/// How many of the newest trace lines are kept for the report of a failure.
inline constexpr std::size_t kRecentTraceMax = 60;

/// Virtual time on one thread: actions run in the order of their times, those of one time in the
/// order of their planning. An action may let time pass itself (`RunFor`): other actions then run
/// inside it, as other threads and machines would.
class Kernel final : public Clock {
 public:
  explicit Kernel(Timestamp start) : now_(start) {}

  Timestamp Now() const override { return now_; }
  void At(Timestamp at, std::function<void()> action);
  void After(Duration delay, std::function<void()> action) { At(now_ + delay, std::move(action)); }

  /// Runs what is planned until `end` or until `Stop`.
  void RunUntil(Timestamp end);
  void RunFor(Duration duration) { RunUntil(now_ + duration); }
  void Stop() { stopped_ = true; }

  /// One line of what happened. All lines with their times make the trace hash.
  void Trace(std::string_view line);
  std::uint64_t trace_hash() const { return trace_hash_; }
  std::uint64_t trace_lines() const { return trace_lines_; }
  /// The newest lines, oldest first.
  std::vector<std::string> RecentTrace() const;
  /// Prints every line as it comes.
  void PrintTrace() { prints_ = true; }

 private:
  struct Planned {
    Timestamp at;
    std::uint64_t number = 0;
    std::function<void()> action;
    bool operator<(const Planned& other) const {
      return at != other.at ? at > other.at : number > other.number;
    }
  };

  struct TraceLine {
    Timestamp at;
    std::string text;
  };
  static std::string FormatLine(const TraceLine& line);

  Timestamp now_;
  std::uint64_t planned_ = 0;
  std::vector<Planned> queue_;  ///< a heap, the next one in front
  bool stopped_ = false;
  std::uint64_t trace_hash_ = 0xcbf29ce484222325;
  std::uint64_t trace_lines_ = 0;
  std::deque<TraceLine> recent_;
  bool prints_ = false;
};

}  // namespace director::simulation
