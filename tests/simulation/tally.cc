#include "tests/simulation/tally.h"

#include <fmt/core.h>

#include <initializer_list>
#include <string_view>
#include <utility>

#include "mdm/command.h"

namespace director::simulation {

void Tally::Add(const VirtualDevice& device) {
  for (const auto& [type, count] : device.carried_out()) carried_out[type] += count;
  enrollments += static_cast<std::uint64_t>(device.epoch());
  os_updates += static_cast<std::uint64_t>(device.os_updates());
  renewals += static_cast<std::uint64_t>(device.renewals());
}

std::string Tally::MissingOfFullDay() const {
  // Removals come with the changes of owners, not with each day.
  for (const std::string_view type :
       {request_type::kDeviceConfigured, request_type::kAccountConfiguration,
        request_type::kInstallProfile, request_type::kInstallApplication,
        request_type::kInstallEnterpriseApplication, request_type::kProfileList,
        request_type::kDeviceInformation, request_type::kSecurityInfo,
        request_type::kCertificateList, request_type::kInstalledApplicationList,
        request_type::kDeviceLock, request_type::kEraseDevice, request_type::kRestartDevice,
        request_type::kShutDownDevice, request_type::kSetRecoveryLock,
        request_type::kRotateFileVaultKey}) {
    if (!carried_out.contains(std::string(type))) return fmt::format("{} carried out", type);
  }
  for (const auto& [count, what] : {std::pair(os_updates, "OS updated"),
                                    std::pair(reinstalls, "profile installed again after that"),
                                    std::pair(renewals, "identity renewed")}) {
    if (count == 0) return what;
  }
  return {};
}

std::string Tally::Describe() const {
  std::string text =
      fmt::format("{} enrollments, {} OS updates, {} profiles sent again for them, {} renewals\n",
                  enrollments, os_updates, reinstalls, renewals);
  std::string_view separator = "carried out: ";
  for (const auto& [type, count] : carried_out) {
    text += fmt::format("{}{} {}", separator, count, type);
    separator = ", ";
  }
  return text + "\n";
}

}  // namespace director::simulation
