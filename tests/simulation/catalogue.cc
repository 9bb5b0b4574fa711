#include "tests/simulation/catalogue.h"

#include <fmt/core.h>

#include <string>
#include <utility>

#include "base/invariant.h"
#include "mdm/account_configuration.h"
#include "mdm/app.h"
#include "tests/support/app_parts.h"

namespace director::simulation {
namespace {

AppSpec SpecOf(CatalogueApp app, int edition) {
  const std::string version = fmt::format("1.{}", edition);
  AppSpec spec;
  switch (app) {
    case CatalogueApp::kPackage:
      spec.identifier = "com.example.package";
      spec.version = version;
      spec.manifest = test::AgentManifest(spec.identifier, version);
      spec.install_as_managed = true;
      break;
    case CatalogueApp::kStore:
      spec.identifier = "com.example.store";
      spec.is_app_store = true;
      break;
    case CatalogueApp::kManifest:
      spec.identifier = "com.example.manifest";
      spec.version = version;
      spec.install_as_managed = true;
      spec.manifest_url =
          fmt::format("https://repo.example/com.example.manifest-{}.plist", version);
      break;
    case CatalogueApp::kAtEnrollment:
      spec.identifier = "com.example.enrollment";
      spec.version = version;
      spec.manifest = test::AgentManifest(spec.identifier, version);
      break;
    case CatalogueApp::kUnnamed:
      spec.manifest_url = "https://repo.example/com.example.unnamed-1.0.plist";
      break;
  }
  return spec;
}

}  // namespace

ItemDefinition CatalogueDefinition(CatalogueApp app, int edition) {
  Result<ItemDefinition> definition = DefineApp(SpecOf(app, edition));
  INVARIANT(definition.has_value());
  return std::move(*definition);
}

PayloadIdentifier CatalogueItem(CatalogueApp app) { return CatalogueDefinition(app, 1).item; }

ItemDefinition AccountsDefinition(int edition) {
  PlistDict administrator;
  administrator.Set("shortName", fmt::format("admin{}", edition));
  administrator.Set("passwordHash", PlistData{"SECRET-password-hash"});
  PlistDict accounts;
  accounts.Set("AutoSetupAdminAccounts", PlistArray{std::move(administrator)});
  Result<ItemDefinition> definition = DefineAccounts(EncodePlistXml(std::move(accounts)));
  INVARIANT(definition.has_value());
  return std::move(*definition);
}

}  // namespace director::simulation
