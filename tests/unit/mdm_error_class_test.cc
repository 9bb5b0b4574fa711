#include <string>
#include <vector>

#include "mdm/command.h"
#include "mdm/error_class.h"
#include "mdm/error_codes.h"
#include "tests/support/catch.h"

namespace director::mdm_error_class_test {
namespace {

ClassifiedError Classify(std::vector<ErrorChainEntry> chain,
                         std::string_view request_type = request_type::kInstallProfile) {
  return ClassifyErrorChain(chain, request_type);
}

ErrorClass ClassOf(const std::string& domain, std::int64_t code,
                   std::string_view request_type = request_type::kInstallProfile) {
  return Classify({{code, domain, "", ""}}, request_type).error_class;
}

TEST_CASE("single errors have their class") {
  CHECK(ClassOf("MCInstallationErrorDomain", 4009) == ErrorClass::kTransient);
  CHECK(ClassOf("MCProfileErrorDomain", 1000) == ErrorClass::kPermanent);
  CHECK(ClassOf("ConfigProfilePluginDomain", -107) == ErrorClass::kPermanent);
  CHECK(ClassOf("MDMClientError", 96) == ErrorClass::kUser);
  CHECK(ClassOf("NSURLErrorDomain", -1202) == ErrorClass::kServer);
  CHECK(ClassOf("MCMDMErrorDomain", 12010) == ErrorClass::kUnknown);
  CHECK(ClassOf("MCInstallationErrorDomain", 4001) == ErrorClass::kUnknown);
  CHECK(ClassOf("MCMDMErrorDomain", 12021) == ErrorClass::kPermanent);
  CHECK(ClassOf("MDMErrorDomain", 12021) == ErrorClass::kPermanent);
}

TEST_CASE("unlisted pairs are unknown") {
  CHECK(ClassOf("NewDomain", 12021) == ErrorClass::kUnknown);
  CHECK(ClassOf("MCMDMErrorDomain", 12039) == ErrorClass::kUnknown);
  CHECK(ClassOf("MCMDMErrorDomain", (std::int64_t{1} << 32) + 12021) == ErrorClass::kUnknown);
  CHECK(ClassOf("", 0) == ErrorClass::kUnknown);
  CHECK(FindListedError("ZZZ", 1) == nullptr);
}

TEST_CASE("an error means done only for its own command") {
  for (const auto& [domain, code] :
       std::vector<std::pair<std::string, std::int64_t>>{{"MDMClientError", 89},
                                                         {"MCMDMErrorDomain", 12075},
                                                         {"MDMErrorDomain", 12075},
                                                         {"MCInstallationErrorDomain", 4024}}) {
    CHECK(ClassOf(domain, code, request_type::kRemoveProfile) == ErrorClass::kDone);
    CHECK(ClassOf(domain, code, request_type::kInstallProfile) == ErrorClass::kUnknown);
    CHECK(ClassOf(domain, code, "") == ErrorClass::kUnknown);
  }
  CHECK(ClassOf("MCMDMErrorDomain", 12025, "InstallApplication") == ErrorClass::kDone);
}

TEST_CASE("the innermost telling entry decides") {
  const auto result = Classify({{4001, "MCInstallationErrorDomain", "outer", ""},
                                {1002, "MCProfileErrorDomain", "lokal", "middle"},
                                {9, "Unheard", "inner", ""}});
  CHECK(result.error_class == ErrorClass::kPermanent);
  CHECK(result.domain == "MCProfileErrorDomain");
  CHECK(result.code == 1002);
  CHECK(result.meaning == "required field missing");
  CHECK(result.text == "middle");

  const auto last = Classify(
      {{4009, "MCInstallationErrorDomain", "", ""}, {1002, "MCProfileErrorDomain", "", ""}});
  CHECK(last.code == 1002);
}

TEST_CASE("without a telling entry the first one is described") {
  const auto result =
      Classify({{4001, "MCInstallationErrorDomain", "lokal", ""}, {7, "Unheard", "", "inner"}});
  CHECK(result.error_class == ErrorClass::kUnknown);
  CHECK(result.domain == "MCInstallationErrorDomain");
  CHECK(result.text == "lokal");
  const auto nothing = Classify({});
  CHECK(nothing.error_class == ErrorClass::kUnknown);
  CHECK(nothing.domain.empty());
  CHECK(Classify({{7, "Unheard", "", ""}}).meaning.empty());
}

TEST_CASE("long texts are cut between characters") {
  std::string text;
  for (int i = 0; i < 200; ++i) text += "\xC3\xA4";
  const auto result = Classify({{1, "D", text, ""}});
  CHECK(result.text.size() <= 300);
  CHECK(result.text.size() > 290);
}

TEST_CASE("classes have names") {
  CHECK(ErrorClassName(ErrorClass::kTransient) == "transient");
  CHECK(ErrorClassName(ErrorClass::kDone) == "done");
}

}  // namespace
}  // namespace director::mdm_error_class_test
