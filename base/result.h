#pragma once

#include <tl/expected.hpp>
#include <utility>

#include "base/error.h"

namespace director {

/// A value or an `Error`. Never ignore one: the class is nodiscard.
template <typename T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
};

using Status = Result<void>;

/// Makes the failed state of any `Result<T>`: `return Fail(ErrorKind::kNotFound, "no such
/// profile");`.
inline tl::unexpected<Error> Fail(Error error) { return tl::unexpected<Error>(std::move(error)); }
inline tl::unexpected<Error> Fail(ErrorKind kind, std::string message) {
  return tl::unexpected<Error>(MakeError(kind, std::move(message)));
}

}  // namespace director
