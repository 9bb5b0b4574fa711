#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mdm/event.h"
#include "mdm/mdm_identity.h"
#include "mdm/plist.h"

namespace director {

/// Certificates of one answer that are read; those behind are passed over.
inline constexpr std::size_t kIdentitiesReadMax = 64;

/// The certificate among those that a device listed with which it speaks to its MDM server: an
/// identity of one of `issuers`, whose names are compared byte by byte. Of several the one that
/// ends last counts: the others are older ones that a renewal left behind. Certificates that cannot
/// be read are passed over. Empty when there is none. Pure.
std::optional<MdmIdentity> FindIdentity(const PlistArray& certificates,
                                        const std::vector<std::string>& issuers);

/// Finds it in the answer to CertificateList that the event may bring.
void TakeIdentity(const std::vector<std::string>& issuers, MdmEvent& event);

}  // namespace director
