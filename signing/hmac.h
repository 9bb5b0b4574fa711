#pragma once

#include <string>
#include <string_view>

#include "base/secret.h"

namespace director {

/// Returns the raw 32 bytes of HMAC-SHA-256 over `message`; the key's bytes are used as they are.
std::string HmacSha256(const Secret& key, std::string_view message);

/// Checks NanoMDM's `X-Hmac-Signature`: standard base64 of HMAC-SHA-256 over the exact body.
/// Constant time. False for anything malformed, and for an empty key: with that, anybody could
/// sign. Source: NanoMDM webhook, flag -webhook-hmac-key.
bool VerifyHmacHeader(const Secret& key, std::string_view body, std::string_view header);

}  // namespace director
