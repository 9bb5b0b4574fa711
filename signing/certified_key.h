#pragma once

#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "signing/openssl_ptr.h"

/// Internal to `signing`: how its .cc files make certificates. No other module includes this.
namespace director {

struct CertifiedKey {
  CertificatePtr certificate;
  KeyPtr key;
};

/// One extension in the notation of OpenSSL's configuration files.
struct ExtensionSpec {
  int nid;
  const char* value;
};

/// Makes a certificate for `key`, valid for `days` from `now`: everything but issuer, extensions
/// and signature. kInvalid unless `common_name` is 1 to 64 characters of UTF-8; kUnavailable when
/// the library fails, and for a null key. Call it within an `OpensslErrorScope`.
Result<CertifiedKey> MakeUnsignedCertificate(KeyPtr key, std::string_view common_name,
                                             Timestamp now, int days);

/// False when the library fails, here and below.
bool AddExtension(X509* certificate, X509* issuer, const ExtensionSpec& spec);

bool SignCertificate(X509* certificate, X509* issuer, EVP_PKEY* issuer_key);

}  // namespace director
