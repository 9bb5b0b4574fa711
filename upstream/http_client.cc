#include "upstream/http_client.h"

#include <fmt/core.h>
#include <httplib.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <exception>
#include <fstream>
#include <mutex>
#include <utility>
#include <vector>

#include "base/text.h"

namespace director {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

constexpr std::size_t kIdleConnectionsMax = 8;

// A server may close an idle connection in the very moment in which we send on it, and then nobody
// can tell whether it read the request: an ambiguous outcome for nothing. Servers wait at least
// seconds before they do so, hence a connection is used again only within this time, which is
// enough for a burst of requests to share one.
constexpr auto kIdleReuseMax = std::chrono::seconds(1);

struct Origin {
  bool is_tls = false;
  std::string host;
  int port = 0;
  std::string base_path;  // empty, or begins with a slash and does not end with one
};

bool IsHostByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-' || c == '_';
}

bool IsIpv6Byte(char c) { return IsHostByte(c) || c == ':'; }

bool HasControlByte(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) == 0x7F;
  });
}

bool IsVisibleAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

Error UrlError(std::string message) { return InvalidField("url", std::move(message)); }

Result<int> ParsePort(std::string_view text) {
  int port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  const bool is_number = error == std::errc() && end == text.data() + text.size();
  if (!is_number || port < 1 || port > 65535) return Fail(UrlError("the port is not 1 to 65535"));
  return port;
}

/// Splits `host[:port]` or `[ipv6][:port]` into `origin`.
Status ParseAuthority(std::string_view authority, Origin& origin) {
  if (authority.find('@') != std::string_view::npos) {
    return Fail(UrlError("credentials do not belong in the URL"));
  }
  const bool is_bracketed = authority.starts_with('[');
  const std::size_t host_begin = is_bracketed ? 1 : 0;
  const std::size_t host_end = authority.find(is_bracketed ? ']' : ':');
  if (is_bracketed && host_end == std::string_view::npos) {
    return Fail(UrlError("the IPv6 address has no closing bracket"));
  }
  const std::string_view host =
      authority.substr(host_begin, std::min(host_end, authority.size()) - host_begin);
  if (host.empty() ||
      !std::all_of(host.begin(), host.end(), is_bracketed ? IsIpv6Byte : IsHostByte)) {
    return Fail(UrlError("the host is missing or malformed"));
  }
  origin.host = std::string(host);
  origin.port = origin.is_tls ? 443 : 80;
  authority.remove_prefix(std::min(host_begin + host.size() + host_begin, authority.size()));
  if (authority.empty()) return {};
  if (!authority.starts_with(':')) return Fail(UrlError("the host is malformed"));
  const Result<int> port = ParsePort(authority.substr(1));
  if (!port) return Fail(port.error());
  origin.port = *port;
  return {};
}

Result<Origin> ParseUrl(std::string_view url) {
  if (!IsVisibleAscii(url)) return Fail(UrlError("the URL has spaces or non-ASCII characters"));
  if (url.find_first_of("?#") != std::string_view::npos) {
    return Fail(UrlError("the URL must not have a query or a fragment"));
  }
  Origin origin;
  const std::size_t scheme_end = url.find("://");
  const std::string_view scheme = url.substr(0, std::min(scheme_end, url.size()));
  origin.is_tls = EqualsIgnoreCaseAscii(scheme, "https");
  if (scheme_end == std::string_view::npos ||
      (!origin.is_tls && !EqualsIgnoreCaseAscii(scheme, "http"))) {
    return Fail(UrlError("the URL must begin with http:// or https://"));
  }
  url.remove_prefix(scheme_end + 3);
  const std::size_t path_begin = std::min(url.find('/'), url.size());
  if (const Status parsed = ParseAuthority(url.substr(0, path_begin), origin); !parsed) {
    return Fail(parsed.error());
  }
  origin.base_path = std::string(url.substr(path_begin));
  while (origin.base_path.ends_with('/')) origin.base_path.pop_back();
  return origin;
}

/// Only 0.13 and later know this error; the template makes the name optional.
template <typename E>
bool IsHostnameMismatch(E error) {
  if constexpr (requires { E::SSLServerHostnameVerification; }) {
    return error == E::SSLServerHostnameVerification;
  } else {
    return false;
  }
}

