#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "mdm/event.h"

namespace director {

/// Webhook bodies above this size are refused before they are read.
inline constexpr std::size_t kWebhookSizeMaxBytes = 32 * 1024 * 1024;

/// Decodes a webhook body of NanoMDM, MicroMDM or NanoHUB; their shapes differ only in keys that
/// may be missing.
///
/// The channel comes from `raw_payload`, not from `ids` or `udid` (MicroMDM does not tell user
/// channels there); when the two disagree on the device it is kCorrupt. A topic that Director does
/// not know, including `dep.*`, becomes OtherEvent with an empty channel; it is no error.
/// `created_at` missing or malformed, before the year 2000 or more than five minutes ahead of
/// `received_at`, becomes `received_at`. kInvalid: not JSON, nested deeper than 32, no topic, no
/// event object, base64 rubbish, a property list that cannot be decoded. Pure; thread-safe.
Result<MdmEvent> DecodeWebhook(std::string_view body, const UpstreamName& upstream,
                               Timestamp received_at);

}  // namespace director
