#pragma once

#include <string_view>

/// Keys of structured log fields: one spelling everywhere.
namespace director::log_key {

inline constexpr std::string_view kAddress = "address";
inline constexpr std::string_view kCommandUuid = "command_uuid";
inline constexpr std::string_view kCount = "count";
inline constexpr std::string_view kDurationMs = "duration_ms";
inline constexpr std::string_view kEnrollmentId = "enrollment_id";
inline constexpr std::string_view kError = "error";
inline constexpr std::string_view kMethod = "method";
inline constexpr std::string_view kName = "name";
inline constexpr std::string_view kPath = "path";
inline constexpr std::string_view kPayloadIdentifier = "payload_identifier";
inline constexpr std::string_view kReason = "reason";
inline constexpr std::string_view kRequestType = "request_type";
inline constexpr std::string_view kStatus = "status";
inline constexpr std::string_view kTopic = "topic";
inline constexpr std::string_view kUpstream = "upstream";
inline constexpr std::string_view kVersion = "version";

}  // namespace director::log_key
