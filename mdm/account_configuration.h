#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "mdm/item_definition.h"
#include "mdm/plist.h"

namespace director {

inline constexpr std::size_t kAccountConfigurationSizeMaxBytes = 64 * 1024;

/// Reads the accounts that Setup Assistant shall make: a property list with the keys of Apple's
/// AccountConfiguration, without RequestType. kInvalid, with `field` the key: no dictionary, an
/// unknown key or one of another type, nothing at all, an administrator without shortName, two
/// accounts with one short name or one of the system's (letter case aside: such a Mac is left half
/// enrolled), a primary account that is skipped or made a regular user without a managed
/// administrator. Source: Apple device-management schema, account.configuration.
Result<ItemDefinition> DefineAccounts(std::string_view bytes);

/// Short names of the accounts that the definition makes.
std::vector<std::string> AccountNamesOf(const ItemDefinition& definition);

/// Short names of the accounts that a profile makes or takes for a user's: the guest
/// (com.apple.MCX, EnableGuestAccount) and who is logged in by itself (com.apple.loginwindow,
/// AutologinUsername). `bytes`: the mobileconfig; what cannot be read names none. Source: Apple
/// device-management schema.
std::vector<std::string> AccountNamesOfProfile(std::string_view bytes);

}  // namespace director
