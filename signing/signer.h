#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"

namespace director {

/// Signs profiles. Thread-safe.
class Signer {
 public:
  virtual ~Signer() = default;

  /// Returns `content` wrapped in an attached CMS SignedData (DER, SHA-256) with the whole
  /// certificate chain. kInvalid when `content` is larger than `kCmsSizeMaxBytes`; kUnavailable
  /// when the library fails.
  virtual Result<std::string> Sign(std::string_view content) const = 0;

  /// SHA-256 (hex) of the leaf certificate: names the signature in caches.
  virtual std::string CertificateFingerprint() const = 0;
  virtual Timestamp CertificateNotAfter() const = 0;
  /// Subject of the leaf on one line, for people.
  virtual std::string CertificateSubject() const = 0;
};

/// Where the signing identity is. Either `pkcs12_file`, or `certificate_file` (PEM; leaf first,
/// then intermediates) with `key_file` (PEM: PKCS#1, PKCS#8, SEC1, encrypted or not; may be the
/// same file).
struct SigningFiles {
  std::string pkcs12_file;
  std::string certificate_file;
  std::string key_file;
  Secret password;
};

/// Loads and checks an identity. Every failure is kInvalid with one clear line that names the file:
/// not readable (or over 1 MiB), not parsable, wrong password, key does not fit the (first)
/// certificate, certificate expired or not yet valid at `now`, key neither RSA (2048 bits or more)
/// nor EC; only when nothing at all is set there is no file to name. Intermediates are not checked.
/// PKCS#12 with old ciphers (RC2-40) needs OpenSSL's legacy provider; when it is absent the message
/// says so. PKCS#12 without a MAC is refused.
Result<std::shared_ptr<const Signer>> LoadSigner(const SigningFiles& files, Timestamp now);

}  // namespace director
