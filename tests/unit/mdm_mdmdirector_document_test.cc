// The vectors were computed with the libraries of MDMDirector itself.
#include <string>

#include "base/digest.h"
#include "mdm/mdmdirector_document.h"
#include "mdm/plist.h"
#include "tests/support/catch.h"

namespace director::mdm_mdmdirector_document_test {
namespace {

const std::string kTiny =
    "<plist version=\"1.0\"><dict><key>PayloadIdentifier</key><string>com.ex.tiny</string>"
    "<key>PayloadUUID</key><string>ABC</string></dict></plist>";

const std::string kMixed =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
    "<plist version=\"1.0\"><dict>\n"
    "<key>Zulu</key><array><true/><string>a</string><false/></array>\n"
    "<key>PayloadIdentifier</key><string>com.example.vector</string>\n"
    "<key>PayloadUUID</key><string>11111111-2222-3333-4444-555555555555</string>\n"
    "<key>alpha</key><string>x \"y\" 'z' &amp; &lt;t&gt;</string>\n"
    "<key>Empty</key><dict/>\n"
    "<key>Blob</key><data>AAEC/w==</data>\n"
    "<key>When</key><date>2024-05-06T07:08:09Z</date>\n"
    "<key>Num</key><integer>-3</integer>\n"
    "<key>Big</key><real>1234567.5</real>\n"
    "<key>On</key><true/>\n"
    "</dict></plist>\n";

std::string Body(const std::string& elements) {
  const auto document =
      ForOneDevice("<plist version=\"1.0\"><dict>" + elements + "</dict></plist>");
  REQUIRE(document);
  const std::string& xml = document->mobileconfig;
  const std::size_t begin = xml.find("\t<dict>") + 7;
  return xml.substr(begin, xml.find("\n\t\t<key>PayloadUUID") - begin);
}

TEST_CASE("the PayloadUUIDs of one device and of all are MDMDirector's") {
  REQUIRE(kTiny.size() == 140);
  const auto tiny = ForOneDevice(kTiny);
  REQUIRE(tiny);
  CHECK(tiny->payload_uuid == "3eb1cecd-f497-5e22-ba53-bc2919c681fb");
  CHECK(tiny->original_payload_uuid == "ABC");
  CHECK(tiny->mobileconfig.size() == 333);
  CHECK(Sha256Hex(tiny->mobileconfig) ==
        "5d9ca86f867f5fc183e29dd53c67f3878587f97bd346d95f5938623053c1a69d");

  const auto shared = ForAllDevices(kTiny);
  REQUIRE(shared);
  CHECK(shared->payload_uuid == "64174056-a28c-59a3-b20a-af9dbea119e4");
  CHECK(shared->original_payload_uuid == tiny->payload_uuid);
  CHECK(Sha256Hex(shared->mobileconfig) ==
        "d525081ce07386cf08fd9f825bc04002a76dea9b0e9913905ff6d1e7485e0316");
}

TEST_CASE("every kind of value is written as MDMDirector writes it") {
  REQUIRE(Sha256Hex(kMixed) == "9ea2b7cf11685da4991257736c5b58025e1f437b21d31a9b8e53a852be4fbc07");
  const auto mixed = ForOneDevice(kMixed);
  REQUIRE(mixed);
  CHECK(mixed->payload_uuid == "a2b43485-4e16-5149-972e-9deda5d96d10");
  CHECK(mixed->mobileconfig.size() == 737);
  INFO(mixed->mobileconfig);
  CHECK(Sha256Hex(mixed->mobileconfig) ==
        "515883f809351d8d352f05d0917213945873493ec5d92381652f2dd1e55e479e");
  const auto shared = ForAllDevices(kMixed);
  REQUIRE(shared);
  CHECK(shared->payload_uuid == "c88d91d1-572d-50ce-a42a-e6ee7df42982");
  CHECK(Sha256Hex(shared->mobileconfig) ==
        "9632f150dae2ae5b56348f9d5d8ca1bfd7073abd81554a04aa5a9713dbc60b21");
}

TEST_CASE("numbers are written as Go writes them") {
  const auto real = [](const std::string& text) {
    const std::string body = Body("<key>A</key><real>" + text + "</real>");
    const std::size_t begin = body.find("<real>") + 6;
    return body.substr(begin, body.find("</real>") - begin);
  };
  CHECK(real("0.1") == "0.1");
  CHECK(real("0") == "0");
  CHECK(real("-2.50") == "-2.5");
  CHECK(real("123456") == "123456");
  CHECK(real("999999.5") == "999999.5");
  CHECK(real("1000000") == "1e+06");
  CHECK(real("0.0001") == "0.0001");
  CHECK(real("0.00001") == "1e-05");
  CHECK(real("1e100") == "1e+100");
  CHECK(Body("<key>A</key><integer>18446744073709551615</integer>") ==
        "\n\t\t<key>A</key>\n\t\t<integer>18446744073709551615</integer>");
}

TEST_CASE("empty containers, booleans and white space have MDMDirector's form") {
  CHECK(Body("<key>A</key><array/>") == "\n\t\t<key>A</key>\n\t\t<array></array>");
  CHECK(Body("<key>A</key><array><true/><false/></array>") ==
        "\n\t\t<key>A</key>\n\t\t<array><true/><false/></array>");
  CHECK(Body("<key>A</key><array><array><false/></array><true/></array>") ==
        "\n\t\t<key>A</key>\n\t\t<array>\n\t\t\t<array><false/></array><true/>\n\t\t</array>");
  CHECK(Body("<key>A</key><dict><key>b</key><true/></dict>") ==
        "\n\t\t<key>A</key>\n\t\t<dict>\n\t\t\t<key>b</key><true/>\n\t\t</dict>");
  CHECK(Body("<key>A</key><false/><key>B</key><data/>") ==
        "\n\t\t<key>A</key><false/>\n\t\t<key>B</key>\n\t\t<data></data>");
  CHECK(Body("<key>A</key><string> a\tb\nc </string>") ==
        "\n\t\t<key>A</key>\n\t\t<string> a&#x9;b\nc </string>");
  CHECK(Body("<key>B</key><true/><key>A\nb</key><true/>") ==
        "\n\t\t<key>A&#xA;b</key><true/>\n\t\t<key>B</key><true/>");
}

TEST_CASE("characters that XML does not know are refused") {
  // MDMDirector replaces them: two keys could become one, which no device would take.
  for (const std::string text : {"a\x01", "\xEF\xBF\xBE", "b\xEF\xBF\xBF"}) {
    PlistDict root;
    root.Set("A", text);
    CHECK_FALSE(ForOneDevice(EncodePlistBinary(PlistValue(std::move(root)))));
  }
  CHECK(ForOneDevice("<plist><dict><key>\xEF\xBF\xBD</key><true/></dict></plist>"));
}

TEST_CASE("white space between the elements makes another revision") {
  const auto spaced = ForOneDevice(kTiny + "\n");
  REQUIRE(spaced);
  CHECK(spaced->payload_uuid != ForOneDevice(kTiny)->payload_uuid);
}

TEST_CASE("what is no dictionary is refused") {
  CHECK_FALSE(ForOneDevice("<plist version=\"1.0\"><array/></plist>"));
  CHECK_FALSE(ForOneDevice("no property list"));
  CHECK_FALSE(ForAllDevices(""));
}

}  // namespace
}  // namespace director::mdm_mdmdirector_document_test
