#include <algorithm>
#include <string>
#include <vector>

#include "mdm/event.h"
#include "tests/support/catch.h"

namespace director::mdm_event_test {
namespace {

using std::string_literals::operator""s;

PlistDict Dict(std::vector<PlistDict::Entry> entries) {
  auto dict = PlistDict::FromEntries(std::move(entries));
  REQUIRE(dict);
  return *dict;
}

Channel MustDecodeChannel(const PlistDict& message) {
  const auto channel = DecodeChannel(message);
  REQUIRE(channel);
  return *channel;
}

template <typename T>
std::string RefusedField(const Result<T>& result) {
  if (result) return "accepted";
  CHECK(result.error().kind == ErrorKind::kInvalid);
  return result.error().field;
}

/// A result with the keys that every result has, and one more.
PlistDict ResultWith(const std::string& key, PlistValue value) {
  PlistDict message = Dict({{"Status", "Acknowledged"}, {"CommandUUID", "u"}});
  message.Set(key, std::move(value));
  return message;
}

ResultEvent MustDecodeResult(const PlistDict& message) {
  const auto body = DecodeResult(message);
  REQUIRE(body);
  const auto* event = std::get_if<ResultEvent>(&*body);
  REQUIRE(event != nullptr);
  return *event;
}

const std::vector<PlistValue>& OneOfEachType() {
  static const std::vector<PlistValue> values = {
      true,         PlistInteger{false, 1}, 1.5,        "x", PlistData{"x"},
      PlistDate{1}, PlistArray{true},       PlistDict{}};
  return values;
}

/// Checks that `decode` refuses `key` with each type but those at the `accepted` places of
/// OneOfEachType.
template <typename Decode>
void CheckTypes(const PlistDict& message, const std::string& key, std::vector<std::size_t> accepted,
                Decode decode) {
  for (std::size_t i = 0; i < OneOfEachType().size(); ++i) {
    INFO(key << " as type " << i);
    PlistDict changed = message;
    changed.Set(key, OneOfEachType()[i]);
    const bool is_accepted = std::find(accepted.begin(), accepted.end(), i) != accepted.end();
    const auto result = decode(changed);
    CHECK(result.has_value() == is_accepted);
    if (!result) CHECK(result.error().field.find(key) != std::string::npos);
  }
}

TEST_CASE("channel types have the names of the webhook") {
  for (const auto* name :
       {"Device", "User", "Shared iPad", "User Enrollment (Device)", "User Enrollment"}) {
    const auto type = ParseChannelType(name);
    REQUIRE(type);
    CHECK(ChannelTypeName(*type) == name);
  }
  CHECK_FALSE(ParseChannelType("device"));
  CHECK_FALSE(ParseChannelType(""));
}

TEST_CASE("enrollment ids follow NanoMDM for each kind of channel") {
  const auto device = MustDecodeChannel(Dict({{"UDID", "D"}, {"EnrollmentID", "E"}}));
  CHECK(device == Channel{EnrollmentId("D"), EnrollmentId("D"), ChannelType::kDevice, "D", ""});

  const auto user =
      MustDecodeChannel(Dict({{"UDID", "D"}, {"UserID", "U"}, {"UserShortName", "jo"}}));
  CHECK(user == Channel{EnrollmentId("D:U"), EnrollmentId("D"), ChannelType::kUser, "D", "U"});

  const auto ipad = MustDecodeChannel(Dict({{"UDID", "D"},
                                            {"UserID", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"},
                                            {"UserShortName", "jo@example.com"}}));
  CHECK(ipad == Channel{EnrollmentId("D:jo@example.com"), EnrollmentId("D"),
                        ChannelType::kSharedIpad, "D", "jo@example.com"});

  const auto enrollment = MustDecodeChannel(Dict({{"EnrollmentID", "E"}}));
  CHECK(enrollment ==
        Channel{EnrollmentId("E"), EnrollmentId("E"), ChannelType::kUserEnrollmentDevice, "", ""});

  const auto enrollment_user =
      MustDecodeChannel(Dict({{"EnrollmentID", "E"}, {"EnrollmentUserID", "V"}, {"UDID", ""}}));
  CHECK(enrollment_user ==
        Channel{EnrollmentId("E:V"), EnrollmentId("E"), ChannelType::kUserEnrollment, "", "V"});
}

TEST_CASE("identities that cannot be ids are refused") {
  CHECK(RefusedField(DecodeChannel({})) == "UDID");
  CHECK(RefusedField(DecodeChannel(Dict({{"UDID", ""}, {"EnrollmentID", ""}}))) == "UDID");
  CHECK(RefusedField(DecodeChannel(
            Dict({{"UDID", "D"}, {"UserID", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"}}))) ==
        "UserShortName");
  for (const auto& bad : std::vector<std::string>{
           "a:b", "a/b", "a\\b", "a\"b", "a'b", "a`b", "a,b", "a\nb", "a\x7F", "a\u0085b",
           "a\u009Bb", "a\0b"s, ".", "..", std::string(256, 'a'), std::string(10'000, 'a')}) {
    INFO(bad.substr(0, 10));
    CHECK(RefusedField(DecodeChannel(Dict({{"UDID", PlistValue(bad)}}))) == "UDID");
    CHECK(RefusedField(DecodeChannel(Dict({{"EnrollmentID", PlistValue(bad)}}))) == "EnrollmentID");
    CHECK(RefusedField(DecodeChannel(Dict({{"UDID", "D"}, {"UserID", PlistValue(bad)}}))) ==
          "UserID");
    CHECK(RefusedField(DecodeChannel(
              Dict({{"EnrollmentID", "E"}, {"EnrollmentUserID", PlistValue(bad)}}))) ==
          "EnrollmentUserID");
  }
  const std::string half(128, 'a');
  CHECK_FALSE(DecodeChannel(Dict({{"UDID", PlistValue(half)}, {"UserID", PlistValue(half)}})));
  CHECK(DecodeChannel(Dict({{"UDID", PlistValue(std::string(255, 'a'))}})));
  CheckTypes({}, "UDID", {3}, DecodeChannel);
  CheckTypes({}, "EnrollmentID", {3}, DecodeChannel);
  CheckTypes(Dict({{"UDID", "D"}}), "UserID", {3}, DecodeChannel);
  CheckTypes(Dict({{"EnrollmentID", "D"}}), "EnrollmentUserID", {3}, DecodeChannel);
}

TEST_CASE("check-ins decode") {
  const auto authenticate = DecodeCheckin(Dict({{"MessageType", "Authenticate"},
                                                {"SerialNumber", "S"},
                                                {"OSVersion", "15.1"},
                                                {"BuildVersion", "24B1"},
                                                {"ProductName", "Mac14,2"},
                                                {"Model", "M"},
                                                {"DeviceName", "N"},
                                                {"Unknown", PlistArray{}}}));
  REQUIRE(authenticate);
  const auto& facts = std::get<AuthenticateEvent>(*authenticate);
  CHECK(facts.serial_number + facts.os_version + facts.build_version + facts.product_name +
            facts.model + facts.device_name ==
        "S15.124B1Mac14,2MN");
  CHECK(EventName(*authenticate) == "Authenticate");

  const auto bare = DecodeCheckin(Dict({{"MessageType", "TokenUpdate"}}));
  REQUIRE(bare);
  CHECK_FALSE(std::get<TokenUpdateEvent>(*bare).awaiting_configuration.has_value());
  const auto token = DecodeCheckin(Dict({{"MessageType", "TokenUpdate"},
                                         {"AwaitingConfiguration", PlistInteger{false, 0}},
                                         {"UserShortName", "jo"}}));
  REQUIRE(token);
  CHECK(std::get<TokenUpdateEvent>(*token).awaiting_configuration == false);
  CHECK(std::get<TokenUpdateEvent>(*token).user_short_name == "jo");

  const auto check_out = DecodeCheckin(Dict({{"MessageType", "CheckOut"}}));
  REQUIRE(check_out);
  CHECK(std::holds_alternative<CheckOutEvent>(*check_out));

  const auto other = DecodeCheckin(Dict({{"MessageType", "SetBootstrapToken"}}));
  REQUIRE(other);
  CHECK(std::get<OtherEvent>(*other).topic == "SetBootstrapToken");
  CHECK(EventName(*other) == "SetBootstrapToken");
}

TEST_CASE("check-ins with wrong types are refused") {
  CHECK(RefusedField(DecodeCheckin({})) == "MessageType");
  CheckTypes({}, "MessageType", {3}, DecodeCheckin);
  const PlistDict authenticate = Dict({{"MessageType", "Authenticate"}});
  for (const auto* key :
       {"SerialNumber", "OSVersion", "BuildVersion", "ProductName", "Model", "DeviceName"}) {
    CheckTypes(authenticate, key, {3}, DecodeCheckin);
  }
  const PlistDict token = Dict({{"MessageType", "TokenUpdate"}});
  CheckTypes(token, "AwaitingConfiguration", {0, 1}, DecodeCheckin);
  CheckTypes(token, "UserShortName", {3}, DecodeCheckin);
}

TEST_CASE("statuses of results") {
  const auto idle = DecodeResult(Dict({{"Status", "Idle"}}));
  REQUIRE(idle);
  CHECK(std::holds_alternative<IdleEvent>(*idle));
  for (const auto* name : {"Acknowledged", "Error", "CommandFormatError", "NotNow"}) {
    const auto body = DecodeResult(Dict({{"Status", name}, {"CommandUUID", "u"}}));
    REQUIRE(body);
    CHECK(EventName(*body) == name);
    CHECK(std::get<ResultEvent>(*body).command_uuid.value() == "u");
    CHECK(RefusedField(DecodeResult(Dict({{"Status", name}}))) == "CommandUUID");
    CHECK(RefusedField(DecodeResult(Dict({{"Status", name}, {"CommandUUID", ""}}))) ==
          "CommandUUID");
  }
  CHECK(RefusedField(DecodeResult({})) == "Status");
  CHECK(RefusedField(DecodeResult(ResultWith("Status", "Maybe"))) == "Status");
  CheckTypes(ResultWith("Status", "NotNow"), "CommandUUID", {3}, DecodeResult);
  CheckTypes(ResultWith("Status", "NotNow"), "Status", {}, DecodeResult);
}

TEST_CASE("error chains decode with missing keys and codes as text") {
  const auto event = MustDecodeResult(
      ResultWith("ErrorChain",
                 PlistArray{Dict({{"ErrorCode", PlistInteger{true, 50}},
                                  {"ErrorDomain", "D"},
                                  {"LocalizedDescription", "L"},
                                  {"USEnglishDescription", "E"}}),
                            Dict({{"ErrorCode", "12021"}}), PlistDict{},
                            Dict({{"ErrorCode", PlistInteger{false, std::uint64_t{1} << 63}}})}));
  CHECK(event.error_chain ==
        std::vector<ErrorChainEntry>{{-50, "D", "L", "E"}, {12021, "", "", ""}, {}, {}});
  const auto with_entry = [](const PlistDict& entry) {
    return DecodeResult(ResultWith("ErrorChain", PlistArray{PlistDict{}, entry}));
  };
  CheckTypes({}, "ErrorCode", {1}, with_entry);
  CheckTypes({}, "ErrorDomain", {3}, with_entry);
  CheckTypes({}, "LocalizedDescription", {3}, with_entry);
  CheckTypes({}, "USEnglishDescription", {3}, with_entry);
  CHECK(RefusedField(with_entry(Dict({{"ErrorCode", "12 "}}))) == "ErrorChain[1].ErrorCode");
  CHECK(RefusedField(DecodeResult(ResultWith("ErrorChain", PlistArray{"x"}))) == "ErrorChain[0]");
  CheckTypes(ResultWith("Status", "Error"), "ErrorChain", {}, DecodeResult);
  CHECK(MustDecodeResult(ResultWith("ErrorChain", PlistArray{})).error_chain.empty());
}

TEST_CASE("profile lists are read in full or not at all") {
  CHECK_FALSE(MustDecodeResult(ResultWith("Other", true)).profile_list.has_value());
  const auto empty = MustDecodeResult(ResultWith("ProfileList", PlistArray{}));
  REQUIRE(empty.profile_list.has_value());
  CHECK(empty.profile_list->empty());

  const PlistDict plain = Dict({{"PayloadIdentifier", "a"}});
  const PlistDict full =
      Dict({{"PayloadIdentifier", "b"},
            {"PayloadUUID", "uU"},
            {"PayloadDisplayName", "N"},
            {"Source", "Declarative Device Management"},
            {"SignerCertificates", PlistArray{}},
            {"PayloadContent", PlistArray{Dict({{"PayloadType", "com.apple.security.scep"}}),
                                          Dict({{"PayloadType", "com.apple.mdm"}})}}});
  const auto event = MustDecodeResult(ResultWith("ProfileList", PlistArray{plain, full}));
  CHECK(*event.profile_list ==
        std::vector<ReportedProfile>{{PayloadIdentifier("a"), "", "", false, false},
                                     {PayloadIdentifier("b"), "uU", "N", true, true}});

  const auto with_profile = [&plain](const PlistDict& profile) {
    return DecodeResult(ResultWith("ProfileList", PlistArray{plain, profile}));
  };
  CHECK(RefusedField(with_profile({})) == "ProfileList[1].PayloadIdentifier");
  CHECK(RefusedField(with_profile(Dict({{"PayloadIdentifier", ""}}))) ==
        "ProfileList[1].PayloadIdentifier");
  CheckTypes({}, "PayloadIdentifier", {3}, with_profile);
  for (const auto* key : {"PayloadUUID", "PayloadDisplayName", "Source"}) {
    CheckTypes(plain, key, {3}, with_profile);
  }
  CheckTypes(plain, "PayloadContent", {}, with_profile);
  PlistDict odd = plain;
  odd.Set("PayloadContent", PlistArray{Dict({{"PayloadType", true}})});
  CHECK(RefusedField(with_profile(odd)) == "ProfileList[1].PayloadContent[0].PayloadType");
  CheckTypes(ResultWith("Status", "Acknowledged"), "ProfileList", {}, DecodeResult);
}

TEST_CASE("device information decodes what is there") {
  CHECK_FALSE(MustDecodeResult(ResultWith("Other", true)).device_information.has_value());
  const auto event = MustDecodeResult(
      ResultWith("QueryResponses", Dict({{"SerialNumber", "S"},
                                         {"OSVersion", "15.1"},
                                         {"BuildVersion", "24B1"},
                                         {"ProductName", "P"},
                                         {"ModelName", "M"},
                                         {"DeviceName", "\xF0\x9F\x98\x80"},
                                         {"IsSupervised", PlistInteger{false, 1}}})));
  REQUIRE(event.device_information.has_value());
  const auto& report = *event.device_information;
  CHECK(report.serial_number + report.os_version + report.build_version + report.product_name +
            report.model_name + report.device_name ==
        "S15.124B1PM\xF0\x9F\x98\x80");
  CHECK(report.is_supervised == true);
  const auto bare = MustDecodeResult(ResultWith("QueryResponses", PlistDict{}));
  REQUIRE(bare.device_information.has_value());
  CHECK_FALSE(bare.device_information->is_supervised.has_value());

  const auto with_responses = [](const PlistDict& responses) {
    return DecodeResult(ResultWith("QueryResponses", responses));
  };
  for (const auto* key :
       {"SerialNumber", "OSVersion", "BuildVersion", "ProductName", "ModelName", "DeviceName"}) {
    CheckTypes({}, key, {3}, with_responses);
  }
  CheckTypes({}, "IsSupervised", {0, 1}, with_responses);
  CheckTypes(ResultWith("Status", "Acknowledged"), "QueryResponses", {7}, DecodeResult);
}

TEST_CASE("whether a password was verified is told only by the key itself") {
  CHECK_FALSE(MustDecodeResult(ResultWith("Other", true)).password_verified.has_value());
  CHECK(MustDecodeResult(ResultWith("PasswordVerified", true)).password_verified == true);
  CHECK(MustDecodeResult(ResultWith("PasswordVerified", false)).password_verified == false);
  CheckTypes(ResultWith("Status", "Acknowledged"), "PasswordVerified", {0, 1}, DecodeResult);
}

TEST_CASE("a new recovery key is taken as it came, from an acknowledgement, within its bound") {
  const auto key_of = [](const PlistDict& message) {
    return MustDecodeResult(message).encrypted_recovery_key;
  };
  const auto with = [](const PlistValue& key) {
    return ResultWith("RotateResult", Dict({{"EncryptedNewRecoveryKey", key}}));
  };
  CHECK(key_of(with(PlistData{"CMS"})) == "CMS");
  const std::string longest(kEncryptedRecoveryKeyMaxBytes, 'x');
  CHECK(key_of(with(PlistData{longest})) == longest);
  CHECK(key_of(with(PlistData{longest + "x"})).empty());
  CHECK(key_of(with("text")).empty());
  CHECK(key_of(ResultWith("RotateResult", "text")).empty());
  CHECK(key_of(ResultWith("Other", true)).empty());
  PlistDict refused = with(PlistData{"CMS"});
  refused.Set("Status", "Error");
  CHECK(key_of(refused).empty());
}

TEST_CASE("the answer to a question about the device is kept as it came") {
  const PlistDict security = Dict({{"FDE_Enabled", true}, {"NewInTheNextSystem", "x"}});
  const auto event = MustDecodeResult(ResultWith("SecurityInfo", security));
  REQUIRE(event.inventory);
  CHECK(event.inventory->kind == InventoryKind::kSecurityInfo);
  CHECK(event.inventory->answer == PlistValue(security));
  CHECK(MustDecodeResult(ResultWith("QueryResponses", PlistDict{})).inventory->kind ==
        InventoryKind::kDeviceInformation);
  const PlistArray apps = {Dict({{"Identifier", "com.example.app"}})};
  CHECK(MustDecodeResult(ResultWith("InstalledApplicationList", apps)).inventory->answer ==
        PlistValue(apps));
  CHECK(MustDecodeResult(ResultWith("CertificateList", PlistArray{})).inventory);
}

TEST_CASE("the statuses of managed apps are read, as far as they can be") {
  const std::string long_word(100, 'x');
  const PlistDict list =
      Dict({{"com.ex.a", Dict({{"Status", "Prompting"}, {"HasFeedback", false}})},
            {"com.ex.b", Dict({{"ManagementFlags", true}})},
            {"com.ex.c", "Managed"},
            {"com.ex.d", Dict({{"Status", long_word}})},
            {"com.ex.e", Dict({{"Status", "a\nb"}})}});
  const auto event = MustDecodeResult(ResultWith("ManagedApplicationList", list));
  REQUIRE(event.inventory);
  CHECK(event.inventory->kind == InventoryKind::kManagedApplicationList);
  CHECK(event.inventory->answer == PlistValue(list));
  const auto apps = ReadManagedApps(list);
  REQUIRE(apps.size() == 3);
  CHECK(apps[0] == ReportedManagedApp{"com.ex.a", "Prompting"});
  CHECK(apps[1].status.size() <= kManagedAppStatusMaxBytes);
  CHECK(apps[2].status.find('\n') == std::string::npos);
  CHECK_FALSE(MustDecodeResult(ResultWith("ManagedApplicationList", PlistArray{})).inventory);
}

TEST_CASE("an answer of another shape is an answer without news") {
  CHECK_FALSE(MustDecodeResult(ResultWith("SecurityInfo", PlistArray{})).inventory);
  CHECK_FALSE(MustDecodeResult(ResultWith("CertificateList", PlistDict{})).inventory);
  CHECK_FALSE(MustDecodeResult(ResultWith("InstalledApplicationList",
                                          PlistArray{Dict({{"Name", "A"}}), PlistValue("B")}))
                  .inventory);
  PlistDict refused = ResultWith("SecurityInfo", PlistDict{});
  refused.Set("Status", "Error");
  CHECK_FALSE(MustDecodeResult(refused).inventory);
}

}  // namespace
}  // namespace director::mdm_event_test
