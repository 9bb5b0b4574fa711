#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "base/result.h"
#include "mdm/plist.h"

namespace director {

/// What a device is asked about itself besides its profiles, one kind for each question.
enum class InventoryKind {
  kDeviceInformation,
  kSecurityInfo,
  kCertificateList,
  kInstalledApplicationList,
  kManagedApplicationList,
};
inline constexpr std::array kInventoryKinds = {
    InventoryKind::kDeviceInformation, InventoryKind::kSecurityInfo,
    InventoryKind::kCertificateList, InventoryKind::kInstalledApplicationList,
    InventoryKind::kManagedApplicationList};

/// The RequestType that asks for it; everywhere its name.
std::string_view InventoryKindName(InventoryKind kind);
/// kInvalid for other words.
Result<InventoryKind> ParseInventoryKind(std::string_view name);

/// One value for each kind.
template <typename T>
class PerInventoryKind {
 public:
  T& operator[](InventoryKind kind) { return values_[static_cast<std::size_t>(kind)]; }
  const T& operator[](InventoryKind kind) const { return values_[static_cast<std::size_t>(kind)]; }
  friend bool operator==(const PerInventoryKind&, const PerInventoryKind&) = default;

 private:
  std::array<T, kInventoryKinds.size()> values_{};
};

/// What a device answered to one question: every key as it sent it. A key that is not there is not
/// known; devices leave out what they do not support. Source: Apple device-management schema,
/// information.device, information.security, certificate.list, application.managed.list,
/// application.installed.list.
struct InventoryReport {
  InventoryKind kind = InventoryKind::kDeviceInformation;
  /// A dictionary or, for the lists of certificates and of installed apps, an array of
  /// dictionaries.
  PlistValue answer;
};

}  // namespace director
