#pragma once

#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"
#include "mdm/command.h"
#include "mdm/plist.h"

namespace director {

/// What an item is. Items of all kinds share one namespace: profiles have their PayloadIdentifier,
/// the others a name that begins with the word of their kind and a colon.
enum class ItemKind {
  kProfile,
  kApp,  ///< `app:` and the bundle identifier or, when that is not known, a manifest's or package's
         ///< URL
  kAccounts,  ///< `setup:AccountConfiguration`, the accounts that Setup Assistant makes
  kIdentity,  ///< `identity:MDM`, the certificate with which a device speaks to its MDM server
};

/// `profile`, `app`, `accounts`, `identity`.
std::string_view ItemKindName(ItemKind kind);
ItemKind KindOf(const PayloadIdentifier& item);
PayloadIdentifier AppItem(std::string_view identifier_or_url);
/// The only item of its kind.
const PayloadIdentifier& AccountsItem();
/// The only item of its kind. Nobody assigns it, and it has no revisions.
const PayloadIdentifier& IdentityItem();
/// Empty when it is no app, or one whose bundle identifier is not known: nothing that a device
/// reports proves that it is there.
std::string_view BundleIdentifierOf(const PayloadIdentifier& item);

/// An item that is no profile, as its owner wants it: the command that brings it to a device. The
/// content of a revision.
struct ItemDefinition {
  PayloadIdentifier item;
  std::string version;  ///< apps: the device has to report this one or a newer one; may be empty
  std::string request_type;
  PlistDict arguments;  ///< of the command, without RequestType
};

/// Encodes as a property list, with the name that `NameDefinition` gives.
std::string EncodeDefinition(const ItemDefinition& definition);
/// Reads what `EncodeDefinition` wrote. kCorrupt for anything else.
Result<ItemDefinition> DecodeDefinition(std::string_view bytes);
/// The name of the revision: made of the content as that of a profile is.
PayloadUuid NameDefinition(const ItemDefinition& definition);
/// The command that brings the item to a device.
Command ToCommand(const ItemDefinition& definition);

}  // namespace director
