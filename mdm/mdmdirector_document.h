#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace director {

/// A mobileconfig as MDMDirector stores and sends it. Devices that it manages show these
/// PayloadUUIDs, so that a site that moves to Director keeps what is installed only if the same
/// bytes get the same UUID.
struct MdmDirectorDocument {
  std::string payload_uuid;           ///< UUID of version 5 of the bytes given, in lower case
  std::string original_payload_uuid;  ///< as the bytes given had it; may be empty
  std::string mobileconfig;           ///< with `payload_uuid`, in the form of Go's plist library
};

/// Rewrites a property list (XML or binary, a dictionary) as MDMDirector does for one device. Every
/// byte of the input counts, white space too. kInvalid as `DecodePlist`, for anything but a
/// dictionary, and for characters that XML does not know.
Result<MdmDirectorDocument> ForOneDevice(std::string_view mobileconfig);

/// The same for all devices: MDMDirector rewrites the rewritten document once more.
/// `original_payload_uuid` is then the UUID that one device would have got.
Result<MdmDirectorDocument> ForAllDevices(std::string_view mobileconfig);

/// The same document with another PayloadUUID, in the same form. kInvalid as above.
Result<std::string> WithPayloadUuid(std::string_view mobileconfig, const std::string& payload_uuid);

}  // namespace director
