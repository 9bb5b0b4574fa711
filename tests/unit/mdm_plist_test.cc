#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "mdm/plist.h"
#include "tests/support/catch.h"

namespace director::mdm_plist_test {
namespace {

using std::string_literals::operator""s;

PlistValue MustDecode(std::string_view bytes) {
  auto value = DecodePlist(bytes);
  if (!value) FAIL(value.error().message);
  return *value;
}

PlistValue MustDecodeBody(const std::string& body) {
  return MustDecode("<plist version=\"1.0\">" + body + "</plist>");
}

/// The message of the refusal; empty when the document was accepted.
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

PlistDict MakeDict(std::vector<PlistDict::Entry> entries) {
  auto dict = PlistDict::FromEntries(std::move(entries));
  REQUIRE(dict);
  return *dict;
}

std::string Utf16(std::string_view ascii, std::string_view bom, bool big_endian) {
  std::string bytes(bom);
  for (const char c : ascii) {
    if (big_endian) bytes.push_back('\0');
    bytes.push_back(c);
    if (!big_endian) bytes.push_back('\0');
  }
  return bytes;
}

TEST_CASE("PlistInteger covers -2^63 to 2^64-1") {
  constexpr auto kMin = std::numeric_limits<std::int64_t>::min();
  constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
  for (const std::int64_t value : {kMin, std::int64_t{-1}, std::int64_t{0}, kMax}) {
    CHECK(PlistInteger::FromSigned(value).ToSigned(7) == value);
  }
  CHECK(PlistInteger{false, std::uint64_t{1} << 63}.ToSigned(7) == 7);
  CHECK(PlistInteger{true, (std::uint64_t{1} << 63) + 1}.ToSigned(7) == 7);
}

TEST_CASE("PlistDict sets in place, appends, erases and compares without order") {
  PlistDict dict;
  dict.Set("a", "1");
  dict.Set("b", "2");
  dict.Set("a", "3");
  REQUIRE(dict.entries().size() == 2);
  CHECK(dict.entries()[0].first == "a");
  CHECK(*dict.Find("a")->AsString() == "3");
  CHECK(dict == MakeDict({{"b", "2"}, {"a", "3"}}));
  CHECK_FALSE(dict == MakeDict({{"b", "2"}, {"a", "4"}}));
  CHECK_FALSE(dict == MakeDict({{"a", "3"}}));
  dict.Erase("a");
  dict.Erase("missing");
  CHECK(dict.Find("a") == nullptr);
  CHECK_FALSE(PlistDict::FromEntries({{"a", "1"}, {"b", "1"}, {"a", "1"}}));
}

TEST_CASE("every type decodes from XML") {
  CHECK(MustDecodeBody("<true/>") == PlistValue(true));
  CHECK(MustDecodeBody("<false></false>") == PlistValue(false));
  CHECK(MustDecodeBody("<integer>-5</integer>") == PlistValue(PlistInteger{true, 5}));
  CHECK(MustDecodeBody("<integer> +010 </integer>") == PlistValue(PlistInteger{false, 10}));
  CHECK(MustDecodeBody("<integer>0xFF</integer>") == PlistValue(PlistInteger{false, 255}));
  CHECK(MustDecodeBody("<integer>-0</integer>") == PlistValue(PlistInteger{false, 0}));
  CHECK(MustDecodeBody("<integer>18446744073709551615</integer>") ==
        PlistValue(PlistInteger{false, std::numeric_limits<std::uint64_t>::max()}));
  CHECK(MustDecodeBody("<integer>-9223372036854775808</integer>") ==
        PlistValue(PlistInteger::FromSigned(std::numeric_limits<std::int64_t>::min())));
  CHECK(MustDecodeBody("<real>0.1</real>") == PlistValue(0.1));
  CHECK(MustDecodeBody("<real>-infinity</real>") ==
        PlistValue(-std::numeric_limits<double>::infinity()));
  CHECK(std::isnan(*MustDecodeBody("<real>nan</real>").AsReal()));
  CHECK(MustDecodeBody("<date>2001-01-01T00:00:00Z</date>") == PlistValue(PlistDate{978307200}));
  CHECK(MustDecodeBody("<date>9999-12-31T23:59:59Z</date>") == PlistValue(PlistDate{253402300799}));
  CHECK(MustDecodeBody("<data> AQ\n ID </data>") == PlistValue(PlistData{"\x01\x02\x03"}));
  CHECK(MustDecodeBody("<data/>") == PlistValue(PlistData{}));
  CHECK(MustDecodeBody("<string/>") == PlistValue(""));
  CHECK(MustDecodeBody("<array><string>a</string><array/></array>") ==
        PlistValue(PlistArray{"a", PlistArray{}}));
  CHECK(MustDecodeBody("<dict><key/><dict/></dict>") == PlistValue(MakeDict({{"", PlistDict{}}})));
}

TEST_CASE("references, CDATA and comments are resolved in text") {
  CHECK(MustDecodeBody("<string>&lt;&amp;&gt;&quot;&apos;&#65;&#x1F600;</string>") ==
        PlistValue("<&>\"'A\xF0\x9F\x98\x80"));
  CHECK(MustDecodeBody("<string>a<!-- <no> -->b<![CDATA[&lt;<c>]]>d</string>") ==
        PlistValue("ab&lt;<c>d"));
  CHECK(MustDecodeBody("<string>&#38;lt;</string>") == PlistValue("&lt;"));
  CHECK(MustDecodeBody("<data>AQ<!-- split -->ID</data>") == PlistValue(PlistData{"\1\2\3"}));
  CHECK(MustDecodeBody("<string> kept\r\n </string>") == PlistValue(" kept\r\n "));
}

TEST_CASE("the frame around the value may be missing or rich") {
  CHECK(MustDecode("<string>a</string>") == PlistValue("a"));
  CHECK(MustDecode("\n<?xml version='1.0'?><!-- c --><!DOCTYPE plist SYSTEM '>['>\n"
                   "<plist\n version=\"1.0\" ><!-- c --><true/></plist><!-- c -->\n") ==
        PlistValue(true));
  CHECK(MustDecode("\xEF\xBB\xBF<plist><true/></plist>") == PlistValue(true));
}

TEST_CASE("other encodings become UTF-8") {
  const std::string xml = "<?xml version=\"1.0\" encoding=\"UTF-16\"?><string>abc</string>";
  CHECK(MustDecode(Utf16(xml, "\xFE\xFF", true)) == PlistValue("abc"));
  CHECK(MustDecode(Utf16(xml, "\xFF\xFE", false)) == PlistValue("abc"));
  CHECK(MustDecode(Utf16(xml, "", true)) == PlistValue("abc"));
  CHECK(MustDecode(Utf16(xml, "", false)) == PlistValue("abc"));
  CHECK(MustDecode("<?xml version=\"1.0\" encoding='ISO-8859-1'?><string>\xE4</string>") ==
        PlistValue("\xC3\xA4"));
  CHECK(MustDecode("<?xml version=\"1.0\" encoding='utf-8'?><string>\xC3\xA4</string>") ==
        PlistValue("\xC3\xA4"));
  CheckHas(Refusal("<?xml version=\"1.0\" encoding=\"KLINGON-1\"?><true/>"), "encoding");
  CheckHas(Refusal("<?xml version=\"1.0\" encoding=\"ASCII//IGNORE\"?><true/>"), "encoding");
  CHECK_FALSE(Refusal(Utf16("<true/>", "\xFE\xFF", true) + "\xD8").empty());
}

TEST_CASE("what is not a property list is refused with the line and the reason") {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "empty"},
      {"\x30\x82\x01\x02", "UTF-8"},
      {"hello", "text where an element"},
      {"<?xml version=\"1.0\"", "XML declaration"},
      {"<plist>", "ends too early"},
      {"<plist/>", "unknown element"},
      {"<plist></plist>", "unexpected end"},
      {"</>", "unexpected end"},
      {"<array></>", "unexpected end"},
      {"<></>", "unknown element"},
      {"<plist><dict>", "ends too early"},
      {"<plist><dict></array></plist>", "unexpected end"},
      {"<plist><true/><true/></plist>", "more than one value"},
      {"<plist><true/>", "ends too early"},
      {"<plist><true/></plist>x", "content after the end"},
      {"<true/><true/>", "content after the end"},
      {"<true/><!-- c", "unfinished comment"},
      {"<plist><null/></plist>", "unknown element 'null'"},
      {"<plist><string>a</plist>", "does not end properly"},
      {"<plist><string><b/></string></plist>", "does not end properly"},
      {"<plist><string><![CDATA[a</string></plist>", "unfinished CDATA"},
      {"<!DOCTYPE plist [<!ENTITY a \"b\">]><string>&a;</string>", "internal DTD subset"},
      {"<!DOCTYPE plist", "unfinished DOCTYPE"},
      {"<?xml version=\"1.0\"?><?php ?><true/>", "unknown element"},
      {"<string>&a;</string>", "entity"},
      {"<string>&amp</string>", "entity"},
      {"<string>&#0;</string>", "entity"},
      {"<string>&#xD800;</string>", "entity"},
      {"<string>&#x110000;</string>", "entity"},
      {"<string>&#-5;</string>", "entity"},
      {"<string>\xC3(</string>", "UTF-8"},
      {"<string>a\0b</string>"s, "NUL"},
      {"<dict><string>a</string></dict>", "value without a key"},
      {"<dict><key>a</key></dict>", "key without a value"},
      {"<dict><key>a</key><key>b</key><true/></dict>", "key without a value"},
      {"<array><key>a</key></array>", "outside of a dictionary"},
      {"<key>a</key>", "outside of a dictionary"},
      {"<dict><key>a</key><true/>\n<key>&#97;</key><true/></dict>", "line 2: the key 'a' stands"},
      {"<integer/>", "integer"},
      {"<integer>1.5</integer>", "integer"},
      {"<integer>--1</integer>", "integer"},
      {"<integer>18446744073709551616</integer>", "integer"},
      {"<integer>-9223372036854775809</integer>", "integer"},
      {"<real>+-1</real>", "real"},
      {"<real>1e999</real>", "real"},
      {"<real></real>", "real"},
      {"<date>2026-02-30T00:00:00Z</date>", "date"},
      {"<date>2026-01-01T24:00:00Z</date>", "date"},
      {"<date>2026-01-01</date>", "date"},
      {"<date>0000-01-01T00:00:00Z</date>", "date"},
      {"<data>A!</data>", "base64"},
      {"<true>x</true>", "boolean"},
  };
  for (const auto& [document, reason] : cases) {
    INFO(document);
    CheckHas(Refusal(document), reason);
  }
}

