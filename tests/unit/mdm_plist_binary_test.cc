#include <bit>
#include <limits>
#include <string>
#include <vector>

#include "mdm/plist.h"
#include "tests/support/catch.h"

namespace director::mdm_plist_binary_test {
namespace {

using std::string_literals::operator""s;

/// Puts objects, offset table and trailer together; one byte for each offset and reference, unless
/// there are more objects than a byte can name.
std::string MakeBinary(const std::vector<std::string>& objects, std::uint64_t root = 0) {
  std::string bytes = "bplist00";
  std::string table;
  for (const auto& object : objects) {
    table.push_back(static_cast<char>(bytes.size() >> 8));
    table.push_back(static_cast<char>(bytes.size() & 0xFF));
    bytes += object;
  }
  const auto number = [](std::uint64_t value) {
    std::string text;
    for (int shift = 56; shift >= 0; shift -= 8) {
      text.push_back(static_cast<char>((value >> shift) & 0xFF));
    }
    return text;
  };
  const std::uint64_t table_at = bytes.size();
  return bytes + table + "\0\0\0\0\0\0\2\1"s + number(objects.size()) + number(root) +
         number(table_at);
}

std::string Refusal(std::string_view bytes, const PlistLimits& limits = {}) {
  const auto value = DecodePlist(bytes, limits);
  if (value) return {};
  CHECK(value.error().kind == ErrorKind::kInvalid);
  return value.error().message;
}

void CheckHas(const std::string& text, const std::string& part) {
  INFO(text);
  CHECK(text.find(part) != std::string::npos);
}

void CheckRoundTrip(const PlistValue& value) {
  const std::string bytes = EncodePlistBinary(value);
  CHECK(bytes.starts_with("bplist00"));
  const auto decoded = DecodePlist(bytes);
  REQUIRE(decoded);
  CHECK(*decoded == value);
}

TEST_CASE("every type survives the binary form") {
  for (const PlistValue& value :
       std::vector<PlistValue>{true,
                               false,
                               PlistInteger{false, 0},
                               PlistInteger{true, 1},
                               PlistInteger{false, std::numeric_limits<std::uint64_t>::max()},
                               PlistInteger{false, std::uint64_t{1} << 63},
                               PlistInteger{true, std::uint64_t{1} << 63},
                               PlistInteger{false, 70'000},
                               PlistInteger{false, 5'000'000'000},
                               0.1,
                               -1e300,
                               5e-324,
                               "",
                               "plain",
                               "\xC3\xA4\xF0\x9F\x98\x80",
                               PlistData{},
                               PlistData{"\0\1\xFF"s},
                               PlistDate{978307200},
                               PlistDate{-62135596800},
                               PlistDate{253402300799},
                               PlistDate{4'000'000'000},
                               PlistArray{},
                               PlistDict{}}) {
    CheckRoundTrip(PlistValue(PlistArray{value, value}));
    if (value.AsDict() == nullptr) CheckRoundTrip(value);
  }
  // One tree with -1 and 2^64-1, which have the same bits.
  CheckRoundTrip(PlistValue(PlistArray{
      PlistInteger{true, 1}, PlistInteger{false, std::numeric_limits<std::uint64_t>::max()}}));
}

TEST_CASE("handmade binary lists decode") {
  const auto value = DecodePlist(MakeBinary({"\xD1\1\2"s, "\x51k", "\xA2\1\1"s}));
  REQUIRE(value);
  CHECK(*value->AsDict()->Find("k") == PlistValue(PlistArray{"k", "k"}));
  CHECK(*DecodePlist(MakeBinary({"\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\5"s})) ==
        PlistValue(PlistInteger{false, 5}));
  CHECK(*DecodePlist(MakeBinary({"\x22\x3F\x80\0\0"s})) == PlistValue(1.0));
}

TEST_CASE("broken binary lists are refused") {
  const std::string good = MakeBinary({"\x51k"});
  REQUIRE(Refusal(good).empty());
  for (std::size_t size = 0; size < good.size(); ++size) {
    INFO(size);
    CHECK_FALSE(Refusal(good.substr(0, size)).empty());
  }
  CHECK_FALSE(Refusal(good + "x").empty());
  std::string future = good;
  future[6] = '1';
  CHECK_FALSE(Refusal(future).empty());

  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"\0"s}, "null"},
      {{"\x80\1"s}, "UID"},
      {{"\xC1\1"s, "\x08"}, "set"},
      {{"\x70"}, "unknown type"},
      {{"\x0F"}, "null"},
      {{"\x15" + std::string(32, '\0')}, "integer"},
      {{"\x14\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\5"s}, "integer"},
      {{"\x21\0\0"s}, "real"},
      {{"\x32\0\0\0\0"s}, "date"},
      {{"\x33\x7F\xF8\0\0\0\0\0\0"s}, "date"},
      {{"\x33\x7F\xEF\xFF\xFF\xFF\xFF\xFF\xFF"}, "date"},
      {{"\x52k"}, "cut off"},
      {{"\x52k\xE4"}, "ASCII"},
      {{"\x52k\0"s}, "NUL"},
      {{"\x60"}, "empty UTF-16"},
      {{"\x61\xD8\0"s}, "UTF-16"},
      {{"\x61\xDC\0"s}, "UTF-16"},
      {{"\x62\xD8\0\0A"s}, "UTF-16"},
      {{"\x61\0\0"s}, "NUL"},
      {{"\x5F\x13\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFFk"}, "cut off"},
      {{"\x5F\x20k"}, "count"},
      {{"\x5F\x14k"}, "count"},
      {{"\x5F"}, "cut off"},
      {{"\xA1\7"}, "nowhere"},
      {{"\xA2\0"s}, "cut off"},
      {{"\xD1\1\1", "\x08"}, "not a string"},
      {{"\xD2\1\1\2\2", "\x51k", "\x08"}, "twice"},
      {{"\xD2\1\2\3\3", "\x51k", "\x61\0k"s, "\x08"}, "twice"},
  };
  for (const auto& [objects, reason] : cases) {
    INFO(reason);
    CheckHas(Refusal(MakeBinary(objects)), reason);
  }
  CheckHas(Refusal(MakeBinary({"\x08"}, 1)), "nowhere");
}

TEST_CASE("every single flipped byte is survived") {
  PlistDict dict;
  dict.Set("key", PlistValue(PlistArray{true, 1.5, "\xC3\xA4", PlistData{"abc"},
                                        PlistInteger{true, 5}, PlistDate{5}}));
  const std::string good = EncodePlistBinary(PlistValue(dict));
  std::size_t accepted = 0;
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ (1 << bit));
      const auto value = DecodePlist(bad);
      if (!value) continue;
      ++accepted;
      CHECK(DecodePlist(EncodePlistXml(*value)));
    }
  }
  CHECK(accepted > 0);
}

