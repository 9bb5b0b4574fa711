#include "director/pace.h"

#include <algorithm>
#include <iterator>

#include "base/random.h"

namespace director {
namespace {

/// After a quiet time, so much of it may be made up for at once.
constexpr Duration kBurst = std::chrono::seconds(1);
/// Turns are kept for this time ahead and this time after they came.
constexpr Duration kKept = std::chrono::minutes(10);

}  // namespace

std::optional<Timestamp> Pace::Book(const EnrollmentId& id, std::size_t count, Timestamp now) {
  if (per_second_ <= 0 || count == 0) return std::nullopt;
  const std::lock_guard lock(mutex_);
  Forget(now);
  Timestamp turn = FreeAt(now);
  if (const auto found = turns_.find(id); found != turns_.end()) {
    turn = found->second;
  } else if (turn > now + kKept) {
    const auto thousandth = static_cast<std::int64_t>(StableHash(id.value()) % 1000);
    turn = now + kKept + kKept * thousandth / 1000;
  } else {
    Keep(id, count, turn, now);
  }
  if (turn <= now) return std::nullopt;
  return turn;
}

void Pace::BookAtOnce(const EnrollmentId& id, std::size_t count, Timestamp now) {
  if (per_second_ <= 0 || count == 0) return;
  const std::lock_guard lock(mutex_);
  Forget(now);
  if (const auto found = turns_.find(id); found == turns_.end()) {
    Keep(id, count, now, now);
  } else if (found->second > now) {
    order_.erase({found->second, id});
    order_.emplace(now, id);
    found->second = now;
  }
}

void Pace::Use(const EnrollmentId& id) {
  const std::lock_guard lock(mutex_);
  const auto found = turns_.find(id);
  if (found == turns_.end()) return;
  order_.erase({found->second, id});
  turns_.erase(found);
}

std::optional<Timestamp> Pace::TurnOf(const EnrollmentId& id, Timestamp now) const {
  const std::lock_guard lock(mutex_);
  const auto found = turns_.find(id);
  if (found == turns_.end() || found->second <= now) return std::nullopt;
  return found->second;
}

std::size_t Pace::Waiting(Timestamp now) const {
  const std::lock_guard lock(mutex_);
  const auto ahead = order_.lower_bound({now + Duration(1), EnrollmentId()});
  return static_cast<std::size_t>(std::distance(ahead, order_.end()));
}

void Pace::Keep(const EnrollmentId& id, std::size_t count, Timestamp turn, Timestamp now) {
  const double milliseconds = static_cast<double>(count) * 1000 / per_second_;
  kept_until_ = FreeAt(now) + Duration(static_cast<std::int64_t>(milliseconds));
  turns_.emplace(id, turn);
  order_.emplace(turn, id);
}

void Pace::Forget(Timestamp now) {
  if (now + kBurst < last_now_) {  // the clock was set back
    turns_.clear();
    order_.clear();
    kept_until_ = now;
  }
  last_now_ = now;
  while (!order_.empty() && order_.begin()->first + kKept < now) {
    turns_.erase(order_.begin()->second);
    order_.erase(order_.begin());
  }
}

Timestamp Pace::FreeAt(Timestamp now) const { return std::max(kept_until_, now - kBurst); }

}  // namespace director
