#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "upstream/http_client.h"

namespace director {

/// What a secret opens; escrow servers keep them apart.
enum class SecretType {
  kUnlockPin,    ///< PIN of a Mac that was locked or erased
  kPassword,     ///< recovery lock password
  kRecoveryKey,  ///< personal recovery key of FileVault
};

/// Where the secrets of Macs are kept besides us. Implementations are thread-safe.
class Escrow {
 public:
  virtual ~Escrow() = default;

  /// Deposits a secret; OK only when the server has surely taken it. kUnavailable otherwise, even
  /// when the server may have taken it (time-out, lost answer): deposit the same again later, which
  /// does no harm. The message tells what the server said, printable and bounded, and never holds
  /// the secret. kInvalid, with nothing sent, when serial number or secret are empty. No retry
  /// inside.
  virtual Status Deposit(const std::string& serial_number, SecretType type,
                         const Secret& secret) = 0;
};

struct EscrowSettings {
  /// `https://[user:password@]host[:port][/path]`, or `http://`; user and password are
  /// percent-encoded and sent as HTTP Basic. No query, no fragment.
  std::string url;
  std::string ca_file;  ///< PEM; empty: the system's
  /// For connecting, and then for each wait to send or to read, and for receiving the whole body.
  Duration timeout = std::chrono::seconds(10);
};

/// Makes the client of a server that takes Crypt's form, as MDMDirector fills it in: POST of
/// `recovery_password` (the secret), `secret_type` (`unlock_pin`, `password` or `recovery_key`),
/// `serial` and `username=mdmdirector`, percent-encoded in this order, to the URL with exactly one
/// slash at each end of its path.
///
/// The secret counts as taken when the status is exactly 200 and the body is empty or a JSON object
/// that names the same `serial` and has no `error`. It does not when the body is anything else: a
/// text, HTML (a login page), more than 64 KiB. Redirects are not followed.
///
/// kInvalid when the URL is not usable or the CA file cannot be read; the message never shows the
/// URL. Contacts nobody. Precondition for `https`: the process ignores SIGPIPE.
///
/// Source: MDMDirector, director/erase_lock.go (escrowPin); Crypt-Server, server/views.py
/// (checkin): it answers `{"serial": ..., "username": ..., "rotation_required": ...}` and passes
/// over a secret that it already has for this serial number; server/models.py (SECRET_TYPES).
Result<std::unique_ptr<Escrow>> MakeCryptEscrow(const EscrowSettings& settings);

/// The same over a given connection.
std::unique_ptr<Escrow> MakeCryptEscrow(std::unique_ptr<HttpClient> http, Duration timeout);

}  // namespace director
