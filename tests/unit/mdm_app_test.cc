#include <string>

#include "mdm/app.h"
#include "tests/support/app_parts.h"
#include "tests/support/catch.h"

namespace director::mdm_app_test {
namespace {

using test::AgentManifest;

std::string RefusedField(const AppSpec& spec) {
  const Result<ItemDefinition> defined = DefineApp(spec);
  REQUIRE_FALSE(defined);
  CHECK(defined.error().kind == ErrorKind::kInvalid);
  return defined.error().field;
}

AppSpec ByManifest(std::string manifest) {
  AppSpec spec;
  spec.manifest = std::move(manifest);
  return spec;
}

TEST_CASE("an app is named by its bundle identifier, or else by where it comes from") {
  AppSpec by_manifest = ByManifest(AgentManifest("com.ex.pkg", "1.2"));
  const ItemDefinition unproved = DefineApp(by_manifest).value();
  CHECK(unproved.item == PayloadIdentifier("app:https://repo.example/agent.pkg"));
  CHECK(unproved.version.empty());
  CHECK(unproved.request_type == "InstallEnterpriseApplication");
  by_manifest.identifier = "com.ex.a";
  by_manifest.version = "1.2";
  const ItemDefinition proved = DefineApp(by_manifest).value();
  CHECK(proved.item == PayloadIdentifier("app:com.ex.a"));
  CHECK(proved.version == "1.2");

  AppSpec by_url;
  by_url.identifier = "com.ex.a";
  by_url.manifest_url = "https://repo.example/a.plist";
  const ItemDefinition known = DefineApp(by_url).value();
  CHECK(BundleIdentifierOf(known.item) == "com.ex.a");
  CHECK(known.request_type == "InstallApplication");

  by_url.identifier.clear();
  const ItemDefinition unknown = DefineApp(by_url).value();
  CHECK(unknown.item == PayloadIdentifier("app:https://repo.example/a.plist"));
  CHECK(BundleIdentifierOf(unknown.item).empty());
}

TEST_CASE("a definition comes back from the bytes that are stored, under the same name") {
  AppSpec spec = ByManifest(AgentManifest("com.ex.a", "1.2"));
  spec.identifier = "com.ex.a";
  spec.version = "1.2";
  const ItemDefinition app = DefineApp(spec).value();
  const ItemDefinition back = DecodeDefinition(EncodeDefinition(app)).value();
  CHECK(back.item == app.item);
  CHECK(back.version == app.version);
  CHECK(back.arguments == app.arguments);
  CHECK(NameDefinition(back) == NameDefinition(app));
  spec.version = "1.3";
  CHECK(NameDefinition(DefineApp(spec).value()) != NameDefinition(app));
  CHECK(DecodeDefinition("<plist><dict/></plist>").error().kind == ErrorKind::kCorrupt);
}

TEST_CASE("what no device could install is refused by the name of the field") {
  AppSpec spec;
  CHECK(RefusedField(spec) == "manifest");
  spec.manifest_url = "http://repo.example/a.plist";
  CHECK(RefusedField(spec) == "manifest_url");
  spec.manifest_url = "https://repo.example/a.plist";
  spec.itunes_store_id = 1;
  CHECK(RefusedField(spec) == "manifest");
  spec.manifest_url.clear();
  CHECK(RefusedField(spec) == "identifier");
  spec.identifier = "com.ex.a";
  spec.purchase_method = 2;
  CHECK(RefusedField(spec) == "purchase_method");
  spec.purchase_method = 1;
  spec.management_flags = 2;
  CHECK(RefusedField(spec) == "management_flags");
  spec.management_flags.reset();
  spec.configuration = "no plist";
  CHECK(RefusedField(spec) == "configuration");
  spec.configuration.clear();
  spec.identifier = "com.ex\na";
  CHECK(RefusedField(spec) == "identifier");
}

TEST_CASE("a manifest that macOS could not use is refused") {
  CHECK(RefusedField(ByManifest("<html>404</html>")) == "manifest");
  CHECK(RefusedField(ByManifest("<plist><array/></plist>")) == "manifest");
  CHECK(RefusedField(ByManifest("<plist><dict/></plist>")) == "manifest");
  CHECK(RefusedField(ByManifest(AgentManifest("", "1"))) == "manifest");
  std::string insecure = AgentManifest("com.ex.a", "1");
  insecure.replace(insecure.find("https://"), 8, "http://");
  CHECK(RefusedField(ByManifest(insecure)) == "manifest");
  CHECK(RefusedField(ByManifest(std::string(kManifestSizeMaxBytes + 1, ' '))) == "manifest");
}

TEST_CASE("versions are compared part by part, numbers as numbers") {
  const auto is_less = [](std::string_view a, std::string_view b) {
    return CompareVersions(a, b) < 0 && CompareVersions(b, a) > 0;
  };
  CHECK(is_less("1.9", "1.10"));
  CHECK(is_less("1.2", "1.2.1"));
  CHECK(is_less("9", "10.0"));
  CHECK(is_less("1.2.beta", "1.2.rc"));
  CHECK(is_less("4.99999999999999999999", "4.100000000000000000000"));
  CHECK((CompareVersions("1.2", "1.2.0") == 0));
  CHECK((CompareVersions("01.2", "1.02") == 0));
  CHECK((CompareVersions("", "0") == 0));
  CHECK((CompareVersions("1..2", "1.0.2") == 0));
}

}  // namespace
}  // namespace director::mdm_app_test
