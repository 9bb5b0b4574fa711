#include <string>

#include "mdm/account_configuration.h"
#include "tests/support/catch.h"

namespace director::mdm_account_configuration_test {
namespace {

PlistDict Administrator(const std::string& short_name) {
  PlistDict administrator;
  administrator.Set("shortName", short_name);
  PlistDict accounts;
  accounts.Set("AutoSetupAdminAccounts", PlistArray{std::move(administrator)});
  return accounts;
}

std::string RefusedField(PlistDict accounts) {
  const Result<ItemDefinition> defined = DefineAccounts(EncodePlistXml(std::move(accounts)));
  REQUIRE_FALSE(defined);
  CHECK(defined.error().kind == ErrorKind::kInvalid);
  return defined.error().field;
}

TEST_CASE("the accounts of Setup Assistant are one item, whatever they are") {
  PlistDict accounts = Administrator("itadmin");
  accounts.Set("PrimaryAccountUserName", "ann");
  accounts.Set("ManagedLocalUserShortName", "itadmin");
  const ItemDefinition defined = DefineAccounts(EncodePlistXml(accounts)).value();
  CHECK(defined.item == AccountsItem());
  CHECK(KindOf(defined.item) == ItemKind::kAccounts);
  CHECK(defined.arguments == accounts);
  CHECK(AccountNamesOf(defined) == std::vector<std::string>{"itadmin", "ann"});
}

TEST_CASE("accounts that would leave a Mac half enrolled are refused") {
  PlistDict twins = Administrator("Ann");
  twins.Set("PrimaryAccountUserName", "ann");
  CHECK(RefusedField(twins) == "PrimaryAccountUserName");
  CHECK(RefusedField(Administrator("root")) == "AutoSetupAdminAccounts");
  CHECK(RefusedField(Administrator("_mdm")) == "AutoSetupAdminAccounts");
  CHECK(RefusedField(Administrator("")) == "AutoSetupAdminAccounts");
  PlistDict skips;
  skips.Set("SkipPrimarySetupAccountCreation", true);
  CHECK(RefusedField(skips) == "SkipPrimarySetupAccountCreation");
}

TEST_CASE("what Apple does not know is refused") {
  PlistDict unknown = Administrator("itadmin");
  unknown.Set("RequestType", "EraseDevice");
  CHECK(RefusedField(unknown) == "RequestType");
  PlistDict wrong;
  wrong.Set("LockPrimaryAccountInfo", "yes");
  CHECK(RefusedField(wrong) == "LockPrimaryAccountInfo");
  PlistDict list;
  list.Set("AutoSetupAdminAccounts", PlistArray{});
  CHECK(RefusedField(list) == "AutoSetupAdminAccounts");
  CHECK(RefusedField({}).empty());
  CHECK_FALSE(DefineAccounts("no plist"));
  CHECK_FALSE(DefineAccounts(std::string(kAccountConfigurationSizeMaxBytes + 1, ' ')));
}

TEST_CASE("profiles tell which accounts they make or take for a user's") {
  PlistDict guest;
  guest.Set("PayloadType", "com.apple.MCX");
  guest.Set("EnableGuestAccount", true);
  PlistDict login;
  login.Set("PayloadType", "com.apple.loginwindow");
  login.Set("AutologinUsername", "kiosk");
  PlistDict profile;
  profile.Set("PayloadContent", PlistArray{std::move(guest), std::move(login), "odd"});
  CHECK(AccountNamesOfProfile(EncodePlistXml(std::move(profile))) ==
        std::vector<std::string>{"Guest", "kiosk"});
  CHECK(AccountNamesOfProfile("no plist").empty());
}

}  // namespace
}  // namespace director::mdm_account_configuration_test