/// Returns what failed before the first byte of a request, or nothing when bytes may have left.
std::string_view SetupFailure(httplib::Error error) {
  if (IsHostnameMismatch(error)) return "the server's certificate is for another host";
  switch (error) {
    case httplib::Error::Connection:
      return "cannot connect";
    case httplib::Error::ConnectionTimeout:
      return "connecting took too long";
    case httplib::Error::BindIPAddress:
      return "cannot bind the local address";
    case httplib::Error::SSLConnection:
      return "the TLS handshake failed";
    case httplib::Error::SSLLoadingCerts:
      return "the CA file cannot be loaded";
    case httplib::Error::SSLServerVerification:
      return "the server's certificate is not trusted";
    default:  // a set of the library's that differs between versions: anything else is ambiguous
      return {};
  }
}

/// One request on its way: feeds the body to the library and collects the answer within bounds.
class Exchange {
 public:
  Exchange(const HttpRequest& request, const std::string& base_path)
      : request_(request), deadline_(std::chrono::steady_clock::now() + request.timeout) {
    wire_.method = request.method;
    wire_.path = base_path + request.path;
    for (const auto& [name, value] : request.headers) wire_.headers.emplace(name, value);
    if (!request.content_type.empty()) wire_.set_header("Content-Type", request.content_type);
    if (!wire_.has_header("User-Agent")) wire_.set_header("User-Agent", "director");
    wire_.response_handler = [this](const httplib::Response&) {
      deadline_ = std::chrono::steady_clock::now() + request_.timeout;
      return true;
    };
    wire_.content_receiver = [this](const char* bytes, std::size_t size, std::uint64_t,
                                    std::uint64_t) {
      return Receive({bytes, size});
    };
    if (request.body.empty()) return;
    wire_.content_length_ = request.body.size();
    wire_.content_provider_ = [this](std::size_t offset, std::size_t size,
                                     httplib::DataSink& sink) {
      return Provide(offset, size, sink);
    };
  }
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  Result<HttpResponse> Run(httplib::ClientImpl& connection) {
    connection.set_read_timeout(request_.timeout);
    connection.set_write_timeout(request_.timeout);
    httplib::Response answer;
    auto error = httplib::Error::Success;
    try {
      if (!connection.send(wire_, answer, error)) return Fail(Failure(error));
    } catch (const std::exception& exception) {
      Error failure = MakeError(ErrorKind::kUnknownOutcome, "the HTTP library failed");
      failure.detail = exception.what();
      return Fail(std::move(failure));
    }
    return HttpResponse{answer.status, answer.get_header_value("Content-Type"), std::move(body_)};
  }

 private:
  // The library sends again by itself when a TLS server closes right after the request (0.15 and
  // later); a command must not be doubled, so the second helping of the body is refused. It also
  // saves the copies that the library makes of a request.
  bool Provide(std::size_t offset, std::size_t size, httplib::DataSink& sink) {
    if (offset == 0 && std::exchange(is_body_begun_, true)) return false;
    return sink.write(request_.body.data() + offset, size);
  }

  // Counts what comes out of decompression, so a small body cannot become a large one.
  bool Receive(std::string_view bytes) {
    is_too_large_ = body_.size() + bytes.size() > kHttpResponseSizeMaxBytes;
    if (is_too_large_ || std::chrono::steady_clock::now() > deadline_) return false;
    body_.append(bytes);
    return true;
  }

  Error Failure(httplib::Error error) const {
    const std::string_view setup_failure = SetupFailure(error);
    Error failure = !setup_failure.empty() && !is_body_begun_
                        ? MakeError(ErrorKind::kUnavailable, std::string(setup_failure))
                        : MakeError(ErrorKind::kUnknownOutcome, Interruption());
    failure.detail = httplib::to_string(error);
    return failure;
  }

  std::string Interruption() const {
    if (is_too_large_) return "the answer is larger than 32 MiB";
    if (std::chrono::steady_clock::now() >= deadline_) {
      return fmt::format("no whole answer within {}", FormatDuration(request_.timeout));
    }
    return "the connection ended before a whole answer came";
  }

  const HttpRequest& request_;
  httplib::Request wire_;
  std::string body_;
  SteadyTime deadline_;  // for the head of the answer, then for its body
  bool is_body_begun_ = false;
  bool is_too_large_ = false;
};

bool IsToken(std::string_view text) {
  return !text.empty() && IsVisibleAscii(text) && text.find(':') == std::string_view::npos;
}

/// Refuses what would break out of the request line or of a header line.
Status CheckRequest(const HttpRequest& request) {
  if (!IsToken(request.method)) return Fail(InvalidField("method", "malformed HTTP method"));
  if (!request.path.starts_with('/') || !IsVisibleAscii(request.path)) {
    return Fail(InvalidField("path", "malformed request path"));
  }
  if (HasControlByte(request.content_type)) {
    return Fail(InvalidField("content_type", "malformed content type"));
  }
  for (const auto& [name, value] : request.headers) {
    if (!IsToken(name) || HasControlByte(value)) {
      return Fail(InvalidField("headers", "malformed header"));
    }
  }
  return {};
}

