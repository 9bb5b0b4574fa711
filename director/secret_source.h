#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"

namespace director {

/// A secret that stands in the configuration or in a file. A file is read again when it changes, so
/// that a rotated key needs no restart; one trailing line end is not part of the secret. Copies
/// share what was read. Thread-safe.
class SecretSource {
 public:
  SecretSource() = default;
  static SecretSource FromValue(Secret value);
  static SecretSource FromFile(std::string path);

  bool is_set() const { return state_ != nullptr; }
  /// The secret as it is now. When the file cannot be read any more, the last good value stays in
  /// force (with a warning in the log). kInvalid when it could never be read, or is empty. Empty
  /// when nothing is set.
  Result<Secret> Get() const;
  /// When the file that holds the value in force was changed. Empty for a value, and before the
  /// first `Get`.
  std::optional<Timestamp> changed_at() const;
  /// Path of the file; empty for a value.
  std::string file() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace director
