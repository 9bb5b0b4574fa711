#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"
#include "director/config.h"
#include "director/payloads.h"
#include "mdm/enrollment_profile.h"
#include "store/store.h"
#include "upstream/enrollment_profile.h"

namespace director {

/// Where enrollment profiles come from.
enum class EnrollmentProfilesFrom {
  kFile,     ///< one for all
  kWebhook,  ///< one for each device
};

/// Gets the enrollment profiles with which identities are renewed, and lets none through that would
/// change more than the identity. Thread-safe.
class Renewals {
 public:
  /// Without `signing` profiles that come unsigned stay so.
  Renewals(Store& store, std::unique_ptr<EnrollmentProfileSource> source,
           EnrollmentProfilesFrom from, SigningIdentity* signing, const Clock& clock)
      : store_(store), source_(std::move(source)), from_(from), signing_(signing), clock_(clock) {}

  /// Returns the bytes for the InstallProfile of this enrollment's renewal: a CMS-signed profile as
  /// it came, a plain one signed by us.
  ///
  /// kRejected when it is refused, with a sentence that names the key and never its value: it
  /// cannot be read; a certificate of its signature is out of date; it has another top-level
  /// PayloadIdentifier than the enrollment profile that the device reported, or another Topic than
  /// the device's own check-ins; its Topic, ServerURL, CheckInURL, AccessRights or another key that
  /// must stay differs from the profile of this identifier that devices of this MDM server took
  /// first (`EnrollmentProfilePin`; of a webhook's profiles without what is made for each device).
  /// kUnavailable: it is not to be had now; whoever asks within a minute gets the same answer.
  /// Others are those of the store.
  Result<std::string> MakePayload(const EnrollmentId& id);

 private:
  Result<std::string> Fetch(const Enrollment& enrollment);
  Result<std::string> DescribeMachine(const Enrollment& enrollment) const;
  Status CheckSignature(const std::string& bytes) const;
  Status CheckKept(const Snapshot& snapshot, const EnrollmentProfile& renewed);
  Result<Snapshot> Load(const EnrollmentId& id);
  Result<EnrollmentProfile> PinOf(const UpstreamName& upstream, Timestamp began_at,
                                  const EnrollmentProfile& renewed);

  Store& store_;
  const std::unique_ptr<EnrollmentProfileSource> source_;
  const EnrollmentProfilesFrom from_;
  SigningIdentity* const signing_;
  const Clock& clock_;
  std::mutex mutex_;
  std::optional<Timestamp> paused_until_;
  std::string pause_reason_;
};

/// Null when no source of enrollment profiles is configured. kInvalid with one line when it cannot
/// be used; a file need not be there yet.
Result<std::unique_ptr<Renewals>> MakeRenewals(const Config& config, Store& store,
                                               SigningIdentity* signing, const Clock& clock);

}  // namespace director
