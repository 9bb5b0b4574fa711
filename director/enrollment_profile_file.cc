#include "director/enrollment_profile_file.h"

#include <string>

#include "director/profile_upload.h"

namespace director {

Result<EnrollmentProfile> ParseEnrollmentProfile(std::string_view bytes) {
  const Result<std::string> content = RemoveSignature(std::string(bytes));
  if (!content) return Fail(content.error());
  return ReadEnrollmentProfile(*content);
}

}  // namespace director
