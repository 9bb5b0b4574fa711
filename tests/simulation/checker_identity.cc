// Identities of devices, and their renewal.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>

#include "mdm/enrollment_profile.h"
#include "mdm/item_definition.h"
#include "simulator/device_profile.h"
#include "tests/simulation/checker.h"

namespace director::simulation {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

/// How far Director's clock may be from everybody else's.
constexpr Duration kSkewMax = hours(24);
/// From the device to the server.
constexpr Duration kMessageTimeMax = seconds(10);

}  // namespace

/// True for an Authenticate that the device sent because its identity was renewed.
bool Checker::IsOfRenewal(const MdmEvent& event, Timestamp said_at, const Known& known) const {
  if (!std::holds_alternative<AuthenticateEvent>(event.body) || known.device == nullptr) {
    return false;
  }
  const auto& moments = known.device->renewal_authenticates();
  return std::any_of(moments.begin(), moments.end(), [&](Timestamp at) {
    return said_at >= at && said_at <= at + kMessageTimeMax;
  });
}

/// A renewal is no new enrollment.
void Checker::WatchIdentity(const MdmEvent& event, Timestamp said_at, Known& known) {
  if (scenario_.identity_lifetime == Duration::zero()) return;
  const auto* result = std::get_if<ResultEvent>(&event.body);
  const bool lists = result != nullptr && result->inventory &&
                     result->inventory->kind == InventoryKind::kCertificateList;
  if (lists) {
    known.identity_until.reset();
    if (result->identity) known.identity_until = result->identity->not_after;
    known.certificates_recorded_at = kernel_.Now();
  }
  const EnrollmentId& id = event.channel.enrollment_id;
  const std::optional<Enrollment> enrollment = LoadEnrollment(id);
  if (!enrollment) return;
  const bool keeps_time =
      scenario_.clock_ahead == Duration::zero() && scenario_.faults.clock_jump == 0;
  const bool grew = known.epoch && enrollment->epoch > *known.epoch;
  if (grew && keeps_time && !twins_.contains(id) && IsOfRenewal(event, said_at, known)) {
    Report("identity", "a renewal is taken for a new enrollment", id);
  }
  known.epoch = enrollment->epoch;
}

/// I3: an enrollment profile goes only to renew an identity that ends soon, on the word of a fresh
/// list, outside of Setup Assistant, and changes nothing else.
void Checker::CheckRenewal(const Profile& profile, const EnrollmentId& id,
                           Timestamp step_began_at) {
  const Known& known = At(id);
  if (scenario_.identity_lifetime == Duration::zero()) {
    return Report("I3", "an enrollment profile is installed", id);
  }
  if (twins_.contains(id)) return;
  const auto renewed = ReadEnrollmentProfile(profile.mobileconfig);
  if (!renewed) return Report("identity", "an enrollment profile that cannot be read", id);
  const ManagementKeys management = SimulatorManagement();
  const bool keeps = renewed->topic == management.topic &&
                     renewed->server_url == management.server_url &&
                     renewed->access_rights == management.access_rights;
  const std::optional<Snapshot> snapshot = Load(id);
  const bool can_tell = snapshot && !snapshot->enrollment.topic.empty();
  if (!keeps && can_tell) Report("identity", "an enrollment profile of another MDM server", id);
  if (known.held_since && *known.held_since <= step_began_at) {
    Report("identity", "a renewal in Setup Assistant", id);
  }
  if (known.certificates_recorded_at + kSkewMax < step_began_at) {
    Report("identity", "a renewal without a fresh list of certificates", id);
  }
  const bool is_due =
      known.identity_until &&
      *known.identity_until <= kernel_.Now() + kSkewMax + scenario_.settings.renewal.renew_before;
  if (!is_due) Report("identity", "a renewal of an identity that does not end soon", id);
}

/// No device that was there to be renewed loses its identity.
std::string Checker::WhyIdentityLost(const EnrollmentId&, const VirtualDevice& device) const {
  if (!device.identity().HasEnded(kernel_.Now())) return {};
  return fmt::format("its identity ended at {}", FormatTime(*device.identity().ends_at()));
}

}  // namespace director::simulation
