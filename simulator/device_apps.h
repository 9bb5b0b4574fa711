#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "mdm/command.h"
#include "mdm/plist.h"

namespace director {

inline constexpr std::size_t kDeviceAppsMax = 1000;

/// The app that a command brings.
struct AppToInstall {
  std::string identifier;  ///< bundle identifier
  std::string version;
  bool is_managed = false;
};

/// Reads InstallApplication or InstallEnterpriseApplication. A manifest's URL is not fetched: its
/// last part says what the manifest would, `<bundle identifier>-<version>.plist`. The App Store has
/// everything in version 1.0, and an app that is named by its number is `id<number>`. Macs manage
/// an app only when they are told to. Nothing when it names no app. Pure.
std::optional<AppToInstall> ReadAppToInstall(const ReceivedCommand& command, bool is_mac);

/// An app that is on a device or on its way there.
struct InstalledApp {
  std::string identifier;
  std::string version;  ///< empty while the first install is under way
  bool is_managed = false;
  std::string coming_version;                ///< of the install under way
  std::optional<Timestamp> ready_at;         ///< when that is done; empty when none is
  std::optional<Timestamp> prompts_until{};  ///< the user is asked about it before
};

/// What became of an install, or of a managed app that its user removed.
struct ManagedAppWord {
  std::string status;
  std::optional<Timestamp> prompts_until;  ///< the user is asked before
};

/// True for words that the list of managed apps says once. Source: Apple device-management schema,
/// application.managed.list.
bool IsSaidOnce(std::string_view status);

/// The apps of one device. No clock: whoever asks first calls `Settle`.
class DeviceApps {
 public:
  /// Finishes what is done at `now`.
  void Settle(Timestamp now);
  /// Begins an install, in place of one that is under way. The user is asked about a managed app
  /// until `begins_at`. False when the device is full.
  bool Begin(AppToInstall app, Timestamp begins_at, Timestamp ready_at);
  /// What the list of managed apps says from now on, until another install of the app begins. A
  /// device that is full says nothing.
  void SetWord(const std::string& identifier, ManagedAppWord word);
  /// False when it is neither there nor on its way.
  bool Remove(std::string_view identifier);
  /// The app updates itself. False when it is not there.
  bool Update(std::string_view identifier);
  void Clear() {
    apps_.clear();
    words_.clear();
  }
  /// The status of each managed app. What is said once is forgotten by that.
  std::map<std::string, std::string> TakeStatuses(Timestamp now);

  /// Also what is still on its way; null when there is nothing.
  const InstalledApp* Find(std::string_view identifier) const;
  const std::vector<InstalledApp>& all() const { return apps_; }

 private:
  std::vector<InstalledApp>::iterator Locate(std::string_view identifier);

  std::vector<InstalledApp> apps_;
  std::map<std::string, ManagedAppWord> words_;  ///< by bundle identifier
};

/// The entry of InstalledApplicationList. Source: Apple device-management schema,
/// application.installed.list.
PlistDict EncodeAppEntry(const InstalledApp& app);

/// The entry of ManagedApplicationList. Source: Apple device-management schema,
/// application.managed.list.
PlistDict EncodeManagedAppEntry(const std::string& status);

}  // namespace director
