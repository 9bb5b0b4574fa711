#include "mdm/plist_encoding.h"

#include <iconv.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>

#include "base/text.h"

namespace director {
namespace {

using std::string_view_literals::operator""sv;

constexpr std::string_view kUtf8 = "UTF-8";
constexpr std::size_t kEncodingNameMaxBytes = 40;
constexpr std::size_t kDeclarationMaxBytes = 512;

/// Closes an iconv descriptor at the end of its scope.
class CharsetConverter {
 public:
  explicit CharsetConverter(const std::string& from) : handle_(iconv_open("UTF-8", from.c_str())) {}
  ~CharsetConverter() {
    if (IsOpen()) iconv_close(handle_);
  }
  CharsetConverter(const CharsetConverter&) = delete;
  CharsetConverter& operator=(const CharsetConverter&) = delete;

  // iconv_open reports failure as (iconv_t)-1; iconv_t is a pointer with glibc.
  bool IsOpen() const { return reinterpret_cast<std::intptr_t>(handle_) != -1; }
  iconv_t handle() const { return handle_; }

 private:
  iconv_t handle_;
};

Result<std::string> ConvertToUtf8(std::string_view bytes, const std::string& encoding,
                                  std::size_t size_max_bytes) {
  const CharsetConverter converter(encoding);
  if (!converter.IsOpen()) return Fail(ErrorKind::kInvalid, "unknown encoding " + encoding);
  std::string input(bytes);  // iconv wants a mutable pointer, although it does not write
  char* in = input.data();
  std::size_t in_left = input.size();
  std::string result;
  std::array<char, 16 * 1024> chunk{};
  while (in_left > 0) {
    char* out = chunk.data();
    std::size_t out_left = chunk.size();
    const std::size_t converted = iconv(converter.handle(), &in, &in_left, &out, &out_left);
    const bool failed = converted == static_cast<std::size_t>(-1) && errno != E2BIG;
    const std::size_t written = chunk.size() - out_left;
    if (failed || (written == 0 && in_left > 0)) {
      return Fail(ErrorKind::kInvalid, "the bytes are not valid " + encoding);
    }
    if (result.size() + written > size_max_bytes) {
      return Fail(ErrorKind::kInvalid, "the property list is too large");
    }
    result.append(chunk.data(), written);
  }
  return result;
}

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.';
}

/// Reads the encoding that the XML declaration names; UTF-8 when it names none.
Result<std::string> DeclaredEncoding(std::string_view bytes) {
  const std::size_t start = bytes.find_first_not_of(" \t\r\n");
  if (start == std::string_view::npos || !bytes.substr(start).starts_with("<?xml")) {
    return std::string(kUtf8);
  }
  std::string_view declaration = bytes.substr(start, kDeclarationMaxBytes);
  declaration = declaration.substr(0, declaration.find("?>"));
  const std::size_t key = declaration.find("encoding");
  if (key == std::string_view::npos) return std::string(kUtf8);
  const std::size_t open = declaration.find_first_of("\"'", key);
  if (open == std::string_view::npos) return Fail(ErrorKind::kInvalid, "broken XML declaration");
  const std::size_t close = declaration.find(declaration[open], open + 1);
  if (close == std::string_view::npos) return Fail(ErrorKind::kInvalid, "broken XML declaration");
  const std::string_view name = declaration.substr(open + 1, close - open - 1);
  // Anything else could be an iconv option such as //TRANSLIT.
  if (name.empty() || name.size() > kEncodingNameMaxBytes ||
      !std::all_of(name.begin(), name.end(), IsNameCharacter)) {
    return Fail(ErrorKind::kInvalid, "the XML declaration names no valid encoding");
  }
  return std::string(name);
}

/// Finds the encoding; see the header for the order of evidence.
Result<std::string> DetectEncoding(std::string_view bytes) {
  if (bytes.starts_with("\xEF\xBB\xBF")) return std::string(kUtf8);
  if (bytes.starts_with("\xFF\xFE\0\0"sv) || bytes.starts_with("\0\0\xFE\xFF"sv)) {
    return std::string("UTF-32");
  }
  if (bytes.starts_with("\xFE\xFF") || bytes.starts_with("\xFF\xFE")) return std::string("UTF-16");
  if (bytes.starts_with("\0<"sv)) return std::string("UTF-16BE");
  if (bytes.starts_with("<\0"sv)) return std::string("UTF-16LE");
  return DeclaredEncoding(bytes);
}

}  // namespace

Result<std::string> XmlToUtf8(std::string_view bytes, std::size_t size_max_bytes) {
  auto encoding = DetectEncoding(bytes);
  if (!encoding) return Fail(encoding.error());
  std::string text;
  if (EqualsIgnoreCaseAscii(*encoding, kUtf8) || EqualsIgnoreCaseAscii(*encoding, "UTF8")) {
    text.assign(bytes);
  } else {
    auto converted = ConvertToUtf8(bytes, *encoding, size_max_bytes);
    if (!converted) return Fail(converted.error());
    text = std::move(*converted);
  }
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  if (!IsValidUtf8(text)) return Fail(ErrorKind::kInvalid, "the text is not valid UTF-8");
  if (text.find('\0') != std::string::npos) return Fail(ErrorKind::kInvalid, "the text holds NUL");
  return text;
}

}  // namespace director
