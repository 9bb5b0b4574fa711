#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"
#include "mdm/profile.h"
#include "store/store.h"

namespace director {

/// Longest name of a source (who owns profiles and assignments).
inline constexpr std::size_t kSourceSizeMaxBytes = 64;

/// Several profiles in one JSON body: base64 is a third larger than the bytes.
inline constexpr std::size_t kProfilesBodyMaxBytes = 4 * kProfileSizeMaxBytes;

/// The content of a CMS-signed file; any other as it is. kInvalid for a message that cannot be
/// read.
Result<std::string> RemoveSignature(std::string bytes);

/// Reads a mobileconfig as an owner hands it over: XML, binary or CMS-signed (the signature is
/// removed, not trusted). kInvalid as `ParseProfile`; kRejected for a profile with a com.apple.mdm
/// payload: the enrollment profile is not Director's to install.
Result<Profile> ParseUploadedProfile(std::string_view bytes);

}  // namespace director