TEST_CASE("cycles and bombs end at the limits") {
  CheckHas(Refusal(MakeBinary({"\xA1\0"s})), "nested");
  CheckHas(Refusal(MakeBinary({"\xA1\1"s, "\xA1\0"s})), "nested");
  // Each array holds the next one ten times: 10^30 values after expansion.
  std::vector<std::string> bomb;
  for (char i = 1; i <= 30; ++i) bomb.push_back("\xAA" + std::string(10, i));
  bomb.push_back("\x08");
  CheckHas(Refusal(MakeBinary(bomb)), "too many");
  // One long text, referred to a million times.
  std::vector<std::string> texts = {"\xAA" + std::string(10, '\1'), "\xAA" + std::string(10, '\2'),
                                    "\xAA" + std::string(10, '\3'), "\xAA" + std::string(10, '\4')};
  texts.push_back("\x5F\x11\x27\x10" + std::string(10'000, 'a'));
  CheckHas(Refusal(MakeBinary(texts)), "too large after expansion");
  // Deep chain without a cycle.
  std::vector<std::string> chain;
  for (char i = 1; i <= 100; ++i) chain.push_back("\xA1" + std::string(1, i));
  chain.push_back("\x08");
  CheckHas(Refusal(MakeBinary(chain)), "nested");
}

TEST_CASE("shared objects below the limits are expanded and counted") {
  const std::string shared = MakeBinary({"\xA2\1\1"s, "\xA2\2\2"s, "\x51x"});
  CHECK(*DecodePlist(shared) == PlistValue(PlistArray{PlistArray{"x", "x"}, PlistArray{"x", "x"}}));
  PlistLimits limits;
  limits.node_count_max = 7;
  CHECK(Refusal(shared, limits).empty());
  limits.node_count_max = 6;
  CheckHas(Refusal(shared, limits), "too many");
}

}  // namespace
}  // namespace director::mdm_plist_binary_test
