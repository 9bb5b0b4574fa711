#pragma once

#include <string>

#include "base/time.h"

namespace director {

/// The certificate with which a device speaks to its MDM server, as far as it matters when it ends.
struct MdmIdentity {
  std::string issuer;  ///< in the form of RFC 2253, the most specific part first
  Timestamp not_before;
  Timestamp not_after;
  friend bool operator==(const MdmIdentity&, const MdmIdentity&) = default;
};

}  // namespace director
