#include "store/report_json.h"
#include "tests/support/catch.h"

namespace director::store_report_json_test {

TEST_CASE("reported profiles survive the way through JSON") {
  const std::vector<ReportedProfile> profiles = {
      {PayloadIdentifier("com.example.wifi"), "AB-cd", "Näme \"x\"\n\\", true, false},
      {PayloadIdentifier("com.example.vpn"), "", "", false, true}};
  const auto decoded = DecodeReportedProfiles(EncodeReportedProfiles(profiles));
  REQUIRE(decoded);
  CHECK(*decoded == profiles);
  CHECK(EncodeReportedProfiles({}) == "[]");
  REQUIRE(DecodeReportedProfiles("[]"));
  CHECK(DecodeReportedProfiles("[]")->empty());
}

TEST_CASE("equal reports are equal bytes, in any process") {
  const std::vector<ReportedProfile> profiles = {
      {PayloadIdentifier("com.example.wifi"), "U", "N", true, true}};
  CHECK(EncodeReportedProfiles(profiles) ==
        R"([{"ddm":true,"id":"com.example.wifi","mdm":true,"name":"N","uuid":"U"}])");
}

TEST_CASE("broken UTF-8 is replaced, not thrown at") {
  const auto decoded = DecodeReportedProfiles(
      EncodeReportedProfiles({{PayloadIdentifier("com.example"), "", "\xff", false, false}}));
  REQUIRE(decoded);
  CHECK(decoded->at(0).display_name == "\xef\xbf\xbd");
}

TEST_CASE("what is no report is corrupt") {
  for (const char* text :
       {"", "{}", "[1]", "[{}]", R"([{"id":""}])", R"([{"id":1}])", R"([{"id":"a","mdm":"yes"}])",
        R"([{"id":"a"}])"
        "x",
        "[{\"id\":\"a\"}"}) {
    INFO(text);
    const auto decoded = DecodeReportedProfiles(text);
    REQUIRE_FALSE(decoded);
    CHECK(decoded.error().kind == ErrorKind::kCorrupt);
  }
}

TEST_CASE("strings survive the way through JSON, and nothing else is read") {
  const std::vector<std::string> strings = {"", "a\"b", "ü"};
  REQUIRE(DecodeStrings(EncodeStrings(strings)));
  CHECK(*DecodeStrings(EncodeStrings(strings)) == strings);
  CHECK(EncodeStrings({}) == "[]");
  for (const char* text : {"", "null", "[1]", "{\"a\":1}"}) {
    INFO(text);
    REQUIRE_FALSE(DecodeStrings(text));
    CHECK(DecodeStrings(text).error().kind == ErrorKind::kCorrupt);
  }
}

}  // namespace director::store_report_json_test
