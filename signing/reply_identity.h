#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"

namespace director {

/// Largest envelope that `OpenReply` reads.
inline constexpr std::size_t kReplySizeMaxBytes = std::size_t{64} * 1024;

/// Makes a key pair for the answer to one command: PEM of a private RSA key (2048 bits) without a
/// password and of a self-signed certificate for key encipherment, valid from the day before `now`
/// for ten years, so that a late answer still finds it. Takes some tenths of a second.
/// kUnavailable when the library fails, as without random numbers. Thread-safe, as all below.
/// Source: Apple device-management schema, rotate.file.vault.key (ReplyEncryptionCertificate);
/// other MDM servers use RSA keys of 2048 bits for it.
Result<Secret> MakeReplyIdentity(Timestamp now);

/// Returns the certificate (DER) of what `MakeReplyIdentity` made; kInvalid for anything else.
Result<std::string> ReplyCertificate(const Secret& identity);

/// Encrypts `content` for the certificate (DER), as a device does: a CMS EnvelopedData (DER) with
/// AES-256-CBC. kInvalid when it is no certificate with an RSA key; kUnavailable when the library
/// fails.
Result<std::string> EncryptReply(std::string_view certificate, std::string_view content);

/// Opens an envelope (DER or BER) that was encrypted for the certificate of `identity`. kRejected
/// when it is no EnvelopedData, is larger than `kReplySizeMaxBytes`, is for another key, or broken:
/// it will never open. kInvalid when `identity` cannot be read. The messages show nothing of
/// either.
Result<Secret> OpenReply(const Secret& identity, std::string_view envelope);

}  // namespace director
