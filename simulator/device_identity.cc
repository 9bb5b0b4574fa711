#include "simulator/device_identity.h"

#include <utility>

#include "base/invariant.h"
#include "base/text.h"
#include "signing/device_identity.h"

namespace director {
namespace {

/// One for all simulated devices of the process: nobody verifies what it signs.
const PemIdentity& Authority() {
  static const PemIdentity authority = [] {
    Result<PemIdentity> made = MakeAuthority("Simulator CA", Timestamp(), 36500);
    INVARIANT(made.has_value());
    return std::move(*made);
  }();
  return authority;
}

/// The bytes of a PEM text with one block.
std::string DerOf(const std::string& pem) {
  const std::size_t begin = pem.find('\n');
  std::string base64 = pem.substr(begin, pem.find("-----END") - begin);
  std::erase(base64, '\n');
  const Result<std::string> der = DecodeBase64(base64);
  INVARIANT(der.has_value());
  return *der;
}

PlistDict Listed(const std::string& common_name, const std::string& certificate) {
  PlistDict identity;
  identity.Set("CommonName", common_name);
  identity.Set("IsIdentity", true);
  identity.Set("Data", PlistData{certificate});
  return identity;
}

}  // namespace

void DeviceIdentity::Renew(Timestamp now) {
  if (lifetime_ < kDay) return;
  earlier_certificate_ = certificate_;
  Issue(now + lifetime_);
}

void DeviceIdentity::Replace(Timestamp ends_at) {
  if (lifetime_ < kDay) return;
  earlier_certificate_.clear();
  Issue(ends_at);
}

void DeviceIdentity::Issue(Timestamp ends_at) {
  const auto days = static_cast<int>(lifetime_ / kDay);
  const auto issued = IssueIdentity(Authority(), common_name_, ends_at - days * kDay, days);
  INVARIANT(issued.has_value());
  if (ends_at_) ++number_;
  certificate_ = DerOf(issued->certificate_pem);
  ends_at_ = ends_at;
}

void DeviceIdentity::List(PlistArray& list) const {
  for (const std::string& certificate : {earlier_certificate_, certificate_}) {
    if (!certificate.empty()) list.emplace_back(Listed(common_name_, certificate));
  }
}

}  // namespace director
