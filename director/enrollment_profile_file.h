#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "mdm/enrollment_profile.h"
#include "upstream/enrollment_profile.h"

namespace director {

/// Reads an enrollment profile as it comes from a file or from a webhook: plain, or CMS-signed (the
/// signature is removed, not trusted). kInvalid as `ReadEnrollmentProfile`, and for a message that
/// cannot be read.
Result<EnrollmentProfile> ParseEnrollmentProfile(std::string_view bytes);

/// One enrollment profile for all devices, read at each use, so that a change needs no restart.
/// `FetchEnrollmentProfile`: kUnavailable when the file cannot be read or is empty or larger than
/// `kEnrollmentProfileMaxBytes`.
std::unique_ptr<EnrollmentProfileSource> MakeEnrollmentProfileFile(std::string path);

}  // namespace director
