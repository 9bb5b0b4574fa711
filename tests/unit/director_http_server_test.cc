// The HTTP server at the level of bytes: what clients send that no library would.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "director/http_server.h"
#include "tests/support/catch.h"
#include "tests/support/director_parts.h"

namespace director::director_http_server_test {
namespace {

/// Two parts, and then what the path says.
HttpServerResponse InParts(const HttpServerRequest& request) {
  HttpServerResponse response{200, "text/plain", "", {}};
  const std::string end = request.path_values.at("end");
  response.more = [end, count = 0]() mutable -> Result<std::string> {
    if (++count <= 2) return "part " + std::to_string(count) + ";";
    if (end == "throws") throw std::runtime_error("an accident between parts");
    if (end == "fails") return Fail(ErrorKind::kUnavailable, "no more");
    return std::string();
  };
  return response;
}

std::unique_ptr<HttpServer> StartEcho() {
  ConfigureLog(LogLevel::kError, LogFormat::kLogfmt);
  const auto echo = [](const HttpServerRequest& request) -> HttpServerResponse {
    std::string text = request.method + " " + request.body;
    for (const auto& [name, value] : request.path_values) text += " " + name + "=" + value;
    if (const std::string id = request.Header("x-id"); !id.empty()) text += " id " + id;
    return {200, "text/plain", text, {}};
  };
  const auto broken = [](const HttpServerRequest&) -> HttpServerResponse {
    throw std::runtime_error("a handler's accident");
  };
  auto server = StartHttpServer({}, {{"GET", "/things", 0, echo},
                                     {"POST", "/things", 10, echo},
                                     {"DELETE", "/things/{id}", 10, echo},
                                     {"GET", "/things/{id}", 0, echo},
                                     {"GET", "/broken", 0, broken},
                                     {"GET", "/parts/{end}", 0, InParts}});
  REQUIRE(server);
  return std::move(*server);
}

/// Sends raw bytes and returns all that comes back until the server closes or `limit` passes.
std::string Exchange(int port, const std::string& bytes,
                     std::chrono::seconds limit = std::chrono::seconds(10)) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(fd >= 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const timeval wait{limit.count(), 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
  void* raw = &address;
  REQUIRE(connect(fd, static_cast<sockaddr*>(raw), sizeof(address)) == 0);
  REQUIRE(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
  std::string answer;
  char buffer[4096];
  for (ssize_t size = 0; (size = recv(fd, buffer, sizeof(buffer), 0)) > 0;) {
    answer.append(buffer, static_cast<std::size_t>(size));
  }
  close(fd);
  return answer;
}

std::string Request(const std::string& line, const std::string& headers = {},
                    const std::string& body = {}) {
  return line + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + headers + "\r\n" + body;
}

bool Is(const std::string& answer, int status) {
  UNSCOPED_INFO(answer);
  return answer.starts_with("HTTP/1.1 " + std::to_string(status));
}

bool IsProblem(const std::string& answer, int status) {
  return Is(answer, status) && answer.find("application/problem+json") != std::string::npos;
}

TEST_CASE("paths are matched before they are decoded, so that a slash can stand in a value") {
  const auto server = StartEcho();
  CHECK(Exchange(server->port(), Request("GET /things/a%2Fb%20c")).ends_with("id=a/b c"));
  CHECK(Exchange(server->port(), Request("GET /things/x?y=/z")).ends_with("id=x"));
  CHECK(IsProblem(Exchange(server->port(), Request("GET /things/a/b")), 404));
  CHECK(IsProblem(Exchange(server->port(), Request("GET /things/")), 404));
  CHECK(IsProblem(Exchange(server->port(), Request("GET /things/%zz")), 404));
  CHECK(IsProblem(Exchange(server->port(), Request("GET /things/%4")), 404));
}

TEST_CASE("a header that stands twice has both values, so that none is believed for the other") {
  const auto server = StartEcho();
  CHECK(Exchange(server->port(), Request("GET /things", "X-Id: one\r\n")).ends_with(" id one"));
  CHECK(Exchange(server->port(), Request("GET /things", "X-Id: one\r\nx-id: two\r\n"))
            .ends_with(" id one, two"));
}

TEST_CASE("unknown paths, other methods and HEAD are answered as documented") {
  const auto server = StartEcho();
  CHECK(IsProblem(Exchange(server->port(), Request("GET /none")), 404));
  for (const char* method : {"PUT", "PATCH", "OPTIONS"}) {
    const std::string answer = Exchange(
        server->port(), Request(std::string(method) + " /things", "Content-Length: 0\r\n"));
    CHECK(IsProblem(answer, 405));
    CHECK(answer.find("Allow: GET, POST") != std::string::npos);
  }
  const std::string head = Exchange(server->port(), Request("HEAD /things"));
  CHECK(Is(head, 200));
  CHECK(head.ends_with("\r\n\r\n"));
}

TEST_CASE("a request without a length has no body and is answered at once") {
  const auto server = StartEcho();
  const auto start = std::chrono::steady_clock::now();
  for (const char* line : {"POST /things", "DELETE /things/1"}) {
    CHECK(Is(Exchange(server->port(), Request(line)), 200));
  }
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(5));
}

TEST_CASE("a body above the bound is refused, before it is read when its length is told") {
  const auto server = StartEcho();
  CHECK(Exchange(server->port(), Request("POST /things", "Content-Length: 10\r\n", "0123456789"))
            .ends_with("POST 0123456789"));
  // 200 MB are announced and never sent.
  CHECK(IsProblem(
      Exchange(server->port(), Request("POST /things", "Content-Length: 200000000\r\n")), 413));
  CHECK(IsProblem(
      Exchange(server->port(), Request("POST /things", "Content-Length: 99999999999999999999\r\n")),
      413));
  CHECK(IsProblem(Exchange(server->port(), Request("POST /things", "Transfer-Encoding: chunked\r\n",
                                                   "b\r\n01234567890\r\n0\r\n\r\n")),
                  413));
  CHECK(Exchange(server->port(),
                 Request("POST /things", "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"))
            .ends_with("POST abc"));
}

TEST_CASE("a form is refused as unsupported") {
  const auto server = StartEcho();
  CHECK(IsProblem(
      Exchange(server->port(),
               Request("POST /things",
                       "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 4\r\n",
                       "--x\r")),
      415));
}

TEST_CASE("a handler that throws answers 500 and ends nothing") {
  const auto server = StartEcho();
  const std::string answer = Exchange(server->port(), Request("GET /broken"));
  CHECK(IsProblem(answer, 500));
  CHECK(answer.find("accident") == std::string::npos);
  CHECK(Is(Exchange(server->port(), Request("GET /things")), 200));
}

TEST_CASE("an answer in parts that breaks off lacks its end, and ends nothing else") {
  const auto server = StartEcho();
  const auto get = [&](const std::string& path) {
    return Exchange(server->port(), Request("GET " + path));
  };
  const std::string end = "\r\n0\r\n\r\n";  // of a chunked body
  const std::string whole = get("/parts/ends");
  CHECK(Is(whole, 200));
  CHECK(whole.find("part 2;") != std::string::npos);
  CHECK(whole.ends_with(end));
  for (const char* path : {"/parts/throws", "/parts/fails"}) {
    const std::string answer = get(path);
    INFO(answer);
    CHECK(answer.find("part 2;") != std::string::npos);
    CHECK_FALSE(answer.ends_with(end));
  }
  CHECK(Is(get("/things"), 200));
}

TEST_CASE("bytes that are no request end nothing") {
  const auto server = StartEcho();
  for (const std::string& bytes :
       {std::string("\r\n\r\n"), std::string("hello\r\n\r\n"), std::string(100, '\0') + "\r\n\r\n",
        std::string("GET / HTTP/9.9\r\n\r\n"),
        "GET /" + std::string(20'000, 'a') + " HTTP/1.1\r\n\r\n",
        Request("GET /things", "X: " + std::string(20'000, 'a') + "\r\n"),
        std::string("POST /things HTTP/1.1\r\nContent-Length: -5\r\nConnection: close\r\n\r\n")}) {
    Exchange(server->port(), bytes, std::chrono::seconds(1));
  }
  CHECK(Is(Exchange(server->port(), Request("GET /things")), 200));
}

TEST_CASE("a port in use and TLS files that do not exist are refused") {
  const auto server = StartEcho();
  HttpServerSettings settings;
  settings.port = server->port();
  const auto taken = StartHttpServer(settings, {});
  REQUIRE_FALSE(taken);
  CHECK(taken.error().kind == ErrorKind::kInvalid);
  settings.port = 0;
  settings.tls_certificate_file = "/none.pem";
  settings.tls_key_file = "/none.key";
  CHECK_FALSE(StartHttpServer(settings, {}));
}

/// How many packets the clients of `count` connections, all begun before any is waited for, sent a
/// second time until the server had them all.
unsigned RepeatedPackets(int port, std::size_t count) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  void* raw = &address;
  std::vector<pollfd> clients;
  for (std::size_t i = 0; i < count; ++i) {
    clients.push_back({socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), POLLOUT, 0});
    const int begun = connect(clients.back().fd, static_cast<sockaddr*>(raw), sizeof(address));
    REQUIRE((begun == 0 || errno == EINPROGRESS));
  }
  unsigned repeated = 0;
  for (pollfd& client : clients) {
    REQUIRE(poll(&client, 1, 10'000) == 1);
    tcp_info info{};
    socklen_t size = sizeof(info);
    REQUIRE(getsockopt(client.fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0);
    CHECK(info.tcpi_state == TCP_ESTABLISHED);
    repeated += info.tcpi_total_retrans;
    close(client.fd);
  }
  return repeated;
}

TEST_CASE("hundreds of connections at once find a place") {
  const auto server = StartEcho();
  REQUIRE(RepeatedPackets(server->port(), 300) == 0);
}

TEST_CASE("stopping twice is as good as once") {
  const auto server = StartEcho();
  server->Stop();
  server->Stop();
}

TEST_CASE("error kinds have their statuses") {
  const std::vector<std::pair<ErrorKind, int>> table = {
      {ErrorKind::kInvalid, 400},        {ErrorKind::kUnauthorized, 401},
      {ErrorKind::kNotFound, 404},       {ErrorKind::kConflict, 409},
      {ErrorKind::kUnavailable, 503},    {ErrorKind::kRejected, 422},
      {ErrorKind::kUnknownOutcome, 500}, {ErrorKind::kCorrupt, 500}};
  for (const auto& [kind, status] : table) {
    const HttpServerResponse response = ProblemResponse(MakeError(kind, "bytes \xff\n"));
    CHECK(response.status == status);
    CHECK(response.content_type == "application/problem+json");
  }
}

}  // namespace
}  // namespace director::director_http_server_test
