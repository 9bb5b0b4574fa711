#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "tests/support/catch.h"
#include "tests/unit/upstream_fake_server.h"
#include "upstream/escrow.h"

namespace director::upstream_escrow_test {
namespace {

const std::string kSerial = "C02XK0AAJG5H";
const std::string kPin = "493817";

std::unique_ptr<Escrow> EscrowAt(const std::string& url) {
  auto escrow = MakeCryptEscrow({url, "", std::chrono::seconds(5)});
  REQUIRE(escrow.has_value());
  return std::move(*escrow);
}

/// Deposits the PIN at a server that answers with `reply`.
Status DepositFor(const FakeReply& reply) {
  FakeServer server([&](const SeenRequest&) { return reply; });
  return EscrowAt(server.Url())->Deposit(kSerial, SecretType::kUnlockPin, Secret(kPin));
}

/// The message of a failure, after a look at the rest of it.
std::string MessageOf(const Status& status) {
  REQUIRE_FALSE(status.has_value());
  CHECK(status.error().kind == ErrorKind::kUnavailable);
  CHECK(ErrorForLog(status.error()).find(kPin) == std::string::npos);
  CHECK(status.error().message.size() < 400);
  return status.error().message;
}

bool Says(const std::string& message, const std::string& part) {
  return message.find(part) != std::string::npos;
}

SeenRequest RequestFor(const std::string& path, const std::string& serial_number,
                       const std::string& pin) {
  FakeServer server([](const SeenRequest&) { return Answer(200, ""); });
  REQUIRE(EscrowAt(server.Url() + path)
              ->Deposit(serial_number, SecretType::kUnlockPin, Secret(pin))
              .has_value());
  const auto seen = server.Requests();
  REQUIRE(seen.size() == 1);
  return seen[0];
}

TEST_CASE("a recovery key of FileVault goes to the place that Crypt has for it") {
  FakeServer server([](const SeenRequest&) { return Answer(500, "AAAA-BBBB"); });
  const Status refused =
      EscrowAt(server.Url())->Deposit(kSerial, SecretType::kRecoveryKey, Secret("AAAA-BBBB"));
  REQUIRE(server.Requests().size() == 1);
  CHECK(server.Requests()[0].body ==
        "recovery_password=AAAA-BBBB&secret_type=recovery_key&serial=C02XK0AAJG5H&username="
        "mdmdirector");
  CHECK_FALSE(Says(refused.error().message, "AAAA"));
}

TEST_CASE("a recovery lock password is kept apart from PINs") {
  FakeServer server([](const SeenRequest&) { return Answer(200, ""); });
  REQUIRE(
      EscrowAt(server.Url())->Deposit(kSerial, SecretType::kPassword, Secret("A&B")).has_value());
  REQUIRE(server.Requests().size() == 1);
  CHECK(server.Requests()[0].body ==
        "recovery_password=A%26B&secret_type=password&serial=C02XK0AAJG5H&username=mdmdirector");
}

TEST_CASE("the form is MDMDirector's, byte for byte") {
  const SeenRequest seen = RequestFor("/checkin", kSerial, kPin);
  CHECK(seen.method == "POST");
  CHECK(seen.headers.at("content-type") == "application/x-www-form-urlencoded");
  CHECK(seen.headers.count("authorization") == 0);
  CHECK(seen.body ==
        "recovery_password=493817&secret_type=unlock_pin&serial=C02XK0AAJG5H&username=mdmdirector");
}

TEST_CASE("what has a meaning in forms is percent-encoded") {
  CHECK(RequestFor("/", "A&serial=B C+", "=%&+ \xC3\xA9").body ==
        "recovery_password=%3D%25%26%2B%20%C3%A9&secret_type=unlock_pin"
        "&serial=A%26serial%3DB%20C%2B&username=mdmdirector");
}

TEST_CASE("the path has exactly one slash at each end") {
  CHECK(RequestFor("", kSerial, kPin).target == "/");
  CHECK(RequestFor("/", kSerial, kPin).target == "/");
  CHECK(RequestFor("///", kSerial, kPin).target == "/");
  CHECK(RequestFor("/checkin", kSerial, kPin).target == "/checkin/");
  CHECK(RequestFor("/checkin/", kSerial, kPin).target == "/checkin/");
  CHECK(RequestFor("//checkin///", kSerial, kPin).target == "/checkin/");
  CHECK(RequestFor("/a//b%2Fc", kSerial, kPin).target == "/a//b%2Fc/");
}

TEST_CASE("credentials of the URL become HTTP Basic") {
  FakeServer server([](const SeenRequest&) { return Answer(200, ""); });
  const std::string host = server.Url().substr(7);
  REQUIRE(EscrowAt("http://crypt:p%40s:s@" + host)
              ->Deposit(kSerial, SecretType::kUnlockPin, Secret(kPin))
              .has_value());
  REQUIRE(EscrowAt("http://crypt@" + host + "/x")
              ->Deposit(kSerial, SecretType::kUnlockPin, Secret(kPin))
              .has_value());
  const auto seen = server.Requests();
  REQUIRE(seen.size() == 2);
  CHECK(seen[0].headers.at("authorization") == "Basic " + EncodeBase64("crypt:p@s:s"));
  CHECK(seen[0].target == "/");
  CHECK(seen[1].headers.at("authorization") == "Basic " + EncodeBase64("crypt:"));
  CHECK(seen[1].target == "/x/");
}

TEST_CASE("answers that mean taken") {
  const FakeReply reply = GENERATE(
      Answer(
          200,
          R"({"serial": "C02XK0AAJG5H", "username": "mdmdirector", "rotation_required": false})"),
      Answer(200, R"({"serial": "c02xk0aajg5h", "error": ""})", "text/html"),
      Answer(200, "\xEF\xBB\xBF \r\n{\"error\": null, \"serial\": \"C02XK0AAJG5H\"}"),
      Answer(200, R"({"error": false, "serial": "C02XK0AAJG5H"})"),
      Answer(200, R"({"error": [], "serial": "C02XK0AAJG5H"})"), Answer(200, ""),
      Answer(200, "", "text/html; charset=utf-8"), Answer(200, " \r\n", "text/html"),
      Answer(200, R"({"serial": "C02XK0AAJG5H", "note": ")" + std::string(65'000, 'a') + R"("})"));
  CHECK(DepositFor(reply).has_value());
}

TEST_CASE("an answer that does not name the device is not taken") {
  const FakeReply reply = GENERATE(
      Answer(200, "{}"), Answer(200, R"({"serial": null})"),
      Answer(200, R"({"detail": "CSRF failed"})"), Answer(200, R"(["C02XK0AAJG5H"])"),
      Answer(200, "saved\n", "text/plain"), Answer(200, "Error: database is locked", "text/plain"));
  CHECK_FALSE(DepositFor(reply).has_value());
}

TEST_CASE("a status other than 200 is not taken, and its text is told") {
  CHECK(MessageOf(DepositFor(Answer(500, "no space left", "text/plain"))) ==
        "the escrow server answered with HTTP 500: no space left");
  CHECK(Says(MessageOf(DepositFor(Answer(400, "no such serial", "text/html"))), "no such serial"));
  CHECK(MessageOf(DepositFor(Answer(401, ""))) == "the escrow server answered with HTTP 401");
  CHECK(Says(MessageOf(DepositFor(Answer(201, "{}"))), "HTTP 201"));
  CHECK(Says(MessageOf(DepositFor({"HTTP/1.1 204 No Content\r\n\r\n", FakeReply::Then::kKeep})),
             "HTTP 204"));
  CHECK(MessageOf(DepositFor(Answer(500, "<h1>Server Error</h1>", "text/html"))) ==
        "the escrow server answered with HTTP 500");
}

TEST_CASE("a web page is not taken, whatever its status and type") {
  const FakeReply reply = GENERATE(Answer(200, "Please log in", "text/html; charset=utf-8"),
                                   Answer(200, "Please log in", "Text/HTML"),
                                   Answer(200, "<!DOCTYPE html><p>Log in</p>", "text/plain"),
                                   Answer(200, "\xEF\xBB\xBF\n  <html>", ""));
  const std::string message = MessageOf(DepositFor(reply));
  CHECK(Says(message, "web page"));
  CHECK_FALSE(Says(message, "html"));
}

TEST_CASE("JSON that tells of an error is not taken") {
  CHECK(MessageOf(DepositFor(Answer(200, R"({"error": "no such\nserial"})"))) ==
        "the escrow server answered with an error: no such?serial");
  CHECK(Says(MessageOf(DepositFor(Answer(200, R"({"error": {"code": 7}})"))), R"({"code":7})"));
  CHECK(Says(MessageOf(DepositFor(Answer(200, R"({"error": true})"))), "an error"));
  CHECK(Says(MessageOf(DepositFor(Answer(200, R"({"error": 1})"))), "an error"));
  CHECK(Says(MessageOf(DepositFor(Answer(200, R"({"serial": "C02XK0)"))), "broken JSON"));
  const std::string deep =
      R"({"error": )" + std::string(30'000, '[') + std::string(30'000, ']') + "}";
  CHECK(Says(MessageOf(DepositFor(Answer(200, deep))), "nests too deep"));
}

TEST_CASE("JSON about another device is not taken") {
  CHECK(Says(MessageOf(DepositFor(Answer(200, R"({"serial": "C02XK0AAJG5J"})"))),
             "another device: C02XK0AAJG5J"));
  const FakeReply reply =
      GENERATE(Answer(200, R"({"serial": ""})"), Answer(200, R"({"serial": 7})"),
               Answer(200, R"({"serial": ["C02XK0AAJG5H"]})"));
  CHECK(Says(MessageOf(DepositFor(reply)), "another device"));
}

TEST_CASE("a long answer is not taken") {
  CHECK(Says(MessageOf(DepositFor(Answer(200, std::string(513, 'a'), "text/plain"))),
             "does not say"));
  const std::string large = R"({"note": ")" + std::string(65'536, 'a') + R"("})";
  CHECK(Says(MessageOf(DepositFor(Answer(200, large))), "64 KiB"));
}

TEST_CASE("a redirect is not followed and not taken") {
  FakeServer server([](const SeenRequest& request) -> FakeReply {
    if (request.target == "/login/") return Answer(200, "");
    return {"HTTP/1.1 302 Found\r\nLocation: /login/\r\nContent-Length: 0\r\n\r\n",
            FakeReply::Then::kKeep};
  });
  const Status status =
      EscrowAt(server.Url())->Deposit(kSerial, SecretType::kUnlockPin, Secret(kPin));
  CHECK(Says(MessageOf(status), "HTTP 302, a redirect"));
  CHECK(server.Requests().size() == 1);
}

TEST_CASE("no whole answer is not taken, and nothing is sent twice") {
  const FakeReply reply = GENERATE(
      Drop(),
      FakeReply{"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}", FakeReply::Then::kClose});
  FakeServer server([&](const SeenRequest&) { return reply; });
  const Status status =
      EscrowAt(server.Url())->Deposit(kSerial, SecretType::kUnlockPin, Secret(kPin));
  CHECK(Says(MessageOf(status), "no answer from the escrow server"));
  CHECK(server.WaitForRequests(1).size() == 1);
}

TEST_CASE("a silent server is given up after the time-out") {
  FakeServer server([](const SeenRequest&) { return Silence(); });
  const auto escrow = MakeCryptEscrow({server.Url(), "", std::chrono::milliseconds(100)});
  REQUIRE(escrow.has_value());
  CHECK(
      Says(MessageOf((*escrow)->Deposit(kSerial, SecretType::kUnlockPin, Secret(kPin))), "100 ms"));
}

TEST_CASE("nobody listens") {
  CHECK(Says(
      MessageOf(EscrowAt(RefusingUrl())->Deposit(kSerial, SecretType::kUnlockPin, Secret(kPin))),
      "cannot connect"));
}

TEST_CASE("an answer that repeats the PIN is not quoted, whole or in part") {
  const FakeReply reply =
      GENERATE(Answer(500, "493817 is no PIN", "text/plain"),
               Answer(200, R"({"error": "bad: 49381\u0037"})"),
               Answer(200, R"({"error": {"recovery_password": "493817"}})"),
               Answer(200, R"({"serial": "493817"})"),
               Answer(500, std::string(294, 'a') + "493817", "text/plain"));  // cut inside of it
  const std::string message = MessageOf(DepositFor(reply));
  CHECK(Says(message, "(not shown, for it may repeat the secret)"));
  CHECK_FALSE(Says(message, "4938"));
}

TEST_CASE("with a PIN of other characters nothing is quoted") {
  FakeServer server([](const SeenRequest&) { return Answer(500, "a&lt;b&quot;12", "text/plain"); });
  const Status status =
      EscrowAt(server.Url())->Deposit(kSerial, SecretType::kUnlockPin, Secret("a<b\"12"));
  CHECK(Says(MessageOf(status), "not shown"));
  CHECK_FALSE(Says(MessageOf(status), "lt;"));
}

TEST_CASE("nothing is sent without a serial number or a PIN") {
  FakeServer server([](const SeenRequest&) { return Answer(200, ""); });
  const auto escrow = EscrowAt(server.Url());
  CHECK(escrow->Deposit("", SecretType::kUnlockPin, Secret(kPin)).error().kind ==
        ErrorKind::kInvalid);
  CHECK(escrow->Deposit(kSerial, SecretType::kUnlockPin, Secret()).error().kind ==
        ErrorKind::kInvalid);
  CHECK(server.Requests().empty());
}

TEST_CASE("a URL that is none is refused and not shown") {
  const std::string url =
      GENERATE("", "host", "ftp://host", "http://", "http:///path", "http://host?q=hunter2",
               "http://host/#f", "http://ho st/", "http://host:0", "http://crypt:hunter2@",
               "http://:hunter2@host", "http://crypt:hunter2%4@host",
               "http://crypt:hunter2%zz@host", "http://crypt:hunter2/@host", "http://host\r\n");
  const auto escrow = MakeCryptEscrow({url, ""});
  REQUIRE_FALSE(escrow.has_value());
  CHECK(escrow.error().kind == ErrorKind::kInvalid);
  CHECK(escrow.error().field == "url");
  CHECK(ErrorForLog(escrow.error()).find("hunter2") == std::string::npos);
}

TEST_CASE("a CA file that cannot be read is refused") {
  const auto escrow = MakeCryptEscrow({"https://host", "/nonexistent/ca.pem"});
  REQUIRE_FALSE(escrow.has_value());
  CHECK(escrow.error().field == "ca_file");
}

}  // namespace
}  // namespace director::upstream_escrow_test
