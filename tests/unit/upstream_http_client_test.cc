#include <chrono>
#include <string>
#include <thread>

#include "tests/support/catch.h"
#include "tests/unit/upstream_fake_server.h"
#include "upstream/http_client.h"

namespace director::upstream_http_client_test {
namespace {

HttpEndpoint EndpointAt(const std::string& url) {
  HttpEndpoint endpoint;
  endpoint.url = url;
  return endpoint;
}

std::unique_ptr<HttpClient> ClientFor(const HttpEndpoint& endpoint) {
  auto client = MakeHttpClient(endpoint);
  REQUIRE(client.has_value());
  return std::move(*client);
}

HttpRequest Get(const std::string& path) {
  HttpRequest request;
  request.method = "GET";
  request.path = path;
  return request;
}

HttpRequest Put(const std::string& path, const std::string& body) {
  HttpRequest request = Get(path);
  request.method = "PUT";
  request.body = body;
  request.content_type = "application/xml";
  return request;
}

ErrorKind KindOfFailure(const std::string& url, const HttpRequest& request) {
  const auto response = ClientFor(EndpointAt(url))->Send(request);
  REQUIRE_FALSE(response.has_value());
  return response.error().kind;
}

TEST_CASE("HttpClient sends method, base path, headers, body and credentials") {
  FakeServer server(InTurn({Answer(207, "{\"a\":1}")}));
  HttpEndpoint endpoint = EndpointAt(server.Url() + "/base/");
  endpoint.user = "nanomdm";
  endpoint.password = Secret("p:w");
  HttpRequest request = Put("/v1/x%3Ay,z?nopush=1", std::string(100'000, 'b'));
  request.headers["X-Trace"] = "t";

  const auto response = ClientFor(endpoint)->Send(request);

  REQUIRE(response.has_value());
  CHECK(response->status == 207);
  CHECK(response->body == "{\"a\":1}");
  CHECK(response->content_type == "application/json");
  const auto seen = server.Requests();
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].method == "PUT");
  CHECK(seen[0].target == "/base/v1/x%3Ay,z?nopush=1");
  CHECK(seen[0].body == request.body);
  CHECK(seen[0].headers.at("content-type") == "application/xml");
  CHECK(seen[0].headers.at("x-trace") == "t");
  CHECK(seen[0].headers.at("authorization") == "Basic " + EncodeBase64("nanomdm:p:w"));
}

TEST_CASE("HttpClient sends a bearer token, and no credentials when there are none") {
  FakeServer server(InTurn({Answer(200, "")}));
  HttpEndpoint endpoint = EndpointAt(server.Url());
  REQUIRE(ClientFor(endpoint)->Send(Get("/")).has_value());
  endpoint.bearer_token = Secret("token");
  REQUIRE(ClientFor(endpoint)->Send(Get("/")).has_value());
  const auto seen = server.Requests();
  REQUIRE(seen.size() == 2);
  CHECK(seen[0].headers.count("authorization") == 0);
  CHECK(seen[1].headers.at("authorization") == "Bearer token");
}

TEST_CASE("HttpClient asks for a renewable password before each request") {
  FakeServer server(InTurn({Answer(200, ""), Answer(200, "")}));
  HttpEndpoint endpoint = EndpointAt(server.Url());
  endpoint.user = "nanomdm";
  Result<Secret> password = Secret("one");
  endpoint.renewable_password = [&] { return password; };
  const auto client = ClientFor(endpoint);
  REQUIRE(client->Send(Get("/")).has_value());
  password = Secret("two");
  REQUIRE(client->Send(Get("/")).has_value());
  password = Fail(ErrorKind::kInvalid, "the file is empty");
  const auto unsent = client->Send(Get("/"));
  REQUIRE_FALSE(unsent.has_value());
  CHECK(unsent.error().message == "the file is empty");

  const auto seen = server.Requests();
  REQUIRE(seen.size() == 2);
  CHECK(seen[0].headers.at("authorization") == "Basic " + EncodeBase64("nanomdm:one"));
  CHECK(seen[1].headers.at("authorization") == "Basic " + EncodeBase64("nanomdm:two"));
  CHECK(server.ConnectionCount() == 1);
}

TEST_CASE("HttpClient gives every status as an answer and follows no redirect") {
  FakeServer server(InTurn({{"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n",
                             FakeReply::Then::kKeep},
                            Answer(503, "down", "text/plain")}));
  const auto client = ClientFor(EndpointAt(server.Url()));
  CHECK(client->Send(Get("/"))->status == 302);
  CHECK(client->Send(Get("/"))->status == 503);
  CHECK(server.Requests().size() == 2);
}

TEST_CASE("HttpClient says kUnavailable only when nothing was sent") {
  SECTION("nobody listens") {
    CHECK(KindOfFailure(RefusingUrl(), Put("/", "x")) == ErrorKind::kUnavailable);
  }
  SECTION("no such name") {
    CHECK(KindOfFailure("http://nowhere.invalid", Put("/", "x")) == ErrorKind::kUnavailable);
  }
  SECTION("no TLS at the other end") {
    FakeServer server([](const SeenRequest&) { return Drop(); });
    HttpEndpoint endpoint = EndpointAt("https" + server.Url().substr(4));
    endpoint.connect_timeout = std::chrono::milliseconds(200);
    const auto response = ClientFor(endpoint)->Send(Put("/", "x"));
    REQUIRE_FALSE(response.has_value());
    CHECK(response.error().kind == ErrorKind::kUnavailable);
  }
}

TEST_CASE("HttpClient says kUnknownOutcome when the answer is missing or not whole") {
  const FakeReply reply = GENERATE(
      Drop(),
      FakeReply{"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfour", FakeReply::Then::kClose},
      FakeReply{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
                FakeReply::Then::kClose},
      FakeReply{"this is not HTTP\r\n\r\n", FakeReply::Then::kClose});
  FakeServer server(InTurn({reply}));
  CHECK(KindOfFailure(server.Url(), Put("/", "x")) == ErrorKind::kUnknownOutcome);
  CHECK(server.WaitForRequests(1).size() == 1);  // never repeated by itself
}

TEST_CASE("HttpClient gives up a silent server after the time-out") {
  FakeServer server(InTurn({Silence()}));
  HttpRequest request = Put("/", "x");
  request.timeout = std::chrono::milliseconds(100);
  const auto response = ClientFor(EndpointAt(server.Url()))->Send(request);
  REQUIRE_FALSE(response.has_value());
  CHECK(response.error().kind == ErrorKind::kUnknownOutcome);
  CHECK(response.error().message.find("100 ms") != std::string::npos);
}

TEST_CASE("HttpClient takes 32 MiB and not a byte more") {
  const std::string limit(kHttpResponseSizeMaxBytes, 'x');
  FakeServer server(InTurn({Answer(200, limit), Answer(200, limit + "x")}));
  const auto client = ClientFor(EndpointAt(server.Url()));
  const auto fits = client->Send(Get("/"));
  REQUIRE(fits.has_value());
  CHECK(fits->body.size() == kHttpResponseSizeMaxBytes);
  const auto exceeds = client->Send(Get("/"));
  REQUIRE_FALSE(exceeds.has_value());
  CHECK(exceeds.error().kind == ErrorKind::kUnknownOutcome);
}

TEST_CASE("HttpClient shares a connection between requests that follow closely") {
  FakeServer server(InTurn({Answer(200, "a")}));
  const auto client = ClientFor(EndpointAt(server.Url()));
  for (int i = 0; i < 3; ++i) REQUIRE(client->Send(Put("/", "x")).has_value());
  CHECK(server.ConnectionCount() == 1);
}

TEST_CASE("HttpClient does not trust a connection that was idle for more than a second") {
  FakeServer server(InTurn({Answer(200, "a")}));
  const auto client = ClientFor(EndpointAt(server.Url()));
  REQUIRE(client->Send(Get("/")).has_value());
  std::this_thread::sleep_for(std::chrono::milliseconds(1'050));  // the idle time itself
  REQUIRE(client->Send(Get("/")).has_value());
  CHECK(server.ConnectionCount() == 2);
}

TEST_CASE("HttpClient connects again after an answer was lost") {
  FakeServer server(InTurn({Drop(), Answer(200, "a")}));
  const auto client = ClientFor(EndpointAt(server.Url()));
  CHECK_FALSE(client->Send(Get("/")).has_value());
  CHECK(client->Send(Get("/")).has_value());
}

TEST_CASE("HttpClient serves several threads") {
  FakeServer server([](const SeenRequest& request) { return Answer(200, request.body); });
  const auto client = ClientFor(EndpointAt(server.Url()));
  std::vector<int> right(12, 0);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < right.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int j = 0; j < 20; ++j) {
        const std::string body = std::to_string(i) + "-" + std::to_string(j);
        const auto response = client->Send(Put("/", body));
        if (response && response->body == body) ++right[i];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(right == std::vector<int>(12, 20));
}

TEST_CASE("HttpClient refuses a request that cannot be written") {
  FakeServer server(InTurn({Answer(200, "")}));
  HttpRequest request = Get("/");
  SECTION("path without slash") { request.path = "x"; }
  SECTION("path with a line end") { request.path = "/x\r\nX-Evil: 1"; }
  SECTION("path with a space") { request.path = "/x y"; }
  SECTION("no method") { request.method = ""; }
  SECTION("method with a space") { request.method = "GET /"; }
  SECTION("header value with a line end") { request.headers["X-A"] = "1\r\nX-Evil: 1"; }
  SECTION("header name with a colon") { request.headers["X-A: 1"] = "1"; }
  SECTION("content type with a line end") { request.content_type = "a\nb"; }
  CHECK(KindOfFailure(server.Url(), request) == ErrorKind::kInvalid);
  CHECK(server.Requests().empty());
}

TEST_CASE("MakeHttpClient accepts usable URLs") {
  const std::string url =
      GENERATE("http://host", "https://host:8443/", "HTTP://127.0.0.1:1/base/path",
               "http://[::1]:9000", "http://[fe80::ab]", "http://mdm_1.example.com:65535/");
  CHECK(MakeHttpClient(EndpointAt(url)).has_value());
}

TEST_CASE("MakeHttpClient refuses unusable URLs") {
  const std::string url =
      GENERATE("", "host", "host:80", "ftp://host", "http://", "http://:80", "http://host:0",
               "http://host:65536", "http://host:", "http://host:8x", "http://user:pw@host",
               "http://[::1", "http://[::1]x", "http://[]", "http://host?q", "http://host/#f",
               "http://ho st", "http://h\xC3\xB6st", "http://host\r\n");
  const auto client = MakeHttpClient(EndpointAt(url));
  REQUIRE_FALSE(client.has_value());
  CHECK(client.error().kind == ErrorKind::kInvalid);
  CHECK(client.error().field == "url");
}

TEST_CASE("MakeHttpClient refuses a missing CA file and a token that breaks the header") {
  HttpEndpoint no_ca = EndpointAt("https://host");
  no_ca.ca_file = "/nonexistent/ca.pem";
  CHECK(MakeHttpClient(no_ca).error().field == "ca_file");
  HttpEndpoint bad_token = EndpointAt("https://host");
  bad_token.bearer_token = Secret("a\nb");
  CHECK(MakeHttpClient(bad_token).error().field == "bearer_token");
}

TEST_CASE("EncodePathSegment keeps only unreserved characters") {
  CHECK(EncodePathSegment("AZaz09-._~") == "AZaz09-._~");
  CHECK(EncodePathSegment("A:b@c,d/e f%\xC3\xA9?#") == "A%3Ab%40c%2Cd%2Fe%20f%25%C3%A9%3F%23");
  CHECK(EncodePathSegment("").empty());
}

}  // namespace
}  // namespace director::upstream_http_client_test
