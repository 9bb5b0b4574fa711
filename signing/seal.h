#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/secret.h"

namespace director {

/// Keys that seal secrets before they are stored: whoever has the database without the keys has no
/// secrets. AES-256-GCM with a random nonce of 96 bits, so one key is good for 2^32 secrets (NIST
/// SP 800-38D, 8.3). Immutable, hence thread-safe. Never blocks.
class SealingKeys {
 public:
  /// Reads one key a line, each the base64 of 32 bytes (`openssl rand -base64 32`). The first key
  /// seals, all of them open: to rotate, put a new key on top. Blank lines and lines that begin
  /// with `#` are skipped. kInvalid, with the number of the line, when a line is no key, and when
  /// there is no key at all; the message never shows what the line says.
  static Result<SealingKeys> Parse(const Secret& text);

  /// Returns printable text: `v1:` and the base64 of nonce (12 bytes), ciphertext (as long as the
  /// secret) and tag (16 bytes). It shows the length of the secret. The same secret gives another
  /// text each time. `context` says what the secret belongs to, such as a row's key: it is not
  /// stored, but `Open` wants the same. kUnavailable when the library or its random numbers fail.
  /// Requires: secret and context of at most 1 MiB.
  Result<std::string> Seal(const Secret& plain, std::string_view context) const;

  /// The reverse of `Seal`. kInvalid when `sealed` has not the form that `Seal` makes. kCorrupt
  /// when it has, but no key opens it for this `context`: the key is missing, or text or context
  /// were changed, and nothing can tell which. kUnavailable when the library fails. The messages
  /// are for an administrator and show nothing of `sealed`.
  Result<Secret> Open(std::string_view sealed, std::string_view context) const;

 private:
  explicit SealingKeys(std::vector<Secret> keys) : keys_(std::move(keys)) {}

  std::vector<Secret> keys_;  ///< Raw bytes, 32 each; never empty.
};

inline constexpr std::size_t kPinDigits = 6;

/// Makes a PIN of `kPinDigits` decimal digits, all PINs equally likely, from OpenSSL's random
/// numbers. kUnavailable when there are none. Source: Apple device management, DeviceLock and
/// EraseDevice: the PIN of a Mac has exactly six characters.
Result<Secret> MakePin();

inline constexpr std::size_t kRecoveryPasswordCharacters = 16;

/// Makes a password of `kRecoveryPasswordCharacters` capital letters and digits without I, O, 0 and
/// 1 (80 bits), all equally likely, for a person to type before any system runs. kUnavailable when
/// there are no random numbers.
Result<Secret> MakeRecoveryPassword();

}  // namespace director
