#include "mdm/account_configuration.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/text.h"

namespace director {
namespace {

enum class KeyType { kFlag, kText, kAdministrators };

constexpr std::array<std::pair<std::string_view, KeyType>, 8> kAccountKeys{{
    {"SkipPrimarySetupAccountCreation", KeyType::kFlag},
    {"SetPrimarySetupAccountAsRegularUser", KeyType::kFlag},
    {"PrimaryAccountFullName", KeyType::kText},
    {"PrimaryAccountUserName", KeyType::kText},
    {"DontAutoPopulatePrimaryAccountInfo", KeyType::kFlag},
    {"LockPrimaryAccountInfo", KeyType::kFlag},
    {"AutoSetupAdminAccounts", KeyType::kAdministrators},
    {"ManagedLocalUserShortName", KeyType::kText},
}};
constexpr std::array<std::string_view, 3> kSystemAccounts = {"root", "daemon", "nobody"};
constexpr std::string_view kGuestName = "Guest";

Error Wrong(std::string_view key, std::string_view what) {
  return InvalidField(std::string(key), std::string(what));
}

/// The administrator that Setup Assistant makes; null when there is none.
const PlistDict* FindAdministrator(const PlistDict& arguments) {
  const PlistValue* value = arguments.Find("AutoSetupAdminAccounts");
  const PlistArray* array = value == nullptr ? nullptr : value->AsArray();
  return array == nullptr || array->empty() ? nullptr : array->front().AsDict();
}

bool FlagAt(const PlistDict& dict, std::string_view key) {
  const PlistValue* value = dict.Find(key);
  const bool* flag = value == nullptr ? nullptr : value->AsBool();
  return flag != nullptr && *flag;
}

Status CheckAdministrators(const PlistValue& value) {
  constexpr std::string_view kKey = "AutoSetupAdminAccounts";
  const PlistArray* array = value.AsArray();
  // Apple: the first is used, the others are ignored.
  if (array == nullptr || array->size() != 1 || array->front().AsDict() == nullptr) {
    return Fail(Wrong(kKey, "must be an array of one dictionary"));
  }
  const PlistDict& administrator = *array->front().AsDict();
  if (TextAt(administrator, "shortName").empty()) {
    return Fail(Wrong(kKey, "has no shortName"));
  }
  for (const auto& [key, entry] : administrator.entries()) {
    const bool is_right = key == "shortName" || key == "fullName" ? entry.AsString() != nullptr
                          : key == "passwordHash"                 ? entry.AsData() != nullptr
                                                  : key == "hidden" && entry.AsBool() != nullptr;
    if (!is_right) {
      return Fail(
          Wrong(kKey, fmt::format("{} is unknown or of the wrong type", Printable(key, 64))));
    }
  }
  return {};
}

Status CheckKey(std::string_view key, const PlistValue& value) {
  const auto known = std::find_if(kAccountKeys.begin(), kAccountKeys.end(),
                                  [&](const auto& entry) { return entry.first == key; });
  if (known == kAccountKeys.end()) {
    return Fail(Wrong(Printable(key, 64), "is no key of AccountConfiguration"));
  }
  switch (known->second) {
    case KeyType::kFlag:
      if (value.AsBool() == nullptr) return Fail(Wrong(key, "must be a boolean"));
      return {};
    case KeyType::kText:
      if (value.AsString() == nullptr) return Fail(Wrong(key, "must be a string"));
      return {};
    case KeyType::kAdministrators:
      return CheckAdministrators(value);
  }
  return {};
}

Status CheckNames(const PlistDict& arguments) {
  const PlistDict* administrator = FindAdministrator(arguments);
  for (const char* key :
       {"SkipPrimarySetupAccountCreation", "SetPrimarySetupAccountAsRegularUser"}) {
    if (administrator == nullptr && FlagAt(arguments, key)) {
      return Fail(Wrong(key, "needs an administrator in AutoSetupAdminAccounts"));
    }
  }
  if (administrator == nullptr) return {};
  const std::string name = TextAt(*administrator, "shortName");
  const bool is_system =
      std::any_of(kSystemAccounts.begin(), kSystemAccounts.end(),
                  [&](auto other) { return EqualsIgnoreCaseAscii(name, other); });
  if (is_system || name.front() == '_') {
    return Fail(Wrong("AutoSetupAdminAccounts",
                      fmt::format("{} is the name of an account of macOS", Printable(name, 64))));
  }
  if (EqualsIgnoreCaseAscii(name, TextAt(arguments, "PrimaryAccountUserName"))) {
    return Fail(Wrong("PrimaryAccountUserName", "is the administrator's name, too"));
  }
  return {};
}

}  // namespace

Result<ItemDefinition> DefineAccounts(std::string_view bytes) {
  if (bytes.size() > kAccountConfigurationSizeMaxBytes) {
    return Fail(ErrorKind::kInvalid,
                fmt::format("the account configuration is larger than {} bytes",
                            kAccountConfigurationSizeMaxBytes));
  }
  Result<PlistValue> value = DecodePlist(bytes);
  if (!value) return Fail(value.error());
  const PlistDict* arguments = value->AsDict();
  if (arguments == nullptr || arguments->empty()) {
    return Fail(ErrorKind::kInvalid,
                "must be a dictionary with keys of AccountConfiguration, and not empty");
  }
  for (const auto& [key, entry] : arguments->entries()) {
    if (Status right = CheckKey(key, entry); !right) return Fail(right.error());
  }
  if (Status right = CheckNames(*arguments); !right) return Fail(right.error());
  ItemDefinition definition;
  definition.item = AccountsItem();
  definition.request_type = std::string(request_type::kAccountConfiguration);
  definition.arguments = *arguments;
  return definition;
}

std::vector<std::string> AccountNamesOf(const ItemDefinition& definition) {
  std::vector<std::string> names;
  if (const PlistDict* administrator = FindAdministrator(definition.arguments)) {
    names.push_back(TextAt(*administrator, "shortName"));
  }
  std::string primary = TextAt(definition.arguments, "PrimaryAccountUserName");
  if (!primary.empty()) names.push_back(std::move(primary));
  return names;
}

std::vector<std::string> AccountNamesOfProfile(std::string_view bytes) {
  std::vector<std::string> names;
  const Result<PlistValue> value = DecodePlist(bytes);
  const PlistDict* root = value ? value->AsDict() : nullptr;
  const PlistValue* content = root == nullptr ? nullptr : root->Find("PayloadContent");
  const PlistArray* payloads = content == nullptr ? nullptr : content->AsArray();
  if (payloads == nullptr) return names;
  for (const PlistValue& payload : *payloads) {
    const PlistDict* dict = payload.AsDict();
    if (dict == nullptr) continue;
    const std::string type = TextAt(*dict, "PayloadType");
    if (type == "com.apple.MCX" && FlagAt(*dict, "EnableGuestAccount")) {
      names.emplace_back(kGuestName);
    }
    std::string user = type == "com.apple.loginwindow" ? TextAt(*dict, "AutologinUsername") : "";
    if (!user.empty()) names.push_back(std::move(user));
  }
  return names;
}

}  // namespace director
