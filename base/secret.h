#pragma once

#include <string>
#include <utility>

namespace director {

/// A password, key or token. It has no way into a stream, a log line or JSON but `Reveal`.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}

  const std::string& Reveal() const { return value_; }
  bool empty() const { return value_.empty(); }

 private:
  std::string value_;
};

/// Compares in time that depends on the lengths only.
bool ConstantTimeEquals(const std::string& a, const std::string& b);

}  // namespace director
