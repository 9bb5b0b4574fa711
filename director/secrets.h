#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/ids.h"
#include "base/result.h"
#include "base/secret.h"
#include "director/config.h"
#include "director/secret_source.h"
#include "signing/reply_identity.h"
#include "upstream/escrow.h"

namespace director {

/// The secrets of proposals, such as the PIN of a locked Mac: sealed for the database, taken to the
/// escrow server, opened for the one command that carries them. Thread-safe.
class Secrets {
 public:
  /// Makes what the function of this name does. Thread-safe.
  using ReplyIdentityMaker = std::function<Result<Secret>(Timestamp now)>;

  /// No keys: nothing can be sealed or opened.
  Secrets() = default;
  /// `keys` as `SealingKeys::Parse` reads them; without `escrow` the sealed secret is the only
  /// copy.
  Secrets(SecretSource keys, std::unique_ptr<Escrow> escrow,
          ReplyIdentityMaker reply_identities = director::MakeReplyIdentity)
      : keys_(std::move(keys)),
        escrow_(std::move(escrow)),
        reply_identities_(std::move(reply_identities)) {}

  bool can_seal() const { return keys_.is_set(); }
  bool has_escrow() const { return escrow_ != nullptr; }

  /// Bound to the enrollment: with another one it does not open. kInvalid without a key.
  Result<std::string> Seal(const Secret& secret, const EnrollmentId& id) const;
  /// kCorrupt when no key opens it; kInvalid without a key.
  Result<Secret> Open(const std::string& sealed, const EnrollmentId& id) const;
  /// OK when the escrow server has surely taken it, kUnavailable when not. kRejected, without
  /// asking it, while the serial number is not known, and when no escrow server is set.
  Status Deposit(const std::string& serial_number, SecretType type, const Secret& secret) const;
  /// See `director::MakeReplyIdentity`.
  Result<Secret> MakeReplyIdentity(Timestamp now) const { return reply_identities_(now); }

 private:
  SecretSource keys_;
  std::unique_ptr<Escrow> escrow_;
  ReplyIdentityMaker reply_identities_ = director::MakeReplyIdentity;
};

/// As the configuration says. kInvalid when the escrow server's address is none.
Result<Secrets> MakeSecrets(const Config& config);

}  // namespace director
