#include "base/text.h"

#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <cstring>

namespace director {
namespace {

constexpr std::string_view kBase64Alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<std::int8_t, 256> MakeBase64Values() {
  std::array<std::int8_t, 256> values{};
  for (auto& value : values) value = -1;
  for (std::size_t i = 0; i < kBase64Alphabet.size(); ++i) {
    values[static_cast<unsigned char>(kBase64Alphabet[i])] = static_cast<std::int8_t>(i);
  }
  return values;
}

constexpr std::array<std::int8_t, 256> kBase64Values = MakeBase64Values();

/// How many bytes at the beginning are surely ASCII: most texts are nothing else.
std::size_t AsciiPrefix(std::string_view text) {
  std::size_t pos = 0;
  for (std::uint64_t eight = 0; pos + sizeof eight <= text.size(); pos += sizeof eight) {
    std::memcpy(&eight, text.data() + pos, sizeof eight);
    if ((eight & 0x8080808080808080U) != 0) break;
  }
  return pos;
}

/// Returns the length of the well-formed UTF-8 sequence at `pos`, or 0 when there is none.
std::size_t Utf8SequenceLength(std::string_view text, std::size_t pos) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(pos);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || pos + length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(pos + i) & 0xC0) != 0x80) return 0;
  }
  const unsigned char second = byte(pos + 1);
  if (lead == 0xE0 && second < 0xA0) return 0;  // overlong
  if (lead == 0xED && second > 0x9F) return 0;  // surrogate
  if (lead == 0xF0 && second < 0x90) return 0;  // overlong
  if (lead == 0xF4 && second > 0x8F) return 0;  // above U+10FFFF
  return length;
}

/// Writes to `out` what four symbols after four symbols stand for, up to anything else (padding,
/// white space, the end). Returns how many symbols it read: each four make three bytes.
std::size_t DecodeWholeGroups(std::string_view text, char* out) {
  const auto value = [&](std::size_t i) -> std::int32_t {
    return kBase64Values[static_cast<unsigned char>(text[i])];
  };
  std::size_t pos = 0;
  for (; pos + 4 <= text.size(); pos += 4) {
    const std::int32_t a = value(pos), b = value(pos + 1), c = value(pos + 2), d = value(pos + 3);
    if ((a | b | c | d) < 0) break;
    const std::int32_t group = a << 18 | b << 12 | c << 6 | d;
    *out++ = static_cast<char>(group >> 16);
    *out++ = static_cast<char>(group >> 8);
    *out++ = static_cast<char>(group);
  }
  return pos;
}

char UpperAscii(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }
char LowerAscii(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

std::string EncodeBase64(std::string_view bytes) {
  // OpenSSL writes a NUL behind the text, where a std::string has its own.
  std::string text((bytes.size() + 2) / 3 * 4, '\0');
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                  reinterpret_cast<const unsigned char*>(bytes.data()),
                  static_cast<int>(bytes.size()));
  return text;
}

Result<std::string> DecodeBase64(std::string_view text) {
  std::string bytes(text.size() / 4 * 3 + 3, '\0');
  char* out = bytes.data();
  std::uint32_t bits = 0;
  int bit_count = 0;
  std::size_t symbols = 0;
  std::size_t padding = 0;
  while (!text.empty()) {
    if (symbols % 4 == 0 && padding == 0) {
      const std::size_t read = DecodeWholeGroups(text, out);
      out += read / 4 * 3;
      text.remove_prefix(read);
      if (text.empty()) break;
    }
    const char c = text.front();
    text.remove_prefix(1);
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') continue;
    if (c == '=') {
      ++padding;
      continue;
    }
    const std::int8_t value = kBase64Values[static_cast<unsigned char>(c)];
    if (value < 0 || padding > 0) return Fail(ErrorKind::kInvalid, "not base64");
    ++symbols;
    bits = (bits << 6) | static_cast<std::uint32_t>(value);
    bit_count += 6;
    if (bit_count >= 8) {
      bit_count -= 8;
      *out++ = static_cast<char>((bits >> bit_count) & 0xFF);
    }
  }
  const bool padding_fits = padding == 0 || (symbols + padding) % 4 == 0;
  if (symbols % 4 == 1 || padding > 2 || !padding_fits) {
    return Fail(ErrorKind::kInvalid, "base64 has an impossible length");
  }
  bytes.resize(static_cast<std::size_t>(out - bytes.data()));
  return bytes;
}

bool IsValidUtf8(std::string_view text) {
  for (std::size_t pos = AsciiPrefix(text); pos < text.size();) {
    const std::size_t length = Utf8SequenceLength(text, pos);
    if (length == 0) return false;
    pos += length;
  }
  return true;
}

std::string Truncate(std::string_view text, std::size_t size_max_bytes) {
  static constexpr std::string_view kMark = "…";
  if (text.size() <= size_max_bytes) return std::string(text);
  const bool has_room = size_max_bytes >= kMark.size();
  std::size_t cut = has_room ? size_max_bytes - kMark.size() : size_max_bytes;
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) --cut;
  std::string result(text.substr(0, cut));
  if (has_room) result += kMark;
  return result;
}

std::string Printable(std::string_view text, std::size_t size_max_bytes) {
  std::string result;
  for (std::size_t pos = 0; pos < text.size() && result.size() <= size_max_bytes;) {
    const std::size_t length = Utf8SequenceLength(text, pos);
    const auto lead = static_cast<unsigned char>(text[pos]);
    const bool c1_control =
        length == 2 && lead == 0xC2 && static_cast<unsigned char>(text[pos + 1]) < 0xA0;
    if (length == 0 || lead < 0x20 || lead == 0x7F || c1_control) {
      result.push_back('?');
      pos += length == 0 ? 1 : length;
    } else {
      result.append(text.substr(pos, length));
      pos += length;
    }
  }
  return Truncate(result, size_max_bytes);
}

bool JsonNestsDeeperThan(std::string_view json, std::size_t depth_max) {
  std::size_t depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string) {
      if (c == '\\') ++i;
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > depth_max) return true;
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return false;
}

std::string ToUpperAscii(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = UpperAscii(c);
  return result;
}

std::string ToLowerAscii(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = LowerAscii(c);
  return result;
}

bool EqualsIgnoreCaseAscii(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (LowerAscii(a[i]) != LowerAscii(b[i])) return false;
  }
  return true;
}

}  // namespace director
