#include "base/error.h"

#include <fmt/core.h>

#include <utility>

namespace director {

std::string_view ErrorKindName(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInvalid:
      return "invalid";
    case ErrorKind::kUnauthorized:
      return "unauthorized";
    case ErrorKind::kNotFound:
      return "not_found";
    case ErrorKind::kConflict:
      return "conflict";
    case ErrorKind::kUnavailable:
      return "unavailable";
    case ErrorKind::kUnknownOutcome:
      return "unknown_outcome";
    case ErrorKind::kRejected:
      return "rejected";
    case ErrorKind::kCorrupt:
      return "corrupt";
  }
  return "invalid";
}

Error MakeError(ErrorKind kind, std::string message) {
  return Error{kind, std::move(message), {}, {}};
}

Error InvalidField(std::string field, std::string message) {
  return Error{ErrorKind::kInvalid, std::move(message), std::move(field), {}};
}

std::string ErrorForLog(const Error& error) {
  if (error.detail.empty()) return fmt::format("{}: {}", ErrorKindName(error.kind), error.message);
  return fmt::format("{}: {} ({})", ErrorKindName(error.kind), error.message, error.detail);
}

}  // namespace director
