// POST and GET of profiles over real HTTP, with every bad body that the API names.

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "director/api.h"
#include "mdm/profile.h"
#include "signing/signer.h"
#include "tests/support/catch.h"
#include "tests/support/director_parts.h"
#include "tests/support/director_service.h"

namespace director::director_api_profiles_test {
namespace {

using Json = nlohmann::json;
using director_test::ApiAnswer;
using director_test::MakeMobileconfig;
using director_test::MakeProfileDict;
using director_test::Service;

Json Files(const std::vector<std::string>& files) {
  Json profiles = Json::array();
  for (const std::string& file : files) profiles.push_back({{"mobileconfig", EncodeBase64(file)}});
  return {{"profiles", profiles}};
}

std::size_t Stored(Service& service) { return service.Get("/profiles").json["profiles"].size(); }

ApiAnswer PostFile(Service& service, const std::string& bytes) {
  return service.Send("POST", "/api/v1/profiles", bytes, "application/x-apple-aspen-config");
}

TEST_CASE("a profile is stored once, whatever form it comes in") {
  Service service;
  const PlistDict dict = MakeProfileDict("com.example.wifi");
  const ApiAnswer xml = PostFile(service, EncodePlistXml(dict));
  INFO(xml.body);
  REQUIRE(xml.status == 201);
  const Json& profile = xml.json["profiles"][0];
  CHECK(profile["is_new"] == true);
  CHECK(profile["payload_identifier"] == "com.example.wifi");
  CHECK(profile["source"] == "api");

  const ApiAnswer json = service.Post("/profiles", Files({EncodePlistXml(dict)}));
  CHECK(json.status == 200);
  CHECK(json.json["profiles"][0]["is_new"] == false);
  CHECK(json.json["profiles"][0]["payload_uuid"] == profile["payload_uuid"]);

  director_test::TempFolder folder;
  const Timestamp now = service.clock().Now();
  SigningFiles files;
  files.certificate_file = folder.Write("signer.pem", director_test::MakePem("Signer", now));
  files.key_file = files.certificate_file;
  const auto signer = LoadSigner(files, now);
  REQUIRE(signer);
  const Result<std::string> wrapped = (*signer)->Sign(EncodePlistXml(dict));
  REQUIRE(wrapped);
  const ApiAnswer as_signed = PostFile(service, *wrapped);
  CHECK(as_signed.status == 200);
  CHECK(as_signed.json["profiles"][0]["payload_uuid"] == profile["payload_uuid"]);
  CHECK(Stored(service) == 1);
}

TEST_CASE("a stored profile can be read back by its PayloadUUID in any letter case") {
  Service service;
  const std::string uuid = service.Upload(MakeMobileconfig("com.example.wifi"));
  const ApiAnswer found = service.Get("/profiles/" + ToLowerAscii(uuid));
  CHECK(found.status == 200);
  CHECK(found.json["payload_uuid"] == uuid);
  const ApiAnswer file = service.Get("/profiles/" + uuid + "/mobileconfig");
  CHECK(file.status == 200);
  CHECK(file.content_type == "application/x-apple-aspen-config");
  const Result<Profile> parsed = ParseProfile(file.body);
  REQUIRE(parsed);
  CHECK(parsed->payload_uuid.value() == uuid);
  for (const char* unknown : {"/profiles/none", "/profiles/none/mobileconfig", "/profiles/%00"}) {
    CHECK(service.Get(unknown).status == 404);
  }
}

TEST_CASE("base64 with line ends is accepted") {
  Service service;
  std::string text = EncodeBase64(MakeMobileconfig("com.example.wifi"));
  for (std::size_t i = 76; i < text.size(); i += 78) text.insert(i, "\r\n");
  CHECK(service.Post("/profiles", {{"profiles", {{{"mobileconfig", text}}}}}).status == 201);
}

TEST_CASE("an older list of revisions can be filtered by identifier") {
  Service service;
  service.Upload(MakeMobileconfig("com.example.a"));
  service.Upload(MakeMobileconfig("com.example.b"));
  service.Upload(MakeMobileconfig("com.example.b", "Another"));
  CHECK(service.Get("/profiles?payload_identifier=com.example.b").json["profiles"].size() == 2);
  CHECK(service.Get("/profiles?limit=1").json["next"].is_string());
  CHECK(service.Get("/profiles?payload_identifier=none").json["profiles"].empty());
}

TEST_CASE(
    "profiles that cannot be used are refused by name, and nothing of the request is stored") {
  Service service;
  PlistDict root = MakeProfileDict("com.example.x");
  root.Erase("PayloadIdentifier");
  const std::string good = MakeMobileconfig("com.example.good");

  SECTION("no PayloadIdentifier") {
    const ApiAnswer refused = PostFile(service, EncodePlistXml(root));
    CHECK(refused.status == 400);
    CHECK(refused.Names("PayloadIdentifier"));
  }
  SECTION("an empty PayloadIdentifier") {
    const ApiAnswer refused = PostFile(service, MakeMobileconfig(""));
    CHECK(refused.status == 400);
    CHECK(refused.Names("PayloadIdentifier"));
  }
  SECTION("the bad one of several is named by its place") {
    const ApiAnswer refused = service.Post("/profiles", Files({good, MakeMobileconfig("")}));
    CHECK(refused.status == 400);
    CHECK(refused.Names("profiles[1].PayloadIdentifier"));
  }
  SECTION("one identifier twice in one request") {
    const ApiAnswer refused = service.Post(
        "/profiles", Files({good, MakeMobileconfig("com.example.good", "Another organization")}));
    CHECK(refused.status == 400);
    CHECK(refused.Names("profiles[1].PayloadIdentifier"));
  }
  SECTION("no property list, an empty body, rubbish") {
    for (const std::string& bytes : {std::string(), std::string("hello"), std::string(1000, '\0'),
                                     std::string("\x30\x82\x01"), std::string("bplist00")}) {
      CHECK(PostFile(service, bytes).status == 400);
    }
  }
  SECTION("an entity bomb") {
    std::string bomb = "<?xml version=\"1.0\"?><!DOCTYPE plist [<!ENTITY a0 \"aaaaaaaaaa\">";
    for (int i = 1; i < 12; ++i) {
      bomb += fmt::format("<!ENTITY a{} \"", i);
      for (int j = 0; j < 10; ++j) bomb += fmt::format("&a{};", i - 1);
      bomb += "\">";
    }
    bomb +=
        "]><plist version=\"1.0\"><dict><key>PayloadIdentifier</key><string>&a11;</string>"
        "</dict></plist>";
    CHECK(PostFile(service, bomb).status == 400);
  }
  CHECK(Stored(service) == 0);
}

TEST_CASE("an enrollment profile is refused as such") {
  Service service;
  PlistDict payload;
  payload.Set("PayloadType", "com.apple.mdm");
  payload.Set("PayloadVersion", PlistInteger::FromSigned(1));
  payload.Set("PayloadIdentifier", "com.example.mdm");
  payload.Set("PayloadUUID", "33333333-0000-4000-8000-000000000003");
  PlistArray content;
  content.push_back(payload);
  PlistDict root = MakeProfileDict("com.example.enrollment");
  root.Set("PayloadContent", content);
  for (const ApiAnswer& refused : {PostFile(service, EncodePlistXml(root)),
                                   service.Post("/profiles", Files({EncodePlistXml(root)}))}) {
    INFO(refused.body);
    CHECK(refused.status == 422);
    CHECK(refused.Names("PayloadContent"));
    CHECK(refused.body.find("com.apple.mdm") != std::string::npos);
  }
  CHECK(Stored(service) == 0);
}

TEST_CASE("JSON bodies of POST /profiles that are wrong are refused with the key") {
  Service service;
  const Json file = {{"mobileconfig", EncodeBase64(MakeMobileconfig("com.example.a"))}};
  const std::vector<std::pair<Json, std::string>> bad = {
      {Json::object(), "profiles"},
      {{{"profiles", nullptr}}, "profiles"},
      {{{"profiles", Json::array()}}, "profiles"},
      {{{"profiles", "text"}}, "profiles"},
      {{{"profiles", {1}}}, "profiles[0].mobileconfig"},
      {{{"profiles", {Json::object()}}}, "profiles[0].mobileconfig"},
      {{{"profiles", {{{"mobileconfig", 7}}}}}, "profiles[0].mobileconfig"},
      {{{"profiles", {{{"mobileconfig", "!!!"}}}}}, "profiles[0].mobileconfig"},
      {{{"profiles", {{{"mobileconfig", "QQ"}, {"name", "x"}}}}}, "profiles[0].mobileconfig"},
      {{{"profiles", {file}}, {"sauce", "x"}}, "sauce"},
      {{{"profiles", {file}}, {"source", 1}}, "source"},
      {{{"profiles", {file}}, {"source", ""}}, "source"},
      {{{"profiles", {file}}, {"source", std::string(65, 's')}}, "source"},
  };
  for (const auto& [body, field] : bad) {
    const ApiAnswer refused = service.Post("/profiles", body);
    INFO(field << " -> " << refused.body);
    CHECK(refused.status == 400);
    CHECK(refused.content_type == "application/problem+json");
    CHECK(refused.Names(field));
  }
  CHECK(service.Send("POST", "/api/v1/profiles?sauce=x", "x").status == 400);
  CHECK(Stored(service) == 0);
}

TEST_CASE("a file above the largest profile and a body above the bound are refused") {
  Service service;
  PlistDict large = MakeProfileDict("com.example.large");
  large.Set("PayloadDescription", std::string(kProfileSizeMaxBytes, 'x'));
  CHECK(PostFile(service, EncodePlistXml(large)).status == 400);
  CHECK(Stored(service) == 0);
}

TEST_CASE("a multipart form is refused with a hint, not with an internal error") {
  Service service;
  const ApiAnswer refused =
      service.Send("POST", "/api/v1/profiles",
                   "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--x--\r\n",
                   "multipart/form-data; boundary=x");
  INFO(refused.body);
  CHECK(refused.status == 415);
  CHECK(refused.content_type == "application/problem+json");
}

}  // namespace
}  // namespace director::director_api_profiles_test
