#include "director/mdmdirector_rows.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "base/digest.h"
#include "base/text.h"
#include "director/mdmdirector_support.h"
#include "director/profile_upload.h"
#include "director/revisions.h"
#include "mdm/mdmdirector_document.h"
#include "mdm/profile.h"
#include "signing/cms.h"

namespace director::mdmdirector {
namespace {

constexpr std::size_t kFactSizeMaxBytes = 255;

bool IsUuid(std::string_view text) {
  constexpr std::string_view kForm = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
  constexpr std::string_view kHexadecimal = "0123456789abcdefABCDEF";
  return text.size() == kForm.size() &&
         std::equal(text.begin(), text.end(), kForm.begin(), [&](char c, char form) {
           return form == '-' ? c == '-' : kHexadecimal.find(c) != std::string_view::npos;
         });
}

/// The hash of a shared row is that of the document before it was rewritten for all.
bool IsDigestOf(const MdmDirectorProfile& row, const std::string& document) {
  if (row.stated_digest.empty() || row.stated_digest == Sha256Hex(document)) return true;
  if (row.row_id.empty()) return false;
  const Result<std::string> first = WithPayloadUuid(document, row.payload_uuid);
  return first && row.stated_digest == Sha256Hex(*first);
}

Status CheckAgainstRow(const MdmDirectorProfile& row, const Profile& profile,
                       const std::string& document) {
  if (profile.payload_identifier.value() != row.payload_identifier) {
    return Fail(ErrorKind::kInvalid,
                fmt::format("its document has the PayloadIdentifier {}",
                            Printable(profile.payload_identifier.value(), kFactSizeMaxBytes)));
  }
  if (!IsUuid(row.hashed_payload_uuid)) {
    return Fail(ErrorKind::kInvalid, "its hashed_payload_uuid is no UUID");
  }
  if (!EqualsIgnoreCaseAscii(profile.original_payload_uuid, row.hashed_payload_uuid)) {
    return Fail(ErrorKind::kInvalid,
                "the PayloadUUID of its document is not its hashed_payload_uuid");
  }
  if (!IsDigestOf(row, document)) {
    return Fail(ErrorKind::kInvalid, "its mobileconfig_hash is that of other bytes");
  }
  return {};
}

std::string Fact(const std::string& text) { return Printable(text, kFactSizeMaxBytes); }

/// A serial number that two devices claim is nobody's until one of them says it.
std::string SerialNumberOf(const MdmDirectorDevice& device) {
  const bool is_plain = Fact(device.serial_number) == device.serial_number;
  return is_plain && !device.shares_serial_number ? device.serial_number : std::string();
}

}  // namespace

Result<Revision> TranslateDocument(const MdmDirectorProfile& row, const std::string& document,
                                   Timestamp now) {
  if (LooksLikeCms(document)) return Fail(ErrorKind::kInvalid, "its document is signed");
  Result<Profile> profile = ParseUploadedProfile(document);
  if (!profile) {
    const Error& error = profile.error();
    return Fail(error.kind, fmt::format("its document cannot be used: {}{}{}", error.field,
                                        error.field.empty() ? "" : ": ", error.message));
  }
  if (Status held = CheckAgainstRow(row, *profile, document); !held) return Fail(held.error());
  profile->payload_uuid = PayloadUuid(ToUpperAscii(row.hashed_payload_uuid));
  profile->original_payload_uuid = Fact(row.payload_uuid);
  profile->mobileconfig = document;
  return ToRevision(std::move(*profile), kSource, now);
}

Result<Assignment> TranslateProfile(const MdmDirectorProfile& row, Timestamp now) {
  if (Status usable = CheckPayloadIdentifier(row.payload_identifier); !usable) {
    return Fail(ErrorKind::kInvalid, "its " + usable.error().message);
  }
  if (!row.installed) {
    return Fail(ErrorKind::kInvalid, "its column installed is NULL");
  }
  Assignment assignment;
  assignment.payload_identifier = PayloadIdentifier(row.payload_identifier);
  assignment.presence = *row.installed ? Presence::kPresent : Presence::kAbsent;
  assignment.adopt = !*row.installed;  // MDMDirector removes whatever has the identifier
  assignment.target_kind = row.row_id.empty() ? TargetKind::kDevice : TargetKind::kAll;
  assignment.target = row.udid;
  assignment.source = kSource;
  assignment.assigned_at = now;
  return assignment;
}

Result<Enrollment> TranslateDevice(const MdmDirectorDevice& device, const UpstreamName& upstream,
                                   Duration awake_window, Timestamp now) {
  PlistDict identity;
  identity.Set("UDID", device.udid);
  Result<Channel> channel = DecodeChannel(identity);
  if (!channel) return Fail(channel.error());
  Enrollment enrollment;
  enrollment.channel = std::move(*channel);
  enrollment.upstream = upstream;
  enrollment.status = EnrollmentStatus::kEnrolled;
  enrollment.missing_step = EnrollmentStep::kFirstAnswer;
  enrollment.missing_since = now;
  enrollment.ask_first = true;
  enrollment.serial_number = SerialNumberOf(device);
  enrollment.os_version = Fact(device.os_version);
  enrollment.build_version = Fact(device.build_version);
  enrollment.product_name = Fact(device.product_name);
  enrollment.model_name = Fact(device.model_name);
  enrollment.device_name = Fact(device.device_name);
  enrollment.first_seen_at = now;
  // It was MDMDirector that heard it: nothing goes out on the strength of that.
  enrollment.last_seen_at =
      std::min(device.last_checked_in.value_or(Timestamp()), now - awake_window);
  return enrollment;
}

Documents::Key Documents::KeyOf(const MdmDirectorProfile& row) {
  return {!row.row_id.empty(), row.payload_identifier, row.hashed_payload_uuid,
          row.payload_uuid,    row.document_digest,    row.stated_digest};
}

Result<const Documents::Verdict*> Documents::Judge(const MdmDirectorProfile& row) {
  const Key key = KeyOf(row);
  const auto found = verdicts_.find(key);
  if (found != verdicts_.end()) return &found->second;
  Result<Verdict> verdict = JudgeAnew(row);
  if (!verdict) return Fail(verdict.error());
  return &verdicts_.emplace(key, std::move(*verdict)).first->second;
}

Result<Documents::Verdict> Documents::JudgeAnew(const MdmDirectorProfile& row) {
  Verdict verdict;
  if (row.document_digest.empty()) {
    verdict.problem = "it has no document";
  } else if (row.size_bytes > static_cast<std::int64_t>(kProfileSizeMaxBytes)) {
    verdict.problem = "its document is larger than 8 MiB";
  }
  if (!verdict.problem.empty()) return verdict;
  const Result<std::string> document = source_.LoadDocument(row);
  if (!document) return Fail(document.error());
  const Result<Revision> revision = TranslateDocument(row, *document, clock_.Now());
  if (!revision) {
    verdict.problem = revision.error().message;
    return verdict;
  }
  verdict.payload_uuid = revision->payload_uuid;
  const auto [digest, is_first] = digests_.emplace(revision->payload_uuid, row.document_digest);
  if (!is_first && digest->second != row.document_digest) {
    verdict.problem = "another row has other bytes under its PayloadUUID";
    return verdict;
  }
  if (Status done = CompareWithStored(*revision, verdict); !done) return Fail(done.error());
  return verdict;
}

Status Documents::CompareWithStored(const Revision& revision, Verdict& verdict) {
  return store_.Read([&](StoreReader& reader) -> Status {
    const Result<Revision> stored = reader.LoadRevision(revision.payload_uuid);
    verdict.is_stored = stored.has_value();
    if (!stored && stored.error().kind == ErrorKind::kNotFound) return {};
    if (!stored) return Fail(stored.error());
    if (stored->content != revision.content) {
      verdict.problem = "Director has other bytes under its PayloadUUID";
    }
    return {};
  });
}

Result<Revision> Documents::Load(const MdmDirectorProfile& row) {
  const Result<std::string> document = source_.LoadDocument(row);
  if (!document) return Fail(document.error());
  return TranslateDocument(row, *document, clock_.Now());
}

}  // namespace director::mdmdirector
