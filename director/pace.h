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

/// How long something keeps the place to which it is sent busy, in microseconds. Zero: no bound.
using PaceCost = std::chrono::microseconds;
/// What `count` things cost where `per_second` of them may go; zero: as many as there are.
PaceCost CostOf(std::size_t count, double per_second);

/// Bounds how much is sent to one place. Who comes while it is busy gets a turn, one after the
/// other, and its time is kept: the turns of many are spread evenly, in the order in which they
/// came. Each process keeps its own pace. Thread-safe.
class Pace {
 public:
  /// Books time for `id`, unless it has some; what costs more than was booked adds the difference.
  /// Empty when its turn has come; else when it comes, to be asked again then.
  std::optional<Timestamp> Book(const EnrollmentId& id, PaceCost cost, Timestamp now);
  /// The same for what must not wait: its turn has come, and the others wait the longer.
  void BookAtOnce(const EnrollmentId& id, PaceCost cost, Timestamp now);
  /// What was booked is sent. What is never used is forgotten an hour after its turn.
  void Use(const EnrollmentId& id);

  /// The turn of `id`, while it is ahead.
  std::optional<Timestamp> TurnOf(const EnrollmentId& id, Timestamp now);
  /// The turn that `id` has booked and not used, ahead or not.
  std::optional<Timestamp> Booked(const EnrollmentId& id, Timestamp now);
  /// How many have a turn that is ahead.
  std::size_t Waiting(Timestamp now);

 private:
  using Instant = std::chrono::sys_time<PaceCost>;
  struct Booking {
    Timestamp turn;
    PaceCost cost{};
  };

  /// Finds the booking of `id` or makes one, behind all others.
  Booking& Keep(const EnrollmentId& id, PaceCost cost, Timestamp now);
  /// Drops what is over. Returns the time that counts: clocks of two threads may be read a moment
  /// apart.
  Timestamp Forget(Timestamp now);

  std::mutex mutex_;
  Timestamp last_now_;
  Instant busy_until_;
  std::map<EnrollmentId, Booking> bookings_;
  std::set<std::pair<Timestamp, EnrollmentId>> order_;  ///< of the turns
};

}  // namespace director
