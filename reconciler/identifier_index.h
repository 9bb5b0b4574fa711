#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "base/ids.h"

namespace director {

/// Finds values by their `payload_identifier`. Keeps pointers: the values must stay where they are.
template <typename T>
class IdentifierIndex {
 public:
  explicit IdentifierIndex(const std::vector<T>& values) {
    sorted_.reserve(values.size());
    for (const T& value : values) sorted_.push_back(&value);
    std::stable_sort(sorted_.begin(), sorted_.end(), [](const T* a, const T* b) {
      return a->payload_identifier < b->payload_identifier;
    });
  }

  /// All that have it, in the order of the values.
  std::span<const T* const> Find(const PayloadIdentifier& identifier) const {
    const auto first = std::partition_point(sorted_.begin(), sorted_.end(), [&](const T* value) {
      return value->payload_identifier < identifier;
    });
    const auto last = std::find_if(first, sorted_.end(), [&](const T* value) {
      return value->payload_identifier != identifier;
    });
    return {first, last};
  }

 private:
  std::vector<const T*> sorted_;
};

}  // namespace director
