#pragma once

#include <string_view>

#include "base/result.h"
#include "mdm/enrollment_profile.h"

namespace director {

/// Reads an enrollment profile as it comes from a file or from a webhook: plain, or CMS-signed (the
/// signature is removed, not trusted). kInvalid as `ReadEnrollmentProfile`, and for a message that
/// cannot be read.
Result<EnrollmentProfile> ParseEnrollmentProfile(std::string_view bytes);

}  // namespace director
