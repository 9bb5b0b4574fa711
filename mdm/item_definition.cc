#include "mdm/item_definition.h"

#include <utility>

#include "mdm/profile.h"

namespace director {
namespace {

constexpr std::string_view kAppPrefix = "app:";
constexpr std::string_view kSetupPrefix = "setup:";
constexpr std::string_view kIdentityPrefix = "identity:";

PlistDict ToDict(const ItemDefinition& definition) {
  PlistDict command = definition.arguments;
  command.Set("RequestType", definition.request_type);
  PlistDict dict;
  dict.Set("Item", definition.item.value());
  if (!definition.version.empty()) dict.Set("Version", definition.version);
  dict.Set("Command", std::move(command));
  return dict;
}

Error NoDefinition() {
  return MakeError(ErrorKind::kCorrupt, "the content of the revision is no definition of an item");
}

}  // namespace

std::string_view ItemKindName(ItemKind kind) {
  switch (kind) {
    case ItemKind::kProfile:
      return "profile";
    case ItemKind::kApp:
      return "app";
    case ItemKind::kAccounts:
      return "accounts";
    case ItemKind::kIdentity:
      return "identity";
  }
  return {};
}

ItemKind KindOf(const PayloadIdentifier& item) {
  if (item.value().starts_with(kAppPrefix)) return ItemKind::kApp;
  if (item.value().starts_with(kSetupPrefix)) return ItemKind::kAccounts;
  if (item.value().starts_with(kIdentityPrefix)) return ItemKind::kIdentity;
  return ItemKind::kProfile;
}

PayloadIdentifier AppItem(std::string_view identifier_or_url) {
  return PayloadIdentifier(std::string(kAppPrefix) + std::string(identifier_or_url));
}

const PayloadIdentifier& AccountsItem() {
  static const PayloadIdentifier item(std::string(kSetupPrefix) +
                                      std::string(request_type::kAccountConfiguration));
  return item;
}

const PayloadIdentifier& IdentityItem() {
  static const PayloadIdentifier item(std::string(kIdentityPrefix) + "MDM");
  return item;
}

std::string_view BundleIdentifierOf(const PayloadIdentifier& item) {
  if (KindOf(item) != ItemKind::kApp) return {};
  const std::string_view name = std::string_view(item.value()).substr(kAppPrefix.size());
  return name.find("://") == std::string_view::npos ? name : std::string_view();
}

std::string EncodeDefinition(const ItemDefinition& definition) {
  return EncodePlistXml(ToDict(definition));
}

Result<ItemDefinition> DecodeDefinition(std::string_view bytes) {
  const Result<PlistValue> value = DecodePlist(bytes);
  const PlistDict* dict = value ? value->AsDict() : nullptr;
  const PlistValue* command = dict == nullptr ? nullptr : dict->Find("Command");
  if (command == nullptr || command->AsDict() == nullptr) return Fail(NoDefinition());
  ItemDefinition definition;
  definition.item = PayloadIdentifier(TextAt(*dict, "Item"));
  definition.version = TextAt(*dict, "Version");
  definition.arguments = *command->AsDict();
  definition.request_type = TextAt(definition.arguments, "RequestType");
  definition.arguments.Erase("RequestType");
  const bool is_known = definition.request_type == request_type::kInstallApplication ||
                        definition.request_type == request_type::kInstallEnterpriseApplication ||
                        definition.request_type == request_type::kAccountConfiguration;
  if (!is_known) return Fail(NoDefinition());
  return definition;
}

PayloadUuid NameDefinition(const ItemDefinition& definition) {
  return ContentPayloadUuid(ToDict(definition));
}

Command ToCommand(const ItemDefinition& definition) {
  if (definition.request_type == request_type::kInstallApplication) {
    return InstallApplicationCommand{definition.arguments};
  }
  if (definition.request_type == request_type::kInstallEnterpriseApplication) {
    return InstallEnterpriseApplicationCommand{definition.arguments};
  }
  return AccountConfigurationCommand{definition.arguments};
}

}  // namespace director
