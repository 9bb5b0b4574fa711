#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "tests/support/catch.h"

namespace director::base_text_test {
namespace {

using std::string_literals::operator""s;

TEST_CASE("base64 of RFC 4648") {
  const std::vector<std::pair<std::string, std::string>> pairs = {{"", ""},
                                                                  {"f", "Zg=="},
                                                                  {"fo", "Zm8="},
                                                                  {"foo", "Zm9v"},
                                                                  {"foob", "Zm9vYg=="},
                                                                  {"fooba", "Zm9vYmE="},
                                                                  {"foobar", "Zm9vYmFy"},
                                                                  {"\xFB\xFF\x00"s, "+/8A"}};
  for (const auto& [bytes, text] : pairs) {
    CHECK(EncodeBase64(bytes) == text);
    REQUIRE(DecodeBase64(text));
    CHECK(*DecodeBase64(text) == bytes);
  }
}

TEST_CASE("base64 may be wrapped and unpadded") {
  CHECK(*DecodeBase64("Zm9v\r\n\tYm Fy\n") == "foobar");
  CHECK(*DecodeBase64("Zg") == "f");
  CHECK(*DecodeBase64("Zm8") == "fo");
}

TEST_CASE("what is not base64 is refused") {
  for (const std::string& text : {"Z"s, "Zm9vY"s, "Zg="s, "Zg==="s, "Zg==Zg=="s, "Z=g="s, "="s,
                                  "===="s, "Zm9v-"s, "Zm9_"s, "Zm9v\0"s, "Zm9\x80"s}) {
    INFO(text);
    const Result<std::string> bytes = DecodeBase64(text);
    REQUIRE_FALSE(bytes);
    CHECK(bytes.error().kind == ErrorKind::kInvalid);
  }
}

TEST_CASE("UTF-8 is well-formed or not") {
  for (const std::string& text :
       {""s, "plain"s, "\0"s, "\x7F"s, "\xC2\x80"s, "\xDF\xBF"s, "\xE0\xA0\x80"s, "\xED\x9F\xBF"s,
        "\xEE\x80\x80"s, "\xEF\xBF\xBF"s, "\xF0\x90\x80\x80"s, "\xF4\x8F\xBF\xBF"s}) {
    CHECK(IsValidUtf8(text));
  }
  for (const std::string& text :
       {"\x80"s, "\xBF"s, "\xC0\x80"s, "\xC1\xBF"s, "\xC2"s, "\xC2\x20"s, "\xE0\x9F\xBF"s,
        "\xE2\x82"s, "\xED\xA0\x80"s, "\xED\xBF\xBF"s, "\xF0\x8F\xBF\xBF"s, "\xF4\x90\x80\x80"s,
        "\xF5\x80\x80\x80"s, "\xFF"s, "a\xF0\x9F\x98"s}) {
    CHECK_FALSE(IsValidUtf8(text));
  }
}

TEST_CASE("text is cut to size, never inside a character") {
  CHECK(Truncate("abc", 3) == "abc");
  CHECK(Truncate("abcdef", 5) == "ab…");
  CHECK(Truncate("aääää", 7) == "aä…");
  CHECK(Truncate("aääää", 8) == "aää…");
  for (std::size_t size = 0; size < 20; ++size) {
    const std::string cut = Truncate("ä€😀ä€😀ä€😀", size);
    CHECK(cut.size() <= size);
    CHECK(IsValidUtf8(cut));
  }
}

TEST_CASE("printable text is one valid line") {
  CHECK(Printable("Grüße, 世界 😀", 100) == "Grüße, 世界 😀");
  CHECK(Printable("a\nb\tc\x1B[31m\x7F\0d"s, 100) == "a?b?c?[31m??d");
  CHECK(Printable("a\xC2\x85z", 100) == "a?z");
  CHECK(Printable("\xC2\xA0", 100) == "\xC2\xA0");
  CHECK(Printable("a\xFF\xE2\x82z", 100) == "a???z");
  CHECK(Printable("abc", 3) == "abc");
  CHECK(Printable("abcd", 3) == "…");
  CHECK(Printable(std::string(10'000, '\xFF'), 8) == "?????…");
}

TEST_CASE("JSON nesting is counted outside of strings") {
  CHECK_FALSE(JsonNestsDeeperThan("", 0));
  CHECK_FALSE(JsonNestsDeeperThan("1", 0));
  CHECK(JsonNestsDeeperThan("[]", 0));
  CHECK_FALSE(JsonNestsDeeperThan("[[]]", 2));
  CHECK(JsonNestsDeeperThan("[{\"a\":[]}]", 2));
  CHECK_FALSE(JsonNestsDeeperThan("[[],[],[[]]]", 3));
  CHECK_FALSE(JsonNestsDeeperThan(R"({"[[[[":"{{{{"})", 1));
  CHECK_FALSE(JsonNestsDeeperThan(R"(["\"[[[[", "\\"])", 1));
  CHECK(JsonNestsDeeperThan(R"(["\\",[]])", 1));
  CHECK(JsonNestsDeeperThan("]]]][[", 1));
  CHECK(JsonNestsDeeperThan(std::string(1'000'000, '['), 32));
}

TEST_CASE("letter case is folded in ASCII only") {
  CHECK(ToUpperAscii("aZ1ä") == "AZ1ä");
  CHECK(ToLowerAscii("aZ1Ä") == "az1Ä");
  CHECK(EqualsIgnoreCaseAscii("AbC", "aBc"));
  CHECK_FALSE(EqualsIgnoreCaseAscii("abc", "abcd"));
  CHECK_FALSE(EqualsIgnoreCaseAscii("[", "{"));
}

}  // namespace
}  // namespace director::base_text_test
