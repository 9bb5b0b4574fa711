#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "mdm/plist.h"

namespace director {

/// Issuer of the identities that virtual devices get, as certificates name it.
inline constexpr std::string_view kSimulatorIssuer = "CN=Simulator CA";

/// The certificate with which a virtual device speaks to its MDM server. It ends; a device whose
/// identity has ended speaks no more.
class DeviceIdentity {
 public:
  /// Certificates live for `lifetime`, in whole days; less than a day: they never end, and none is
  /// shown.
  DeviceIdentity(std::string common_name, Duration lifetime)
      : common_name_(std::move(common_name)), lifetime_(lifetime) {}

  /// True when it has ends at all.
  bool ends() const { return ends_at_.has_value(); }
  bool HasEnded(Timestamp now) const { return ends_at_ && *ends_at_ <= now; }
  const std::optional<Timestamp>& ends_at() const { return ends_at_; }
  /// How many it has had before this one; grows only while they end.
  int number() const { return number_; }

  /// Gets a new certificate. The one before stays listed, as devices keep it for a while.
  void Renew(Timestamp now);
  /// The same for one that ends at this time; nothing is listed beside it.
  void Replace(Timestamp ends_at);

  /// Its elements of the answer to CertificateList. Source: Apple device-management schema,
  /// certificate.list.
  void List(PlistArray& list) const;

 private:
  void Issue(Timestamp ends_at);

  std::string common_name_;
  Duration lifetime_;
  int number_ = 0;
  std::optional<Timestamp> ends_at_;
  std::string certificate_;  ///< DER
  std::string earlier_certificate_;
};

}  // namespace director
