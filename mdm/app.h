#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "mdm/item_definition.h"
#include "mdm/plist.h"

namespace director {

/// An app as its owner describes it. Empty strings and absent numbers are not said. Exactly one of
/// `manifest`, `manifest_url`, `itunes_store_id` and `is_app_store` says where it comes from.
struct AppSpec {
  /// Bundle identifier of the app that the device's list is to show. That of a manifest does not
  /// serve: it is often the package's.
  std::string identifier;
  /// What the device has to report: this CFBundleShortVersionString or a newer one, or exactly this
  /// CFBundleVersion.
  std::string version;

  std::string manifest;      ///< a property list: InstallEnterpriseApplication, Macs only
  std::string manifest_url;  ///< https: InstallApplication
  std::optional<std::int64_t> itunes_store_id;
  bool is_app_store = false;  ///< by `identifier`

  std::optional<std::int64_t> purchase_method;   ///< 0 or 1; App Store only
  std::optional<std::int64_t> management_flags;  ///< 1, 4 or 5
  bool install_as_managed = false;               ///< Macs
  bool take_management = false;                  ///< ChangeManagementState Managed
  std::string configuration;                     ///< a property list with a dictionary
};

inline constexpr std::size_t kManifestSizeMaxBytes = 256 * 1024;

/// Makes the command and its item. kInvalid, with `field` the member's name: not exactly one
/// source, a URL that is not https, a manifest that is no property list or lacks `items`, an asset
/// `software-package` with an https URL, or `metadata.bundle-identifier`, a number outside of its
/// range, a configuration that is no dictionary. Source: Apple device-management schema,
/// application.install, application.install.enterprise, manifesturl.
Result<ItemDefinition> DefineApp(const AppSpec& spec);

/// Compares versions such as `1.2.10`, part by part: numbers as numbers, others as text; a missing
/// part counts as 0.
std::strong_ordering CompareVersions(std::string_view a, std::string_view b);

}  // namespace director
