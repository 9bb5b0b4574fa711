#include "reconciler/push_rule.h"

#include <algorithm>

#include "reconciler/backoff.h"
#include "reconciler/setup.h"

namespace director {
namespace {

/// Between two words of a session that goes on, where no command takes the device long; also how
/// late a webhook may tell of a word.
constexpr Duration kSessionGap = std::chrono::seconds(2);

/// How long to wait after the `count`-th push to a silent device. One in Setup Assistant is pushed
/// at an even pace.
Duration PauseAfterPush(const Delivery& delivery, int count) {
  const bool is_even = IsInSetup(delivery.enrollment(), delivery.now);
  return Jittered(PushDelay(is_even ? 1 : count, delivery.settings), delivery.key());
}

/// True when the device was pushed and has spoken since: it fetches what waits for it.
bool HasSpokenSincePush(const Delivery& delivery) {
  const Enrollment& enrollment = delivery.enrollment();
  return enrollment.pushed_at && *enrollment.pushed_at < enrollment.last_seen_at &&
         !IsAhead(enrollment.last_seen_at, delivery.now);
}

/// True while the device is in a session with more to fetch: what is sent now comes along, without
/// a push of its own.
bool IsInSession(const Delivery& delivery) {
  const bool speaks =
      delivery.now < delivery.enrollment().last_seen_at + delivery.settings.answer_time_max;
  return speaks && HasSpokenSincePush(delivery) &&
         std::any_of(delivery.staying.begin(), delivery.staying.end(), [&](const Intent& intent) {
           return intent.state == IntentState::kSent && intent.epoch == delivery.enrollment().epoch;
         });
}

/// True for what came along after the last push, which may have been too late.
bool CameAlong(const Delivery& delivery, const Intent& intent) {
  return intent.state == IntentState::kSent && HasSpokenSincePush(delivery) &&
         intent.journaled_at > *delivery.enrollment().pushed_at;
}

/// True when everything that the device has yet to answer came along, and its last word is hardly
/// younger: its session may have ended just before.
bool MayHaveLeft(const Delivery& delivery) {
  const Timestamp last_seen_at = delivery.enrollment().last_seen_at;
  return std::none_of(delivery.staying.begin(), delivery.staying.end(), [&](const Intent& intent) {
    return intent.state == IntentState::kSent &&
           (!CameAlong(delivery, intent) || intent.journaled_at + kSessionGap < last_seen_at);
  });
}

}  // namespace

Timestamp NextPushAt(const Delivery& delivery, const Plan& plan) {
  const Enrollment& enrollment = delivery.enrollment();
  Timestamp at = enrollment.pushed_at ? *enrollment.pushed_at : delivery.now;
  if (enrollment.pushed_at && enrollment.push_count > 0) {
    at += PauseAfterPush(delivery, enrollment.push_count);
  } else if (enrollment.pushed_at) {
    at += Jittered(delivery.settings.push_delay_min, delivery.key());
  }
  const bool only_not_now =
      plan.commands.empty() &&
      std::none_of(delivery.staying.begin(), delivery.staying.end(), [](const Intent& intent) {
        return IsOpen(intent.state) && intent.state != IntentState::kNotNow;
      });
  const bool spoke = HasSpokenSincePush(delivery);
  if (spoke && plan.commands.empty()) {
    at = std::max(at, enrollment.last_seen_at + delivery.settings.answer_time_max);
  }
  // What comes along without a push of its own may not be fetched after all.
  if (!plan.commands.empty() && IsInSession(delivery)) {
    at = std::min(at, delivery.now + delivery.settings.answer_time_max);
  }
  const Duration patience = MayHaveLeft(delivery) ? kSessionGap : delivery.settings.answer_time_max;
  for (const Intent& intent : delivery.staying) {
    if (!CameAlong(delivery, intent)) continue;
    at = std::min(at, std::max(intent.journaled_at, enrollment.last_seen_at) + patience);
  }
  if (!only_not_now) return at;
  for (const Intent& intent : delivery.staying) {
    if (intent.state != IntentState::kNotNow || !intent.not_now_at) continue;
    at = std::max(
        at, *intent.not_now_at +
                Jittered(NotNowPushDelay(std::max(intent.not_now_count, 1), delivery.settings),
                         delivery.key()));
  }
  return at;
}

void DecidePush(const Delivery& delivery, Plan& plan) {
  if (plan.commands.empty() && !delivery.AnyOpen()) return;
  if (delivery.enrollment().push_unregistered) {
    plan.notes.push_back(
        "Apple says that the push token is dead; pushes stop until the device polls.");
    return;
  }
  const Timestamp next_push_at = NextPushAt(delivery, plan);
  // A device that reacted to the last push is pushed at once; one that stays silent is not hurried
  // by new work.
  const bool reacts = delivery.awake() || delivery.enrollment().push_count == 0;
  const bool comes_along = IsInSession(delivery);
  // A push that the MDM server sends by itself with a command counts like one of ours.
  const bool pushes_now = delivery.snapshot.upstream_pushes || (reacts && !comes_along);
  plan.push = (pushes_now && !plan.commands.empty()) || next_push_at <= delivery.now;
  const Timestamp after_this_one =
      delivery.now + PauseAfterPush(delivery, delivery.enrollment().push_count + 1);
  plan.due_at = std::min(plan.due_at, plan.push ? after_this_one : next_push_at);
}

}  // namespace director
