#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace director {

/// What a certificate says about itself. Names have the form of RFC 2253, the most specific part
/// first: `OU=MDM,O=Example,C=US`.
struct CertificateFacts {
  std::string subject;
  std::string issuer;
  Timestamp not_before;
  Timestamp not_after;
};

/// kInvalid when `der` is no X.509 certificate (DER). Nothing is verified. Thread-safe.
Result<CertificateFacts> ReadCertificate(std::string_view der);

/// The certificates that a CMS SignedData (DER or BER) carries, at most
/// `kSignedDataCertificatesMax`; the first ones of more. kInvalid when it is none, or a certificate
/// cannot be read. Nothing is verified. Thread-safe.
Result<std::vector<CertificateFacts>> ReadSignedDataCertificates(std::string_view message);
inline constexpr std::size_t kSignedDataCertificatesMax = 32;

}  // namespace director
