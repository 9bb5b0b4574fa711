#include "mdm/plist_xml_scalar.h"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "base/text.h"
#include "mdm/plist_date.h"

namespace director {
namespace {

constexpr std::size_t kReferenceMaxBytes = 12;  // "#x0000010FFFF" and the names are shorter

constexpr std::array<std::pair<std::string_view, PlistScalarType>, 7> kScalarNames = {{
    {"string", PlistScalarType::kString},
    {"integer", PlistScalarType::kInteger},
    {"real", PlistScalarType::kReal},
    {"true", PlistScalarType::kTrue},
    {"false", PlistScalarType::kFalse},
    {"date", PlistScalarType::kDate},
    {"data", PlistScalarType::kData},
}};

constexpr std::array<std::pair<std::string_view, char>, 5> kEntities = {
    {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}}};

std::string_view Trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

/// Takes a leading sign off `text`; true when it was a minus.
bool TakeSign(std::string_view& text) {
  const bool is_negative = text.starts_with('-');
  if (is_negative || text.starts_with('+')) text.remove_prefix(1);
  return is_negative;
}

/// Reads the number that all of `text` consists of.
template <typename Number, typename... Options>
std::optional<Number> ParseAll(std::string_view text, Options... options) {
  Number number{};
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, number, options...);
  if (result.ec != std::errc() || result.ptr != end) return std::nullopt;
  return number;
}

Result<PlistValue> ParseInteger(std::string_view text) {
  std::string_view digits = Trim(text);
  const bool is_negative = TakeSign(digits);
  int base = 10;
  if (digits.starts_with("0x") || digits.starts_with("0X")) {
    base = 16;
    digits.remove_prefix(2);
  }
  const auto magnitude = ParseAll<std::uint64_t>(digits, base);
  if (!magnitude || (is_negative && *magnitude > PlistInteger::kNegativeMagnitudeMax)) {
    return Fail(ErrorKind::kInvalid, "not an integer, or beyond its range");
  }
  return PlistValue(PlistInteger{is_negative && *magnitude != 0, *magnitude});
}

Result<PlistValue> ParseReal(std::string_view text) {
  std::string_view number = Trim(text);
  const bool is_negative = TakeSign(number);
  const bool has_second_sign = number.starts_with('-') || number.starts_with('+');
  const auto value = has_second_sign ? std::nullopt : ParseAll<double>(number);
  if (!value) return Fail(ErrorKind::kInvalid, "not a real number, or beyond its range");
  return PlistValue(is_negative ? -*value : *value);
}

Result<PlistValue> ParseDate(std::string_view text) {
  const auto date = ParsePlistDate(Trim(text));
  if (!date) return Fail(ErrorKind::kInvalid, "not a date such as 2026-01-31T12:00:00Z");
  return PlistValue(*date);
}

Result<PlistValue> ParseData(std::string_view text) {
  auto bytes = DecodeBase64(text);
  if (!bytes) return Fail(bytes.error());
  return PlistValue(PlistData{std::move(*bytes)});
}

Result<PlistValue> ParseBool(std::string_view text, PlistScalarType type) {
  if (!Trim(text).empty()) return Fail(ErrorKind::kInvalid, "text inside of a boolean");
  return PlistValue(type == PlistScalarType::kTrue);
}

void AppendUtf8(std::uint32_t code_point, std::string& out) {
  const auto push = [&out](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code_point < 0x80) {
    push(code_point);
  } else if (code_point < 0x800) {
    push(0xC0 | (code_point >> 6));
    push(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    push(0xE0 | (code_point >> 12));
    push(0x80 | ((code_point >> 6) & 0x3F));
    push(0x80 | (code_point & 0x3F));
  } else {
    push(0xF0 | (code_point >> 18));
    push(0x80 | ((code_point >> 12) & 0x3F));
    push(0x80 | ((code_point >> 6) & 0x3F));
    push(0x80 | (code_point & 0x3F));
  }
}

/// Appends the character of `#10` or `#x1F600`; false when there is none.
bool AppendCharacter(std::string_view reference, std::string& out) {
  reference.remove_prefix(1);
  const bool is_hex = reference.starts_with('x');
  if (is_hex) reference.remove_prefix(1);
  const auto code_point = ParseAll<std::uint32_t>(reference, is_hex ? 16 : 10);
  if (!code_point || *code_point == 0 || *code_point > 0x10FFFF) return false;
  if (*code_point >= 0xD800 && *code_point <= 0xDFFF) return false;
  AppendUtf8(*code_point, out);
  return true;
}

/// Appends what `&name;` stands for; false when it stands for nothing.
bool AppendReference(std::string_view name, std::string& out) {
  if (name.starts_with('#')) return AppendCharacter(name, out);
  for (const auto& [entity, character] : kEntities) {
    if (name == entity) {
      out.push_back(character);
      return true;
    }
  }
  return false;
}

}  // namespace

std::optional<PlistScalarType> PlistXmlScalarType(std::string_view element_name) {
  for (const auto& [name, type] : kScalarNames) {
    if (name == element_name) return type;
  }
  return std::nullopt;
}

Result<PlistValue> ParsePlistXmlScalar(PlistScalarType type, std::string text) {
  switch (type) {
    case PlistScalarType::kString:
      return PlistValue(std::move(text));
    case PlistScalarType::kInteger:
      return ParseInteger(text);
    case PlistScalarType::kReal:
      return ParseReal(text);
    case PlistScalarType::kTrue:
    case PlistScalarType::kFalse:
      return ParseBool(text, type);
    case PlistScalarType::kDate:
      return ParseDate(text);
    case PlistScalarType::kData:
      return ParseData(text);
  }
  return Fail(ErrorKind::kInvalid, "unknown element");
}

Status AppendUnescaped(std::string_view text, std::string& out) {
  while (true) {
    const std::size_t start = text.find('&');
    out += text.substr(0, start);
    if (start == std::string_view::npos) return {};
    text.remove_prefix(start + 1);
    const std::size_t end = text.substr(0, kReferenceMaxBytes + 1).find(';');
    if (end == std::string_view::npos || !AppendReference(text.substr(0, end), out)) {
      return Fail(ErrorKind::kInvalid, "unknown entity or character reference");
    }
    text.remove_prefix(end + 1);
  }
}

}  // namespace director
