#include <chrono>
#include <memory>
#include <string>

#include "base/text.h"
#include "tests/support/catch.h"
#include "tests/unit/upstream_fake_server.h"
#include "upstream/enrollment_profile.h"

namespace director::upstream_enrollment_profile_test {
namespace {

const std::string kToken = "the-webhook-token";
const std::string kInfo = "<plist><dict/></plist>";

Result<std::unique_ptr<EnrollmentProfileSource>> MakeSource(const std::string& url,
                                                            const std::string& token = kToken) {
  return MakeEnrollmentProfileSource({url, Secret(token), "", std::chrono::seconds(5)});
}

Result<std::string> FetchFrom(const std::string& url, const std::string& info = kInfo) {
  auto source = MakeSource(url);
  REQUIRE(source);
  return (*source)->FetchEnrollmentProfile(info);
}

/// What comes of an answer.
Result<std::string> FetchFor(const FakeReply& reply) {
  const FakeServer server([&](const SeenRequest&) { return reply; });
  return FetchFrom(server.Url());
}

void CheckFails(const Result<std::string>& fetched, ErrorKind kind, const std::string& part) {
  REQUIRE_FALSE(fetched);
  INFO(ErrorForLog(fetched.error()));
  CHECK(fetched.error().kind == kind);
  CHECK(fetched.error().message.find(part) != std::string::npos);
  CHECK(ErrorForLog(fetched.error()).find(kToken) == std::string::npos);
}

TEST_CASE("the webhook is asked with the token and what is known of the device") {
  const FakeServer server([](const SeenRequest&) {
    return Answer(200, "profile", "application/x-apple-aspen-config");
  });
  const auto fetched = FetchFrom(server.Url() + "/enroll/again?site=a%20b");
  REQUIRE(fetched);
  CHECK(*fetched == "profile");
  REQUIRE(server.Requests().size() == 1);
  const SeenRequest seen = server.Requests().front();
  CHECK(seen.method == "GET");
  CHECK(seen.target == "/enroll/again?site=a%20b");
  CHECK(seen.headers.at("authorization") == "Bearer " + kToken);
  CHECK(seen.headers.at("x-apple-aspen-deviceinfo") == EncodeBase64(kInfo));
  CHECK(seen.body.empty());
}

TEST_CASE("the URL may have a path or a query or neither") {
  const FakeServer server([](const SeenRequest&) { return Answer(200, "profile"); });
  for (const char* path : {"", "/", "?a=b", "/x/"}) CHECK(FetchFrom(server.Url() + path));
  const auto seen = server.Requests();
  REQUIRE(seen.size() == 4);
  CHECK(seen[0].target == "/");
  CHECK(seen[1].target == "/");
  CHECK(seen[2].target == "/?a=b");
  CHECK(seen[3].target == "/x/");
}

TEST_CASE("bytes come back as they are, whatever they hold") {
  const std::string bytes = std::string("\x30\x82\x00\x01", 4) + std::string(100'000, '\0');
  const auto fetched = FetchFor(Answer(200, bytes, "application/octet-stream"));
  REQUIRE(fetched);
  CHECK(*fetched == bytes);
}

TEST_CASE("an answer without a profile says whether to ask again") {
  CheckFails(FetchFor(Answer(500, "no")), ErrorKind::kUnavailable, "HTTP 500");
  CheckFails(FetchFor(Answer(429, "no")), ErrorKind::kUnavailable, "HTTP 429");
  CheckFails(FetchFor(Answer(401, kToken)), ErrorKind::kUnauthorized, "HTTP 401");
  CheckFails(FetchFor(Answer(403, "no")), ErrorKind::kUnauthorized, "HTTP 403");
  CheckFails(FetchFor(Answer(404, "no")), ErrorKind::kRejected, "HTTP 404");
  CheckFails(FetchFor(Answer(302, "no")), ErrorKind::kRejected, "HTTP 302");
  CheckFails(FetchFor(Answer(204, "")), ErrorKind::kRejected, "HTTP 204");
  CheckFails(FetchFor(Answer(200, "")), ErrorKind::kRejected, "nothing");
  CheckFails(FetchFor(Answer(200, "please log in", "text/html; charset=utf-8")),
             ErrorKind::kRejected, "a web page");
  CheckFails(FetchFor(Answer(200, "<!DOCTYPE html><HTML>")), ErrorKind::kRejected, "a web page");
  CheckFails(FetchFor(Answer(200, std::string(kEnrollmentProfileMaxBytes + 1, 'a'))),
             ErrorKind::kRejected, "more than 1 MiB");
  CHECK(FetchFor(Answer(200, std::string(kEnrollmentProfileMaxBytes, 'a'))));
}

TEST_CASE("a webhook that is not there or says nothing may be asked again") {
  CheckFails(FetchFrom(RefusingUrl()), ErrorKind::kUnavailable, "no answer");
  CheckFails(FetchFor(Drop()), ErrorKind::kUnavailable, "no answer");
  const FakeServer server([](const SeenRequest&) { return Silence(); });
  auto source = MakeEnrollmentProfileSource(
      {server.Url(), Secret(kToken), "", std::chrono::milliseconds(100)});
  REQUIRE(source);
  CheckFails((*source)->FetchEnrollmentProfile(kInfo), ErrorKind::kUnavailable, "no whole answer");
}

TEST_CASE("nothing is sent that no server would take") {
  const FakeServer server([](const SeenRequest&) { return Answer(200, "profile"); });
  CheckFails(FetchFrom(server.Url(), ""), ErrorKind::kInvalid, "1 to 16384 bytes");
  CheckFails(FetchFrom(server.Url(), std::string(kMachineInfoMaxBytes + 1, 'a')),
             ErrorKind::kInvalid, "1 to 16384 bytes");
  CHECK(server.Requests().empty());
  CHECK(FetchFrom(server.Url(), std::string(kMachineInfoMaxBytes, 'a')));
}

TEST_CASE("a URL or token that cannot be used is said at once, without showing it") {
  const std::string url =
      GENERATE("", "mdm.example.com/secret", "ftp://mdm.example.com/secret",
               "https://user:secret@mdm.example.com/", "https://mdm.example.com/a b?secret",
               "https://mdm.example.com/#secret", "https:///secret", "https://mdm:0/secret");
  const auto source = MakeSource(url);
  REQUIRE_FALSE(source);
  CHECK(source.error().kind == ErrorKind::kInvalid);
  CHECK(ErrorForLog(source.error()).find("secret") == std::string::npos);
  CHECK_FALSE(MakeSource("https://mdm.example.com", ""));
  CHECK_FALSE(MakeSource("https://mdm.example.com", "a\r\nb"));
}

}  // namespace
}  // namespace director::upstream_enrollment_profile_test
