#pragma once

// One decision as three strings: the world (see plan_world.h), the time, the expected plan.
//
// Plan: a line of commands, `push` and `escrow` (or `nothing`), then a line for each item with its
// state, then `proposal waiting` when there is one, then `closed c1 lost` lines.

#include <string>
#include <vector>

#include "base/text.h"
#include "reconciler/plan.h"
#include "tests/support/catch.h"
#include "tests/support/plan_checker.h"
#include "tests/support/plan_text.h"
#include "tests/support/plan_world.h"

namespace director::test {

inline std::string Joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

/// Decides, verifies every promise of a plan, and returns it.
inline Plan DecideChecked(const Snapshot& snapshot, Timestamp now, const Settings& settings = {}) {
  Plan plan = Reconcile(snapshot, settings, now);
  CHECK(Joined(PlanChecker(snapshot, settings, now, plan).Check()) == "");
  return plan;
}

inline std::string Trimmed(const std::string& text) {
  std::string trimmed;
  for (const std::string& line : Split(text, '\n')) {
    std::string words;
    for (const std::string& word : Words(line)) words += (words.empty() ? "" : " ") + word;
    if (!words.empty()) trimmed += words + "\n";
  }
  return trimmed;
}

/// Three strings: the world, the time, the expected plan. Returns the plan for what is not in the
/// notation.
inline Plan CheckPlan(const std::string& world, const std::string& time,
                      const std::string& expected, const Settings& settings = {}) {
  INFO(world);
  const Timestamp now = MustParseTime(time);
  const Plan plan = DecideChecked(ReadWorld(world, now), now, settings);
  CHECK(DescribePlan(plan) == Trimmed(expected));
  return plan;
}

/// The record of an item in a plan.
inline ItemRecord ItemOf(const Plan& plan, const std::string& identifier) {
  for (const ItemRecord& item : plan.items) {
    if (item.payload_identifier.value() == identifier) return item;
  }
  FAIL("no record of " << identifier);
  return {};
}

}  // namespace director::test
