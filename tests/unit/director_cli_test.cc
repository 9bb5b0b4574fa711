#include <string>
#include <utility>
#include <vector>

#include "director/cli.h"
#include "director/cli_parts.h"
#include "director/files.h"
#include "signing/cms.h"
#include "tests/support/catch.h"
#include "tests/support/director_parts.h"
#include "tests/support/director_service.h"

namespace director::director_cli_test {
namespace {

using director_test::MakeMobileconfig;
using director_test::Service;
using director_test::TempFolder;

int Run(std::vector<std::string> arguments, const std::vector<std::string>& environment = {}) {
  arguments.insert(arguments.begin(), "director");
  return RunCommandLine(arguments, environment);
}

TEST_CASE("wrong usage ends with 2, help and version with 0") {
  CHECK(Run({}) == 2);
  CHECK(Run({"dance"}) == 2);
  CHECK(Run({"serve", "--no-such-flag"}) == 2);
  CHECK(Run({"profiles"}) == 2);
  CHECK(Run({"explain", "device"}) == 2);
  CHECK(Run({"--help"}) == 0);
  CHECK(Run({"--version"}) == 0);
}

TEST_CASE("serve checks its configuration without starting") {
  TempFolder folder;
  const std::vector<std::string> good = {
      "serve", "--check-config",     "--mdm-url", "http://mdm", "--mdm-api-key",
      "k",     "--webhook-hmac-key", "h"};
  CHECK(Run(good) == 1);
  CHECK(Run(good, {"DIRECTOR_API_TOKEN=t"}) == 0);
  CHECK(Run(good, {"DIRECTOR_API_TOKEN=t", "DIRECTOR_WORKRS=1"}) == 1);
  const std::string file = folder.Write("director.yaml", "api_token: t\n");
  CHECK(Run(good, {"DIRECTOR_CONFIG=" + file}) == 0);
  CHECK(Run(good, {"DIRECTOR_CONFIG=" + folder.Path("none")}) == 1);
}

TEST_CASE("lint and sign judge files") {
  TempFolder folder;
  const std::string good = folder.Write("good.mobileconfig", MakeMobileconfig("com.example.a"));
  const std::string bad = folder.Write("bad.mobileconfig", "hello");
  CHECK(Run({"lint", good}) == 0);
  CHECK(Run({"lint", good, bad, "--json"}) == 1);
  CHECK(Run({"lint", folder.Path("none")}) == 1);
  const std::string pem =
      folder.Write("id.pem", director_test::MakePem("Signer", SystemClock().Now()));
  const std::string out = folder.Path("signed.mobileconfig");
  CHECK(Run({"sign", good}) == 1);
  CHECK(Run({"sign", good, "--certificate-file", pem, "--key-file", pem, "--output", out}) == 0);
  const Result<std::string> bytes = ReadSmallFile(out, 1 << 20);
  REQUIRE(bytes);
  CHECK(LooksLikeCms(*bytes));
  CHECK(Run({"lint", out}) == 0);
}

TEST_CASE("the client verbs do their work against a running service") {
  Service service;
  const VirtualDevice mac = director_test::MakeMac(1);
  director_test::Enroll(service.store(), mac, service.clock().Now());
  TempFolder folder;
  const std::string file = folder.Write("a.mobileconfig", MakeMobileconfig("com.example.a"));
  const std::vector<std::string> environment = {
      "DIRECTOR_URL=" + service.app().url(),
      "DIRECTOR_TOKEN_FILE=" + folder.Write("token", std::string(director_test::kToken) + "\n")};
  const std::string serial = mac.facts().serial_number;
  const auto run = [&](const std::vector<std::string>& arguments) {
    return Run(arguments, environment);
  };
  CHECK(run({"profiles", "put", file}) == 0);
  CHECK(run({"profiles", "put", folder.Path("none")}) == 1);
  CHECK(run({"profiles", "assign", "com.example.a"}) == 1);
  CHECK(run({"profiles", "assign", "com.example.a", "--all", "--device", "x"}) == 1);
  CHECK(run({"profiles", "assign", "com.example.a", "--device", serial}) == 0);
  CHECK(service.Get("/assignments").json["assignments"].size() == 1);
  for (const std::vector<std::string>& verb :
       std::vector<std::vector<std::string>>{{"profiles", "list"},
                                             {"profiles", "assignments", "--json"},
                                             {"devices"},
                                             {"devices", serial},
                                             {"explain", serial, "com.example.a"},
                                             {"status"},
                                             {"status", "--json"},
                                             {"events"},
                                             {"events", serial},
                                             {"reconcile", serial}}) {
    INFO(verb.front());
    CHECK(run(verb) == 0);
  }
  CHECK(run({"devices", "unknown"}) == 1);
  CHECK(run({"release", serial}) == 1);
  CHECK(run({"profiles", "unassign", "com.example.a", "--device", serial}) == 0);
  CHECK(run({"profiles", "unassign", "com.example.a", "--device", serial}) == 1);
  CHECK(service.Get("/assignments").json["assignments"].empty());
  CHECK(Run({"status"}, {"DIRECTOR_URL=" + service.app().url(), "DIRECTOR_TOKEN=wrong"}) == 1);
  CHECK(Run({"status"}, {"DIRECTOR_URL=nonsense"}) == 1);
}

TEST_CASE("a recovery lock password comes from a file, is made, or is taken away on purpose only") {
  Config config = director_test::MakeTestConfig();
  config.data_key = director_test::TestDataKey();
  Service service(std::move(config));
  const VirtualDevice mac = director_test::MakeMac(1);
  director_test::Enroll(service.store(), mac, service.clock().Now());
  TempFolder folder;
  const std::vector<std::string> environment = {
      "DIRECTOR_URL=" + service.app().url(),
      std::string("DIRECTOR_TOKEN=") + director_test::kToken};
  const auto propose = [&](const std::string& request_type, std::vector<std::string> options) {
    std::vector<std::string> arguments = {"propose", mac.facts().serial_number, request_type,
                                          "--reason", "Policy"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    return Run(arguments, environment);
  };
  const std::string word = folder.Write("word", "a word\n");
  const std::string empty = folder.Write("empty", "\n");
  CHECK(propose("SetRecoveryLock", {"--password-file", empty}) == 1);
  CHECK(propose("SetRecoveryLock", {"--password-file", word, "--clear"}) == 1);
  CHECK(propose("DeviceLock", {"--clear"}) == 1);
  CHECK(propose("VerifyRecoveryLock", {}) == 1);
  CHECK(propose("VerifyRecoveryLock", {"--password-file", empty}) == 1);
  CHECK(propose("DeviceLock", {"--pin-file", empty}) == 1);
  CHECK(propose("RotateFileVaultKey", {}) == 1);
  CHECK(propose("RotateFileVaultKey", {"--password-file", empty}) == 1);
  CHECK(propose("RotateFileVaultKey", {"--password-file", word, "--clear"}) == 1);
  CHECK(service.Get("/proposals").json["proposals"].empty());
  CHECK(propose("SetRecoveryLock", {"--password-file", word}) == 0);
  CHECK(Run({"secret", "1"}, environment) == 0);
  CHECK(Run({"cancel", "1"}, environment) == 0);
  CHECK(propose("VerifyRecoveryLock", {"--verifies", "1"}) == 0);
  CHECK(Run({"cancel", "2"}, environment) == 0);
  CHECK(propose("SetRecoveryLock", {"--clear"}) == 0);
  CHECK(Run({"cancel", "3"}, environment) == 0);
  CHECK(propose("RotateFileVaultKey", {"--password-file", word}) == 0);
  CHECK(Run({"secret", "4"}, environment) == 1);  // the Mac has not answered
  auto proposals = service.Get("/proposals").json["proposals"];
  REQUIRE(proposals.size() == 4);
  CHECK(proposals[0]["request_type"] == "RotateFileVaultKey");
  CHECK(proposals[0]["has_secret"] == false);
  proposals.erase(0);
  CHECK(proposals[0]["has_secret"] == false);
  CHECK(proposals[1]["verifies"] == 1);
  CHECK(proposals[2]["has_secret"] == true);
}

}  // namespace
}  // namespace director::director_cli_test
