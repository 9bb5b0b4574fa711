#include <fmt/core.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "director/cli_parts.h"
#include "director/files.h"
#include "director/profile_upload.h"
#include "mdm/profile.h"
#include "signing/signer.h"

namespace director {
namespace {

using Json = nlohmann::json;

Json LintOne(const std::string& file, bool& failed) {
  Json report{{"file", file}};
  const Result<std::string> bytes = ReadSmallFile(file, 2 * kProfileSizeMaxBytes);
  const Result<Profile> profile =
      bytes ? ParseUploadedProfile(*bytes) : Result<Profile>(Fail(bytes.error()));
  report["ok"] = profile.has_value();
  if (!profile) {
    failed = true;
    report["error"] = profile.error().field.empty()
                          ? profile.error().message
                          : fmt::format("{}: {}", profile.error().field, profile.error().message);
    return report;
  }
  report["payload_identifier"] = profile->payload_identifier.value();
  report["payload_uuid"] = profile->payload_uuid.value();
  report["display_name"] = profile->display_name;
  report["payloads"] = profile->payloads.size();
  report["warnings"] = Json::array();
  for (const ProfileWarning& warning : LintProfile(*profile)) {
    report["warnings"].push_back(fmt::format("{}: {}", warning.field, warning.message));
  }
  return report;
}

void PrintReport(const Json& report) {
  const std::string file = report["file"].get<std::string>();
  if (!report["ok"].get<bool>()) {
    fmt::print("{}: error: {}\n", file, report["error"].get<std::string>());
    return;
  }
  fmt::print("{}: ok, {} -> PayloadUUID {} ({} payloads)\n", file,
             report["payload_identifier"].get<std::string>(),
             report["payload_uuid"].get<std::string>(), report["payloads"].get<std::size_t>());
  for (const Json& warning : report["warnings"]) {
    fmt::print("{}: warning: {}\n", file, warning.get<std::string>());
  }
}

}  // namespace

Status LintFiles(const std::vector<std::string>& files, OutputFormat format) {
  bool failed = false;
  Json reports = Json::array();
  for (const std::string& file : files) reports.push_back(LintOne(file, failed));
  if (format == OutputFormat::kJson) {
    fmt::print("{}\n", reports.dump(2, ' ', false, Json::error_handler_t::replace));
  } else {
    for (const Json& report : reports) PrintReport(report);
  }
  if (failed) return Fail(ErrorKind::kInvalid, "not every file can be used");
  return {};
}

Status SignFile(const SignOptions& options) {
  SigningFiles files;
  files.pkcs12_file = options.pkcs12_file;
  files.certificate_file = options.certificate_file;
  files.key_file = options.key_file;
  const Result<Secret> password = options.password_file.empty()
                                      ? Result<Secret>(Secret())
                                      : SecretSource::FromFile(options.password_file).Get();
  if (!password) return Fail(password.error());
  files.password = *password;
  if (files.pkcs12_file.empty() && files.certificate_file.empty()) {
    return Fail(ErrorKind::kInvalid, "give --pkcs12-file, or --certificate-file with --key-file");
  }
  const auto signer = LoadSigner(files, SystemClock().Now());
  if (!signer) return Fail(signer.error());
  const Result<std::string> bytes = ReadSmallFile(options.file, 2 * kProfileSizeMaxBytes);
  if (!bytes) return Fail(bytes.error());
  const Result<Profile> profile = ParseUploadedProfile(*bytes);
  if (!profile) return Fail(profile.error());
  const Result<std::string> wrapped = (*signer)->Sign(profile->mobileconfig);
  if (!wrapped) return Fail(wrapped.error());
  if (options.output.empty()) {
    std::fwrite(wrapped->data(), 1, wrapped->size(), stdout);
    return {};
  }
  std::ofstream out(options.output, std::ios::binary | std::ios::trunc);
  out << *wrapped;
  out.close();
  if (!out) return Fail(ErrorKind::kInvalid, "cannot write " + options.output);
  return {};
}

}  // namespace director
