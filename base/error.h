#pragma once

#include <string>
#include <string_view>

namespace director {

/// Tells a caller what to do about a failure; every `Error` has exactly one kind.
enum class ErrorKind {
  kInvalid,         ///< The input is wrong: report it to whoever sent it.
  kUnauthorized,    ///< Credentials are missing or wrong.
  kNotFound,        ///< The named thing does not exist.
  kConflict,        ///< Somebody else changed it: read again, then decide again.
  kUnavailable,     ///< Surely not done: retry later.
  kUnknownOutcome,  ///< Perhaps done: look before repeating.
  kRejected,        ///< Refused for good until an input changes.
  kCorrupt,         ///< Stored or received data is broken: set it aside, go on with the others.
};

/// Returns the kind as a lower-case word for logs and problem documents, such as "unknown_outcome".
std::string_view ErrorKindName(ErrorKind kind);

/// A failure. `message` may be shown to the client that caused it and never holds secrets or raw
/// payloads. `detail` is for the log only. `field` names the offending input as the client spelt
/// it.
struct Error {
  ErrorKind kind = ErrorKind::kInvalid;
  std::string message;
  std::string field;
  std::string detail;
};

/// Makes an error without field and detail.
Error MakeError(ErrorKind kind, std::string message);

/// Makes a kInvalid error that names the offending `field`.
Error InvalidField(std::string field, std::string message);

/// Renders kind, message and detail on one line for the log.
std::string ErrorForLog(const Error& error);

}  // namespace director
