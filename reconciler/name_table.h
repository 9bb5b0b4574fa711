#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace director {

/// The words of an enumeration, each spelt in one place.
template <typename Enum, std::size_t N>
using NameTable = std::array<std::pair<Enum, std::string_view>, N>;

template <typename Enum, std::size_t N>
std::string_view NameOf(const NameTable<Enum, N>& table, Enum value) {
  for (const auto& [candidate, name] : table) {
    if (candidate == value) return name;
  }
  return {};
}

/// kInvalid for other words.
template <typename Enum, std::size_t N>
Result<Enum> ValueOf(const NameTable<Enum, N>& table, std::string_view name) {
  for (const auto& [candidate, candidate_name] : table) {
    if (candidate_name == name) return candidate;
  }
  std::string known;
  for (const auto& [candidate, candidate_name] : table) {
    known += (known.empty() ? "" : ", ") + std::string(candidate_name);
  }
  return Fail(ErrorKind::kInvalid, "must be one of: " + known);
}

}  // namespace director
