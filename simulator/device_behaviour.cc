#include "simulator/device_behaviour.h"

#include <algorithm>
#include <utility>

namespace director {
namespace {

Duration PositionInCycle(const WakeSchedule& schedule, Timestamp now) {
  const Duration cycle = schedule.awake_for + schedule.asleep_for;
  const Duration position = (now.time_since_epoch() - schedule.offset) % cycle;
  return position < Duration::zero() ? position + cycle : position;
}

}  // namespace

bool IsAwakeAt(const WakeSchedule& schedule, Timestamp now) {
  if (schedule.asleep_for <= Duration::zero()) return true;
  return PositionInCycle(schedule, now) < schedule.awake_for;
}

Timestamp NextAwakeAt(const WakeSchedule& schedule, Timestamp now) {
  if (IsAwakeAt(schedule, now)) return now;
  const Duration cycle = schedule.awake_for + schedule.asleep_for;
  return now + (cycle - PositionInCycle(schedule, now));
}

std::vector<ErrorChainEntry> InstallFailedChain(std::string domain, std::int64_t code,
                                                std::string text) {
  ErrorChainEntry wrapper{4001, "MCInstallationErrorDomain", "Profile Installation Failed",
                          "Profile Installation Failed"};
  ErrorChainEntry cause{code, std::move(domain), text, text};
  return {std::move(wrapper), std::move(cause)};
}

std::vector<ErrorChainEntry> OneErrorChain(std::string domain, std::int64_t code,
                                           std::string text) {
  ErrorChainEntry entry{code, std::move(domain), text, text};
  return {std::move(entry)};
}

const AppFailure* DeviceBehaviour::FindAppFailure(const std::string& identifier) const {
  const auto found =
      std::find_if(app_failures.begin(), app_failures.end(), [&](const AppFailure& failure) {
        return failure.identifier.empty() || failure.identifier == identifier;
      });
  return found == app_failures.end() ? nullptr : &*found;
}

const InstallFailure* DeviceBehaviour::FindInstallFailure(
    const PayloadIdentifier& payload_identifier) const {
  const auto found = std::find_if(install_failures.begin(), install_failures.end(),
                                  [&](const InstallFailure& failure) {
                                    return failure.payload_identifier.empty() ||
                                           failure.payload_identifier == payload_identifier;
                                  });
  return found == install_failures.end() ? nullptr : &*found;
}

}  // namespace director
