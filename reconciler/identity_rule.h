#pragma once

#include <string_view>

#include "reconciler/rule_context.h"

namespace director {

/// From when on the identity of the device is renewed: within `renew_before` of its end, but not
/// before half of its life is over, so that short-lived ones are not renewed over and over. Each
/// device has a moment of its own in the first third of that time. Requires: it has an identity.
/// Pure.
Timestamp RenewalDueAt(const Enrollment& enrollment, const Settings& settings);

/// The pace of renewals of identities that end soon: they go beside the others, whose pace has the
/// name of their item.
inline constexpr std::string_view kUrgentRenewals = "identity:MDM:urgent";

/// Decides about the certificate with which the device speaks to its MDM server: how it stands, and
/// whether the enrollment profile is sent again for a new one. Never in Setup Assistant, never
/// without a fresh list of certificates that we asked for, never over a profile that the device's
/// report does not show as its enrollment profile. Only such a list proves the new identity.
/// Pure. Sources: Apple device-management schema, certificate.list; MDM Protocol Reference
/// (archived), renewal of the device identity.
void DecideIdentity(const RuleContext& context, ItemWork& work);

}  // namespace director
