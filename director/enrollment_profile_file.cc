#include "director/enrollment_profile_file.h"

#include <utility>

#include "director/files.h"
#include "director/profile_upload.h"

namespace director {
namespace {

class EnrollmentProfileFile final : public EnrollmentProfileSource {
 public:
  explicit EnrollmentProfileFile(std::string path) : path_(std::move(path)) {}

  Result<std::string> FetchEnrollmentProfile(std::string_view) override {
    Result<std::string> bytes = ReadSmallFile(path_, kEnrollmentProfileMaxBytes);
    if (!bytes) return Fail(ErrorKind::kUnavailable, bytes.error().message);
    if (bytes->empty()) return Fail(ErrorKind::kUnavailable, path_ + ": is empty");
    return bytes;
  }

 private:
  const std::string path_;
};

}  // namespace

Result<EnrollmentProfile> ParseEnrollmentProfile(std::string_view bytes) {
  const Result<std::string> content = RemoveSignature(std::string(bytes));
  if (!content) return Fail(content.error());
  return ReadEnrollmentProfile(*content);
}

std::unique_ptr<EnrollmentProfileSource> MakeEnrollmentProfileFile(std::string path) {
  return std::make_unique<EnrollmentProfileFile>(std::move(path));
}

}  // namespace director
