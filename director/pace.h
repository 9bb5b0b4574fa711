#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

#include "base/ids.h"
#include "base/time.h"

namespace director {

/// Bounds how many things a second are sent to one place. Who comes while more is under way than
/// that gets a turn, one after the other, and its places are kept: the turns of many are spread
/// evenly, in the order in which they came. Each process keeps its own pace. Thread-safe.
class Pace {
 public:
  /// Zero: without a bound.
  explicit Pace(double per_second = 0) : per_second_(per_second) {}

  /// Books `count` places for `id`, unless it has some. Empty when its turn has come; else when it
  /// comes, to be asked again then. Turns further than ten minutes away are a guess, at which
  /// nothing is kept.
  std::optional<Timestamp> Book(const EnrollmentId& id, std::size_t count, Timestamp now);
  /// The same for what must not wait: its turn has come, and the others wait the longer.
  void BookAtOnce(const EnrollmentId& id, std::size_t count, Timestamp now);
  /// What was booked is sent. What is never used is forgotten ten minutes after its turn.
  void Use(const EnrollmentId& id);

  /// The turn of `id`, while it is ahead.
  std::optional<Timestamp> TurnOf(const EnrollmentId& id, Timestamp now) const;
  /// How many have a turn that is ahead.
  std::size_t Waiting(Timestamp now) const;

 private:
  /// Keeps places from the first free moment on, for a turn at `turn`.
  void Keep(const EnrollmentId& id, std::size_t count, Timestamp turn, Timestamp now);
  void Forget(Timestamp now);
  Timestamp FreeAt(Timestamp now) const;

  const double per_second_;
  mutable std::mutex mutex_;
  Timestamp last_now_;
  Timestamp kept_until_;  ///< all places before this are somebody's
  std::map<EnrollmentId, Timestamp> turns_;
  std::set<std::pair<Timestamp, EnrollmentId>> order_;  ///< of `turns_`
};

}  // namespace director
