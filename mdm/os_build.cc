#include "mdm/os_build.h"

#include <charconv>
#include <optional>
#include <tuple>

namespace director {
namespace {

struct OsBuild {
  int major = 0;
  char letter = 'A';
  int number = 0;
  bool has_suffix = false;
};

/// Takes digits off the front of `text`.
std::optional<int> TakeNumber(std::string_view& text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

std::optional<OsBuild> ParseOsBuild(std::string_view text) {
  const std::optional<int> major = TakeNumber(text);
  if (!major || text.empty() || text.front() < 'A' || text.front() > 'Z') return std::nullopt;
  const char letter = text.front();
  text.remove_prefix(1);
  const std::optional<int> number = TakeNumber(text);
  const bool has_suffix = text.size() == 1 && text.front() >= 'a' && text.front() <= 'z';
  if (!number || (!text.empty() && !has_suffix)) return std::nullopt;
  return OsBuild{*major, letter, *number, has_suffix};
}

}  // namespace

bool HasBuildGrown(std::string_view from, std::string_view to) {
  const std::optional<OsBuild> a = ParseOsBuild(from);
  const std::optional<OsBuild> b = ParseOsBuild(to);
  if (!a || !b) return false;
  const auto release_a = std::tie(a->major, a->letter);
  const auto release_b = std::tie(b->major, b->letter);
  if (release_a != release_b) return release_a < release_b;
  return !a->has_suffix && !b->has_suffix && a->number < b->number;
}

}  // namespace director
