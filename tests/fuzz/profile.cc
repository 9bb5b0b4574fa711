#include <string>

#include "director/enrollment_profile_file.h"
#include "director/profile_upload.h"
#include "mdm/mdmdirector_document.h"
#include "tests/fuzz/properties.h"
#include "tests/fuzz/target.h"

// Configuration profiles as owners upload them: XML, binary or signed; enrollment
// profiles as a webhook hands them out.
namespace director::fuzz_profile {
namespace {

bool IsUuid(const std::string& text) {
  return text.size() == 36 && text.find_first_not_of("0123456789ABCDEF-") == std::string::npos &&
         text[14] == '8' && std::string_view("89AB").find(text[19]) != std::string_view::npos;
}

/// What we send to devices parses again, has the same name, and does not change any more.
void CheckStable(const Profile& profile) {
  const Result<Profile> again = ParseProfile(profile.mobileconfig);
  INVARIANT(again.has_value());
  INVARIANT(again->payload_uuid == profile.payload_uuid);
  INVARIANT(again->original_payload_uuid == profile.payload_uuid.value());
  INVARIANT(again->payload_identifier == profile.payload_identifier);
  INVARIANT(again->display_name == profile.display_name);
  INVARIANT(again->payload_scope == profile.payload_scope);
  INVARIANT(again->payloads.size() == profile.payloads.size());
  INVARIANT(again->is_encrypted == profile.is_encrypted);
  INVARIANT(again->has_mdm_payload == profile.has_mdm_payload);
  INVARIANT(again->mobileconfig == profile.mobileconfig);
}

/// MDMDirector's form of it can be read as well, has its UUID, and does not change any more.
void CheckMdmDirectorForm(std::string_view input, const Profile& profile) {
  const Result<MdmDirectorDocument> document = ForOneDevice(input);
  if (!document) return fuzz::CheckRefusal(document.error());
  const Result<Profile> again = ParseProfile(document->mobileconfig);
  INVARIANT(again.has_value());
  INVARIANT(again->payload_identifier == profile.payload_identifier);
  INVARIANT(again->original_payload_uuid == document->payload_uuid);
  const auto same = WithPayloadUuid(document->mobileconfig, document->payload_uuid);
  INVARIANT(same.has_value() && *same == document->mobileconfig);
}

/// One that can be read has an MDM payload, and may take its own place.
void CheckEnrollmentProfile(std::string_view input, const Result<Profile>& plain) {
  const Result<EnrollmentProfile> enrollment = ParseEnrollmentProfile(input);
  if (!enrollment) return fuzz::CheckRefusal(enrollment.error());
  if (plain) INVARIANT(plain->has_mdm_payload);
  INVARIANT(!enrollment->topic.empty() && !enrollment->server_url.empty());
  INVARIANT(WhyNotRenew(*enrollment, *enrollment).empty());
}

}  // namespace

FUZZ_TARGET(profile) {
  const Result<Profile> uploaded = ParseUploadedProfile(input);
  const Result<Profile> plain = ParseProfile(input);
  if (!uploaded) fuzz::CheckRefusal(uploaded.error());
  if (!plain) fuzz::CheckRefusal(plain.error());
  CheckEnrollmentProfile(input, plain);
  const Result<Profile>& profile = uploaded ? uploaded : plain;
  if (!profile) return;
  if (uploaded) INVARIANT(!uploaded->has_mdm_payload);
  if (plain && !uploaded) INVARIANT(plain->has_mdm_payload);
  INVARIANT(IsUuid(profile->payload_uuid.value()));
  const std::string& identifier = profile->payload_identifier.value();
  INVARIANT(!identifier.empty() && identifier.size() <= 255);
  // An assignment must be able to name it.
  INVARIANT(fuzz::IsPrintable(identifier));
  CheckStable(*profile);
  if (plain) CheckMdmDirectorForm(input, *plain);
  for (const ProfileWarning& warning : LintProfile(*profile)) {
    INVARIANT(!warning.message.empty() && fuzz::IsPrintable(warning.message));
  }
}

}  // namespace director::fuzz_profile
