#include "director/profile_upload.h"

#include <string>

#include "signing/cms.h"

namespace director {

Result<Profile> ParseUploadedProfile(std::string_view bytes) {
  std::string content;
  if (LooksLikeCms(bytes)) {
    Result<std::string> unwrapped = UnwrapSignedData(bytes);
    if (!unwrapped) return Fail(unwrapped.error());
    content = std::move(*unwrapped);
    bytes = content;
  }
  Result<Profile> profile = ParseProfile(bytes);
  if (!profile) return profile;
  if (profile->has_mdm_payload) {
    Error error = MakeError(
        ErrorKind::kRejected,
        "has a com.apple.mdm payload: enrollment profiles are never installed or replaced "
        "by Director");
    error.field = "PayloadContent";
    return Fail(std::move(error));
  }
  return profile;
}

}  // namespace director
