#include "reconciler/managed_app.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "mdm/app.h"
#include "reconciler/item_work.h"

namespace director {
namespace {

struct StatusMeaning {
  std::string_view status;
  ManagedAppStage stage;
  std::string_view meaning;
};

/// In Apple's order. What its user installed, or removed, is for the list of apps to tell, and for
/// the time that an install has.
constexpr std::array<StatusMeaning, 20> kStatusMeanings{{
    {"Queued", ManagedAppStage::kWaiting, "its install is scheduled"},
    {"NeedsRedemption", ManagedAppStage::kWaiting, "it needs a redemption code"},
    {"Redeeming", ManagedAppStage::kWaiting, "its redemption code is being redeemed"},
    {"Prompting", ManagedAppStage::kWaiting, "its user is asked whether to install it"},
    {"PromptingForLogin", ManagedAppStage::kWaiting,
     "its user is asked to log in to the App Store"},
    {"ValidatingPurchase", ManagedAppStage::kWaiting, "its purchase is being validated"},
    {"PromptingForUpdate", ManagedAppStage::kWaiting, "its user is asked whether to update it"},
    {"PromptingForUpdateLogin", ManagedAppStage::kWaiting,
     "its user is asked to log in to the App Store for the update"},
    {"PromptingForManagement", ManagedAppStage::kWaiting,
     "its user is asked whether it may be managed"},
    {"ValidatingUpdate", ManagedAppStage::kWaiting, "its update is being validated"},
    {"Updating", ManagedAppStage::kWaiting, "it is being updated"},
    {"Installing", ManagedAppStage::kWaiting, "it is being installed"},
    {"Managed", ManagedAppStage::kWaiting, "it is there, in a version that this does not tell"},
    {"ManagedButUninstalled", ManagedAppStage::kWaiting, "its user removed it"},
    {"Unknown", ManagedAppStage::kWaiting, "the device does not know how it stands"},
    {"UserInstalledApp", ManagedAppStage::kWaiting, "its user had installed it before"},
    {"UserRejected", ManagedAppStage::kEnded, "its user refused to install it"},
    {"UpdateRejected", ManagedAppStage::kEnded, "its user refused to update it"},
    {"ManagementRejected", ManagedAppStage::kEnded, "its user refused that it be managed"},
    {"Failed", ManagedAppStage::kEnded, "its install failed"},
}};

const StatusMeaning* FindMeaning(std::string_view status) {
  const auto found =
      std::find_if(kStatusMeanings.begin(), kStatusMeanings.end(),
                   [&](const StatusMeaning& known) { return known.status == status; });
  return found == kStatusMeanings.end() ? nullptr : &*found;
}

}  // namespace

ManagedAppStage StageOf(std::string_view status) {
  const StatusMeaning* known = FindMeaning(status);
  return known == nullptr ? ManagedAppStage::kWaiting : known->stage;
}

std::string DescribeManagedAppStatus(std::string_view status) {
  const StatusMeaning* known = FindMeaning(status);
  return known == nullptr ? std::string(status) : fmt::format("{}, {}", status, known->meaning);
}

bool MayListManagedApps(const Enrollment& enrollment) {
  return !IsMac(enrollment) || enrollment.os_version.empty() ||
         CompareVersions(enrollment.os_version, "11") >= 0;
}

const ReportedManagedApp* FindManagedApp(const ManagedAppListReport& report,
                                         std::string_view identifier) {
  const auto found =
      std::find_if(report.apps.begin(), report.apps.end(),
                   [&](const ReportedManagedApp& app) { return app.identifier == identifier; });
  return found == report.apps.end() ? nullptr : &*found;
}

}  // namespace director
