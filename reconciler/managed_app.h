#pragma once

#include <string>
#include <string_view>

#include "reconciler/state.h"

namespace director {

/// What Apple's status of a managed app means for its install.
enum class ManagedAppStage {
  kWaiting,  ///< something may still come of it, or it is done: the list of apps tells
  kEnded,    ///< nothing comes of this attempt any more
};

/// A status that is not known waits: Apple may add some. Source: Apple device-management schema,
/// application.managed.list.
ManagedAppStage StageOf(std::string_view status);

/// The status and what it means, without a full stop: "Prompting, its user is asked whether to
/// install it". A status that is not known stands alone.
std::string DescribeManagedAppStatus(std::string_view status);

/// False for Macs that are known to be older than macOS 11, which do not know the question. Devices
/// of other kinds know it for as long as InstallApplication. Source: the same.
bool MayListManagedApps(const Enrollment& enrollment);

/// What the list says of the app; null when it does not name it, which says nothing: apps that are
/// not managed are left out, and some are said only once.
const ReportedManagedApp* FindManagedApp(const ManagedAppListReport& report,
                                         std::string_view identifier);

}  // namespace director
