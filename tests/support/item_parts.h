#pragma once

#include <string_view>

#include "mdm/command.h"
#include "mdm/item_definition.h"

namespace director::test {

/// The command that brings an item of each kind in tests.
inline std::string_view InstallRequestType(const PayloadIdentifier& item) {
  switch (KindOf(item)) {
    case ItemKind::kApp:
      return request_type::kInstallApplication;
    case ItemKind::kAccounts:
      return request_type::kAccountConfiguration;
    case ItemKind::kProfile:
    case ItemKind::kIdentity:
      break;
  }
  return request_type::kInstallProfile;
}

}  // namespace director::test
