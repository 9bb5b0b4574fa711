#include "director/pace.h"

#include <algorithm>
#include <iterator>

namespace director {
namespace {

/// After a quiet time, so much of it may be made up for at once.
constexpr PaceCost kBurst = std::chrono::seconds(1);
constexpr Duration kKeptAfterTurn = std::chrono::hours(1);
/// A time this much before the last one comes from a clock that was set back.
constexpr Duration kSetBack = std::chrono::minutes(1);

}  // namespace

PaceCost CostOf(std::size_t count, double per_second) {
  if (per_second <= 0) return PaceCost::zero();
  return PaceCost(static_cast<std::int64_t>(static_cast<double>(count) * 1e6 / per_second));
}

std::optional<Timestamp> Pace::Book(const EnrollmentId& id, PaceCost cost, Timestamp now) {
  if (cost <= PaceCost::zero()) return std::nullopt;
  const std::lock_guard lock(mutex_);
  now = Forget(now);
  const Booking& booking = Keep(id, cost, now);
  if (booking.turn <= now) return std::nullopt;
  return booking.turn;
}

void Pace::BookAtOnce(const EnrollmentId& id, PaceCost cost, Timestamp now) {
  if (cost <= PaceCost::zero()) return;
  const std::lock_guard lock(mutex_);
  now = Forget(now);
  Booking& booking = Keep(id, cost, now);
  if (booking.turn <= now) return;
  order_.erase({booking.turn, id});
  order_.emplace(now, id);
  booking.turn = now;
}

void Pace::Use(const EnrollmentId& id) {
  const std::lock_guard lock(mutex_);
  const auto found = bookings_.find(id);
  if (found == bookings_.end()) return;
  order_.erase({found->second.turn, id});
  bookings_.erase(found);
}

std::optional<Timestamp> Pace::TurnOf(const EnrollmentId& id, Timestamp now) {
  const std::lock_guard lock(mutex_);
  now = Forget(now);
  const auto found = bookings_.find(id);
  if (found == bookings_.end() || found->second.turn <= now) return std::nullopt;
  return found->second.turn;
}

std::optional<Timestamp> Pace::Booked(const EnrollmentId& id, Timestamp now) {
  const std::lock_guard lock(mutex_);
  Forget(now);
  const auto found = bookings_.find(id);
  if (found == bookings_.end()) return std::nullopt;
  return found->second.turn;
}

std::size_t Pace::Waiting(Timestamp now) {
  const std::lock_guard lock(mutex_);
  const auto ahead = order_.lower_bound({Forget(now) + Duration(1), EnrollmentId()});
  return static_cast<std::size_t>(std::distance(ahead, order_.end()));
}

Pace::Booking& Pace::Keep(const EnrollmentId& id, PaceCost cost, Timestamp now) {
  busy_until_ = std::max(busy_until_, Instant(now) - kBurst);
  const auto [found, is_new] = bookings_.try_emplace(id);
  Booking& booking = found->second;
  if (is_new) {
    booking.turn = std::chrono::ceil<Duration>(busy_until_);
    order_.emplace(booking.turn, id);
  }
  if (cost > booking.cost) {
    busy_until_ += cost - booking.cost;
    booking.cost = cost;
  }
  return booking;
}

Timestamp Pace::Forget(Timestamp now) {
  if (now + kSetBack < last_now_) {
    bookings_.clear();
    order_.clear();
    busy_until_ = now;
    last_now_ = now;
  }
  last_now_ = std::max(now, last_now_);
  while (!order_.empty() && order_.begin()->first + kKeptAfterTurn < last_now_) {
    bookings_.erase(order_.begin()->second);
    order_.erase(order_.begin());
  }
  return last_now_;
}

}  // namespace director
