#include "director/profile_upload.h"

#include <string>
#include <utility>

#include "base/text.h"
#include "signing/cms.h"

namespace director {

Result<std::string> RemoveSignature(std::string bytes) {
  if (!LooksLikeCms(bytes)) return bytes;
  return UnwrapSignedData(bytes);
}

Result<Profile> ParseUploadedProfile(std::string_view bytes) {
  const Result<std::string> content = RemoveSignature(std::string(bytes));
  if (!content) return Fail(content.error());
  Result<Profile> profile = ParseProfile(*content);
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
