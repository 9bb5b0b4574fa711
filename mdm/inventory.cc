#include "mdm/inventory.h"

#include <string>
#include <utility>

#include "mdm/command.h"

namespace director {

std::string_view InventoryKindName(InventoryKind kind) {
  switch (kind) {
    case InventoryKind::kDeviceInformation:
      return request_type::kDeviceInformation;
    case InventoryKind::kSecurityInfo:
      return request_type::kSecurityInfo;
    case InventoryKind::kCertificateList:
      return request_type::kCertificateList;
    case InventoryKind::kManagedApplicationList:
      return request_type::kManagedApplicationList;
    case InventoryKind::kInstalledApplicationList:
      return request_type::kInstalledApplicationList;
  }
  return {};
}

Result<InventoryKind> ParseInventoryKind(std::string_view name) {
  for (const InventoryKind kind : kInventoryKinds) {
    if (InventoryKindName(kind) == name) return kind;
  }
  std::string message = "must be one of: ";
  for (const InventoryKind kind : kInventoryKinds) {
    if (kind != kInventoryKinds.front()) message += ", ";
    message += InventoryKindName(kind);
  }
  return Fail(ErrorKind::kInvalid, std::move(message));
}

}  // namespace director
