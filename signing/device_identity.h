#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"

namespace director {

/// A certificate with its private key, both PEM. For throw-away use: simulated devices and demos.
struct PemIdentity {
  std::string certificate_pem;
  std::string key_pem;
};

/// Makes a self-signed EC P-256 certificate authority, valid for `days` from `now`.
/// kInvalid unless `common_name` is 1 to 64 characters of UTF-8 and `days` is 1 to 36500;
/// kUnavailable when the library fails, as without random numbers. Thread-safe.
Result<PemIdentity> MakeAuthority(std::string_view common_name, Timestamp now, int days);

/// Issues an EC P-256 certificate with extended key usage clientAuth, signed by `authority` (EC or
/// RSA key). Fails like `MakeAuthority`; kInvalid also when `authority` cannot be parsed, its key
/// does not fit, or its certificate may not issue others. Thread-safe.
Result<PemIdentity> IssueIdentity(const PemIdentity& authority, std::string_view common_name,
                                  Timestamp now, int days);

/// Makes the value of a device's `Mdm-Signature` header: base64 (one line) of a detached CMS
/// SignedData over `body`. Source: Apple MDM, SignMessage; accepted by NanoMDM and MicroMDM.
class MessageSigner {
 public:
  virtual ~MessageSigner() = default;
  /// kInvalid when `body` is larger than `kCmsSizeMaxBytes`; kUnavailable when the library fails.
  virtual Result<std::string> SignDetached(std::string_view body) const = 0;
};

/// kInvalid when the identity cannot be parsed. The signer is thread-safe.
Result<std::unique_ptr<MessageSigner>> MakeMessageSigner(const PemIdentity& identity);

}  // namespace director
