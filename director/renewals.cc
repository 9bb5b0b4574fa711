#include "director/renewals.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "director/enrollment_profile_file.h"
#include "director/enrollment_profile_pin.h"
#include "mdm/machine_info.h"
#include "signing/certificate.h"
#include "signing/cms.h"

namespace director {
namespace {

constexpr Duration kPause = std::chrono::minutes(1);

tl::unexpected<Error> Refuse(const std::string& why) {
  return Fail(ErrorKind::kRejected, "The enrollment profile for it is refused. " + why);
}

bool IsStillWanted(const Snapshot& snapshot) {
  const Enrollment& enrollment = snapshot.enrollment;
  return enrollment.status == EnrollmentStatus::kEnrolled && !enrollment.awaiting_since &&
         enrollment.renewal && !enrollment.renewal->ended_at && snapshot.profile_list &&
         snapshot.profile_list->epoch == enrollment.epoch;
}

}  // namespace

Result<std::string> Renewals::DescribeMachine(const Enrollment& enrollment) const {
  MachineInfo info;
  info.udid = enrollment.channel.udid;
  info.serial_number = enrollment.serial_number;
  info.product_name = enrollment.product_name;
  info.os_version = enrollment.os_version;
  info.build_version = enrollment.build_version;
  std::string encoded = EncodeMachineInfo(info);
  if (signing_ == nullptr) return encoded;
  return signing_->Current()->Sign(encoded);
}

Result<std::string> Renewals::Fetch(const Enrollment& enrollment) {
  {
    const std::lock_guard lock(mutex_);
    if (paused_until_ && clock_.Now() < *paused_until_) {
      return Fail(ErrorKind::kUnavailable, pause_reason_);
    }
  }
  const Result<std::string> machine = DescribeMachine(enrollment);
  if (!machine) return Fail(machine.error());
  Result<std::string> bytes = source_->FetchEnrollmentProfile(*machine);
  if (bytes) return bytes;
  const std::string why =
      fmt::format("The enrollment profile for it is not to be had: {}.", bytes.error().message);
  if (bytes.error().kind != ErrorKind::kUnavailable) return Fail(ErrorKind::kRejected, why);
  const std::lock_guard lock(mutex_);
  paused_until_ = clock_.Now() + kPause;
  pause_reason_ = why;
  return Fail(ErrorKind::kUnavailable, why);
}

/// As MDMDirector does: who signed is not asked, only whether the certificates are in date.
Status Renewals::CheckSignature(const std::string& bytes) const {
  const auto certificates = ReadSignedDataCertificates(bytes);
  if (!certificates) return Refuse("Its signature cannot be read.");
  const Timestamp now = clock_.Now();
  for (const CertificateFacts& certificate : *certificates) {
    if (certificate.not_before <= now && now < certificate.not_after) continue;
    return Refuse(fmt::format("A certificate of its signature is valid from {} to {} only.",
                              FormatTime(certificate.not_before),
                              FormatTime(certificate.not_after)));
  }
  return {};
}

/// What profiles of this PayloadIdentifier have to keep for this MDM server: of one that a device
/// took, else of this one, which a renewal that began at `began_at` may prove.
Result<EnrollmentProfile> Renewals::PinOf(const UpstreamName& upstream, Timestamp began_at,
                                          const EnrollmentProfile& renewed) {
  std::optional<EnrollmentProfilePin> pin;
  const Status done = store_.Write([&](StoreWriter& writer) -> Status {
    Status saved =
        writer.SavePin({upstream, renewed.payload_identifier, EncodePin(renewed), began_at, false});
    if (!saved) return saved;
    Result<std::optional<EnrollmentProfilePin>> loaded =
        writer.LoadPin(upstream, renewed.payload_identifier);
    if (!loaded) return Fail(loaded.error());
    pin = std::move(*loaded);
    return {};
  });
  if (!done) return Fail(done.error());
  if (!pin) return Fail(ErrorKind::kCorrupt, "a pin that was stored is not there");
  return DecodePin(pin->content);
}

Status Renewals::CheckKept(const Snapshot& snapshot, const EnrollmentProfile& renewed) {
  const Enrollment& enrollment = snapshot.enrollment;
  const ReportedProfile* installed = FindEnrollmentProfile(snapshot);
  if (installed == nullptr) return Refuse("The device has not reported which one it has.");
  EnrollmentProfile evident = renewed;
  evident.payload_identifier = installed->payload_identifier;
  if (!enrollment.topic.empty()) evident.topic = enrollment.topic;
  // What the device itself says comes first, so that no other profile is pinned.
  if (const std::string why = WhyNotRenew(evident, renewed); !why.empty()) return Refuse(why);
  const bool is_for_all = from_ == EnrollmentProfilesFrom::kFile;
  const EnrollmentProfile kept = is_for_all ? renewed : WithoutDevice(renewed);
  Result<EnrollmentProfile> pin = PinOf(enrollment.upstream, enrollment.renewal->began_at, kept);
  if (!pin) return Fail(pin.error());
  if (!is_for_all) *pin = WithoutDevice(std::move(*pin));
  pin->payload_identifier = renewed.payload_identifier;
  if (const std::string why = WhyNotRenew(*pin, kept); !why.empty()) return Refuse(why);
  return {};
}

Result<Snapshot> Renewals::Load(const EnrollmentId& id) {
  Snapshot snapshot;
  const Status read = store_.Read([&](StoreReader& reader) -> Status {
    Result<Snapshot> loaded = reader.LoadSnapshot(id);
    if (!loaded) return Fail(loaded.error());
    snapshot = std::move(*loaded);
    return {};
  });
  if (!read) return Fail(read.error());
  return snapshot;
}

Result<std::string> Renewals::MakePayload(const EnrollmentId& id) {
  const Result<Snapshot> before = Load(id);
  if (!before) return Fail(before.error());
  Result<std::string> bytes = Fetch(before->enrollment);
  if (!bytes) return bytes;
  // A webhook may take its time, and the device may have been wiped meanwhile.
  const Result<Snapshot> loaded = Load(id);
  if (!loaded) return Fail(loaded.error());
  const Snapshot& snapshot = *loaded;
  if (!IsStillWanted(snapshot)) return Refuse("The device has begun a new enrollment meanwhile.");
  const Result<EnrollmentProfile> renewed = ParseEnrollmentProfile(*bytes);
  if (!renewed) return Refuse(fmt::format("It cannot be read: {}.", renewed.error().message));
  const bool is_signed = LooksLikeCms(*bytes);
  if (is_signed) {
    if (Status in_date = CheckSignature(*bytes); !in_date) return Fail(in_date.error());
  }
  if (Status kept = CheckKept(snapshot, *renewed); !kept) return Fail(kept.error());
  if (is_signed || signing_ == nullptr) return bytes;
  return signing_->Current()->Sign(*bytes);
}

Result<std::unique_ptr<Renewals>> MakeRenewals(const Config& config, Store& store,
                                               SigningIdentity* signing, const Clock& clock) {
  if (!config.enrollment_profile_file.empty()) {
    return std::make_unique<Renewals>(store,
                                      MakeEnrollmentProfileFile(config.enrollment_profile_file),
                                      EnrollmentProfilesFrom::kFile, signing, clock);
  }
  if (!config.enrollment_profile_url.is_set()) return std::unique_ptr<Renewals>();
  const Result<Secret> url = config.enrollment_profile_url.Get();
  if (!url) return Fail(url.error());
  const Result<Secret> token = config.enrollment_profile_token.Get();
  if (!token) return Fail(token.error());
  EnrollmentProfileSettings settings;
  settings.url = url->Reveal();
  settings.token = *token;
  settings.ca_file = config.enrollment_profile_ca_file;
  auto source = MakeEnrollmentProfileSource(settings);
  if (!source) return Fail(source.error());
  return std::make_unique<Renewals>(store, std::move(*source), EnrollmentProfilesFrom::kWebhook,
                                    signing, clock);
}

}  // namespace director
