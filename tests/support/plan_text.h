#pragma once

// A plan as text, and the world after it.

#include <fmt/core.h>

#include <algorithm>
#include <string>
#include <utility>

#include "reconciler/plan.h"

namespace director::test {

inline std::string DescribeCommand(const PlannedCommand& command) {
  std::string text = command.request_type;
  if (!command.payload_identifier.empty()) text += " " + command.payload_identifier.value();
  if (!command.payload_uuid.empty()) text += " " + command.payload_uuid.value();
  return text;
}

/// The plan in the notation above.
inline std::string DescribePlan(const Plan& plan) {
  std::string actions;
  const auto add = [&](const std::string& action) {
    actions += (actions.empty() ? "" : "; ") + action;
  };
  for (const PlannedCommand& command : plan.commands) add(DescribeCommand(command));
  if (plan.push) add("push");
  if (plan.escrow) add("escrow");
  if (actions.empty()) actions = "nothing";
  std::string text = actions + "\n";
  for (const ItemRecord& item : plan.items) {
    text += fmt::format("{} {}\n", item.payload_identifier.value(), ItemStateName(item.state));
  }
  if (plan.proposal) {
    text += fmt::format("proposal {}\n", ProposalStateName(plan.proposal->state));
  }
  for (const ClosedIntent& closed : plan.closed) {
    text +=
        fmt::format("closed {} {}\n", closed.command_uuid.value(), IntentStateName(closed.state));
  }
  return text;
}

/// Everything in a plan, for comparing two of them.
inline std::string DescribePlanInFull(const Plan& plan) {
  std::string text = DescribePlan(plan);
  for (const PlannedCommand& command : plan.commands) text += command.reason + "\n";
  for (const ItemRecord& item : plan.items) {
    text += fmt::format("{} {} {} {} {}\n", item.reason, item.attempts, item.parked, item.sends,
                        ToUnixMs(item.next_attempt_at.value_or(Timestamp())));
  }
  for (const ClosedIntent& closed : plan.closed) text += closed.reason + "\n";
  if (plan.proposal) text += plan.proposal->explanation + "\n";
  for (const std::string& note : plan.notes) text += note + "\n";
  return text + FormatTime(plan.due_at) + (plan.wants_wake ? " wants wake" : "");
}

/// The world right after the plan is stored: its commands journaled, its records kept, its closed
/// intents gone.
inline Snapshot CommitPlan(Snapshot snapshot, const Plan& plan, Timestamp now) {
  std::erase_if(snapshot.intents, [&](const Intent& intent) {
    return std::any_of(plan.closed.begin(), plan.closed.end(), [&](const ClosedIntent& closed) {
      return closed.command_uuid == intent.command_uuid;
    });
  });
  int number = 0;
  for (const PlannedCommand& command : plan.commands) {
    Intent intent;
    intent.command_uuid = CommandUuid(fmt::format("{}.{}", ToUnixMs(now), ++number));
    intent.request_type = command.request_type;
    intent.payload_identifier = command.payload_identifier;
    intent.payload_uuid = command.payload_uuid;
    intent.epoch = snapshot.enrollment.epoch;
    intent.journaled_at = now;
    snapshot.intents.push_back(std::move(intent));
  }
  snapshot.items = plan.items;
  snapshot.proposal = plan.proposal;
  if (snapshot.proposal && !IsOpen(snapshot.proposal->state)) snapshot.proposal.reset();
  snapshot.enrollment.wants_wake = plan.wants_wake;
  if (plan.renewal) snapshot.enrollment.renewal = plan.renewal;
  if (plan.push) {
    snapshot.enrollment.pushed_at = now;
    ++snapshot.enrollment.push_count;
  }
  return snapshot;
}

}  // namespace director::test
