#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "mdm/enrollment_profile.h"

namespace director {

/// Encodes what an enrollment profile must keep when it is sent again: the keys of its
/// com.apple.mdm payload, as JSON.
std::string EncodePin(const EnrollmentProfile& profile);
/// Reads what `EncodePin` wrote; the rest of the profile is empty. kCorrupt for anything else.
Result<EnrollmentProfile> DecodePin(std::string_view json);

/// The profile without what a webhook makes for each device: the queries of its URLs, which may
/// hold a token, and the Managed Apple Account.
EnrollmentProfile WithoutDevice(EnrollmentProfile profile);

}  // namespace director
