#include "store/page.h"

#include <charconv>
#include <limits>

namespace director {

Status CheckLimit(const PageRequest& page) {
  constexpr std::size_t kLimitMax = 1000;
  if (page.limit >= 1 && page.limit <= kLimitMax) return {};
  return Fail(InvalidField("limit", "must be 1 to 1000"));
}

Result<std::int64_t> NumberBefore(const PageRequest& page) {
  if (Status fits = CheckLimit(page); !fits) return Fail(fits.error());
  std::int64_t number = std::numeric_limits<std::int64_t>::max();
  if (page.after.empty()) return number;
  const char* end = page.after.data() + page.after.size();
  const auto [stopped_at, code] = std::from_chars(page.after.data(), end, number);
  if (code != std::errc() || stopped_at != end) return Fail(InvalidField("after", "not a number"));
  return number;
}

}  // namespace director