class PooledHttpClient final : public HttpClient {
 public:
  PooledHttpClient(HttpEndpoint endpoint, Origin origin)
      : endpoint_(std::move(endpoint)), origin_(std::move(origin)) {}

  Result<HttpResponse> Send(const HttpRequest& request) override {
    if (const Status checked = CheckRequest(request); !checked) return Fail(checked.error());
    std::unique_ptr<httplib::ClientImpl> connection = Take();
    if (Status set = SetPassword(*connection); !set) return Fail(set.error());
    Result<HttpResponse> response = Exchange(request, origin_.base_path).Run(*connection);
    // After a failure the connection may still carry the rest of the old answer: drop it.
    if (response) Return(std::move(connection));
    return response;
  }

 private:
  struct IdleConnection {
    std::unique_ptr<httplib::ClientImpl> connection;
    SteadyTime since;
  };

  std::unique_ptr<httplib::ClientImpl> Take() {
    std::unique_lock lock(mutex_);
    if (idle_.empty()) {
      lock.unlock();
      return Make();
    }
    IdleConnection idle = std::move(idle_.back());
    idle_.pop_back();
    lock.unlock();
    // The object is worth keeping even when its socket is not: it has the CA certificates loaded.
    if (std::chrono::steady_clock::now() - idle.since > kIdleReuseMax) idle.connection->stop();
    return std::move(idle.connection);
  }

  void Return(std::unique_ptr<httplib::ClientImpl> connection) {
    const std::lock_guard lock(mutex_);
    if (idle_.size() >= kIdleConnectionsMax) return;
    idle_.push_back({std::move(connection), std::chrono::steady_clock::now()});
  }

  std::unique_ptr<httplib::ClientImpl> Make() const {
    std::unique_ptr<httplib::ClientImpl> connection;
    if (origin_.is_tls) {
      connection = std::make_unique<httplib::SSLClient>(origin_.host, origin_.port);
    } else {
      connection = std::make_unique<httplib::ClientImpl>(origin_.host, origin_.port);
    }
    connection->set_keep_alive(true);
    connection->set_url_encode(false);  // paths come encoded
    connection->set_tcp_nodelay(true);  // header and body are two writes: no waiting for an ACK
    connection->set_connection_timeout(endpoint_.connect_timeout);
    if (!endpoint_.ca_file.empty()) connection->set_ca_cert_path(endpoint_.ca_file);
    if (!endpoint_.bearer_token.empty()) {
      connection->set_bearer_token_auth(endpoint_.bearer_token.Reveal());
    }
    return connection;
  }

  Status SetPassword(httplib::ClientImpl& connection) const {
    if (endpoint_.user.empty()) return {};
    const Result<Secret> password =
        endpoint_.renewable_password ? endpoint_.renewable_password() : endpoint_.password;
    if (!password) return Fail(password.error());
    connection.set_basic_auth(endpoint_.user, password->Reveal());
    return {};
  }

  const HttpEndpoint endpoint_;
  const Origin origin_;
  std::mutex mutex_;
  std::vector<IdleConnection> idle_;  // the last one was used last; at most kIdleConnectionsMax
};

}  // namespace

Result<std::unique_ptr<HttpClient>> MakeHttpClient(const HttpEndpoint& endpoint) {
  Result<Origin> origin = ParseUrl(endpoint.url);
  if (!origin) return Fail(origin.error());
  if (!endpoint.ca_file.empty() && !std::ifstream(endpoint.ca_file).good()) {
    return Fail(InvalidField("ca_file", "the CA file cannot be read"));
  }
  if (HasControlByte(endpoint.bearer_token.Reveal())) {
    return Fail(InvalidField("bearer_token", "the token has control characters"));
  }
  return std::unique_ptr<HttpClient>(
      std::make_unique<PooledHttpClient>(endpoint, std::move(*origin)));
}

std::string EncodePathSegment(std::string_view text) {
  static constexpr std::string_view kHexDigits = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '~' || IsHostByte(c)) {  // letters, digits, dot, dash, underscore
      encoded.push_back(c);
    } else {
      encoded.push_back('%');
      encoded.push_back(kHexDigits[byte >> 4]);
      encoded.push_back(kHexDigits[byte & 0x0F]);
    }
  }
  return encoded;
}

}  // namespace director
