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

Revision ToRevision(Profile profile, const std::string& source, Timestamp now) {
  Revision revision;
  revision.payload_uuid = profile.payload_uuid;
  revision.payload_identifier = profile.payload_identifier;
  revision.display_name = Truncate(profile.display_name, 255);
  revision.payload_scope = profile.payload_scope;
  for (const ProfilePayload& payload : profile.payloads) {
    revision.payload_types.push_back(payload.payload_type);
  }
  revision.certificate_authority = std::move(profile.certificate_authority);
  revision.original_payload_uuid = Truncate(profile.original_payload_uuid, 255);
  revision.source = source;
  revision.created_at = now;
  revision.size_bytes = static_cast<std::int64_t>(profile.mobileconfig.size());
  revision.content = std::move(profile.mobileconfig);
  return revision;
}

}  // namespace director
