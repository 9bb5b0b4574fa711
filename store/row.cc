#include "store/row.h"

#include <fmt/core.h>

#include "base/text.h"

namespace director {
namespace {

constexpr std::size_t kWordShownMaxBytes = 60;
constexpr std::size_t kKeyShownMaxBytes = 300;

}  // namespace

std::optional<bool> Row::OptionalFlag() {
  if (!IsNull(column_)) return Flag();
  ++column_;
  return std::nullopt;
}

std::optional<Timestamp> Row::OptionalTime() {
  if (!IsNull(column_)) return Time();
  ++column_;
  return std::nullopt;
}

void Row::Refuse() {
  if (!bad_column_) bad_column_ = column_;
}

Status Row::Check(std::string_view key) const {
  if (!bad_column_) return {};
  return Fail(ErrorKind::kCorrupt,
              fmt::format("{} row {} cannot be read: {} is \"{}\"", table_,
                          Printable(key, kKeyShownMaxBytes), NameOf(*bad_column_),
                          Printable(TextAt(*bad_column_), kWordShownMaxBytes)));
}

}  // namespace director