TEST_CASE("limits on size, depth and values") {
  const auto nested = [](std::size_t depth) {
    std::string xml;
    for (std::size_t i = 0; i < depth; ++i) xml += "<array>";
    for (std::size_t i = 0; i < depth; ++i) xml += "</array>";
    return xml;
  };
  CHECK(Refusal(nested(64)).empty());
  CheckHas(Refusal(nested(65)), "nested");
  CheckHas(Refusal(nested(1'000'000)), "nested");

  PlistLimits limits;
  limits.node_count_max = 3;
  CHECK(Refusal("<array><true/><true/></array>", limits).empty());
  CheckHas(Refusal("<array><true/><true/><true/></array>", limits), "too many");
  limits.size_max_bytes = 10;
  CheckHas(Refusal("<string>abc</string>", limits), "too large");
  // 10 bytes here, but 20 in UTF-8.
  limits.size_max_bytes = 60;
  const std::string latin =
      "<?xml encoding='latin1'?><string>" + std::string(17, '\xE4') + "</string>";
  REQUIRE(latin.size() <= 60);
  CheckHas(Refusal(latin, limits), "too large");
}

TEST_CASE("large inputs take no more than n log n") {
  std::string xml = "<dict>";
  for (int i = 0; i < 100'000; ++i) xml += "<key>k" + std::to_string(i) + "</key><true/>";
  xml += "</dict>";
  CHECK(MustDecode(xml).AsDict()->entries().size() == 100'000);
  // Entities by the million in one text: quadratic readers need minutes.
  std::string text = "<string>";
  for (int i = 0; i < 2'000'000; ++i) text += "&lt;";
  CHECK(MustDecode(text + "</string>").AsString()->size() == 2'000'000);
}

TEST_CASE("XML is written as Apple's tools do") {
  const PlistDict dict = MakeDict({{"b", PlistArray{true, PlistInteger{true, 5}, 0.1}},
                                   {"a", "<&>\r\n\xC3\xA4"},
                                   {"e", PlistDict{}},
                                   {"f", PlistArray{}},
                                   {"d", PlistData{"\x01\x02"}},
                                   {"t", PlistDate{-62135596800}}});
  CHECK(EncodePlistXml(PlistValue(dict)) ==
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" "
        "\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n"
        "<plist version=\"1.0\">\n"
        "<dict>\n"
        "\t<key>b</key>\n"
        "\t<array>\n\t\t<true/>\n\t\t<integer>-5</integer>\n\t\t<real>0.1</real>\n\t</array>\n"
        "\t<key>a</key>\n\t<string>&lt;&amp;&gt;&#13;\n\xC3\xA4</string>\n"
        "\t<key>e</key>\n\t<dict/>\n"
        "\t<key>f</key>\n\t<array/>\n"
        "\t<key>d</key>\n\t<data>AQI=</data>\n"
        "\t<key>t</key>\n\t<date>0001-01-01T00:00:00Z</date>\n"
        "</dict>\n"
        "</plist>\n");
}

TEST_CASE("canonical bytes tell types and contents apart, not documents") {
  const auto bytes = [](const PlistValue& value) { return CanonicalPlistBytes(value); };
  CHECK(bytes(MakeDict({{"a", "1"}, {"b", "2"}})) == bytes(MakeDict({{"b", "2"}, {"a", "1"}})));
  CHECK(bytes(0.0) == bytes(-0.0));
  CHECK(bytes(std::nan("1")) == bytes(-std::nan("2")));
  CHECK(bytes(PlistInteger{true, 0}) == bytes(PlistInteger{false, 0}));
  const std::vector<PlistValue> different = {true,
                                             false,
                                             PlistInteger{false, 1},
                                             PlistInteger{true, 1},
                                             1.0,
                                             "1",
                                             PlistData{"1"},
                                             PlistDate{1},
                                             PlistArray{},
                                             PlistArray{"1"},
                                             PlistArray{"1", "1"},
                                             PlistArray{PlistArray{"1"}},
                                             PlistDict{},
                                             MakeDict({{"1", "1"}}),
                                             MakeDict({{"11", ""}}),
                                             ""};
  for (std::size_t i = 0; i < different.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) CHECK(bytes(different[i]) != bytes(different[j]));
  }
  // Frozen: revisions are named by a hash of this.
  CHECK(bytes(MakeDict({{"k", PlistArray{PlistInteger{true, 258}}}})) ==
        "m\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1ka\0\0\0\0\0\0\0\1i-\0\0\0\0\0\0\1\2"s);
}

}  // namespace
}  // namespace director::mdm_plist_test
