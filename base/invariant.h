#pragma once

#include <stdexcept>

namespace director {

/// Thrown in production when an INVARIANT does not hold; caught only per enrollment, per HTTP
/// request and in main.
class InvariantViolation : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

enum class InvariantMode { kThrow, kAbort };

/// Chooses what a broken invariant does from now on: tests abort, production throws (the default).
void SetInvariantMode(InvariantMode mode);

[[noreturn]] void FailInvariant(const char* condition, const char* file, int line);

}  // namespace director

/// States what must be true whatever the input is; for our own errors, never for bad input.
#define INVARIANT(condition) \
  ((condition) ? void() : ::director::FailInvariant(#condition, __FILE__, __LINE__))
