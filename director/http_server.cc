#include "director/http_server.h"

#include <fmt/core.h>
#include <httplib.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <exception>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "base/log.h"
#include "base/log_keys.h"
#include "base/text.h"

namespace director {
namespace {

constexpr std::size_t kPathSegmentsMax = 16;
constexpr int kReadTimeoutSeconds = 15;
constexpr int kKeepAliveSeconds = 5;
constexpr std::size_t kRequestsPerConnectionMax = 10'000;
/// Connections that wait to be taken; the system may allow fewer (net.core.somaxconn). A client
/// whose connection finds no place tries again after a second, then after three.
constexpr int kBacklog = 4'096;

std::vector<std::string_view> Split(std::string_view path) {
  std::vector<std::string_view> segments;
  while (!path.empty() && segments.size() <= kPathSegmentsMax) {
    path.remove_prefix(1);  // the slash
    const std::size_t end = std::min(path.find('/'), path.size());
    segments.push_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return segments;
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Percent-decodes; empty for a malformed escape.
std::optional<std::string> PercentDecode(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded.push_back(text[i]);
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = HexValue(text[i + 1]);
    const int low = HexValue(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    decoded.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return decoded;
}

/// False breaks the connection off: the client sees that the end is missing.
bool WritePart(const std::function<Result<std::string>()>& more, httplib::DataSink& sink) {
  std::string why;
  try {
    const Result<std::string> part = more();
    if (part && part->empty()) {
      sink.done();
      return true;
    }
    if (part) return sink.write(part->data(), part->size());
    why = ErrorForLog(part.error());
  } catch (const std::exception& error) {
    why = error.what();
  }
  Log(LogLevel::kError, "answer broken off", {{log_key::kError, why}});
  return false;
}

void Write(const HttpServerResponse& from, httplib::Response& to) {
  to.status = from.status;
  for (const auto& [name, value] : from.headers) to.set_header(name, value);
  if (from.more) {
    to.set_chunked_content_provider(
        from.content_type,
        [more = from.more](std::size_t, httplib::DataSink& sink) { return WritePart(more, sink); });
    return;
  }
  if (!from.body.empty() || !from.content_type.empty())
    to.set_content(from.body, from.content_type);
}

using PathValues = std::map<std::string, std::string>;

/// A known path or not, and the handler when the method fits too.
struct Lookup {
  const HttpRoute* route = nullptr;
  PathValues values;
  std::string allowed_methods;
};

class Server final : public HttpServer {
 public:
  Server(std::unique_ptr<httplib::Server> server, std::vector<HttpRoute> routes)
      : server_(std::move(server)), routes_(std::move(routes)) {}
  ~Server() override { Stop(); }

  Result<int> Start(const HttpServerSettings& settings) {
    Configure(settings);
    port_ = settings.port;
    const bool bound = settings.port == 0 ? (port_ = server_->bind_to_any_port(settings.host)) > 0
                                          : server_->bind_to_port(settings.host, settings.port);
    if (!bound) {
      return Fail(ErrorKind::kInvalid,
                  fmt::format("cannot listen on {}:{}: the address is in use or not ours",
                              settings.host, settings.port));
    }
    // The library listens with room for five.
    if (::listen(listening_fd_, kBacklog) != 0) {
      const std::string why = std::generic_category().message(errno);
      ::close(listening_fd_);
      return Fail(ErrorKind::kInvalid,
                  fmt::format("cannot listen on {}:{}: {}", settings.host, port_, why));
    }
    thread_ = std::thread([this] { server_->listen_after_bind(); });
    while (!server_->is_running()) std::this_thread::yield();
    return port_;
  }

  int port() const override { return port_; }

  void Stop() override {
    if (!thread_.joinable()) return;
    server_->stop();
    thread_.join();
  }

 private:
  void Configure(const HttpServerSettings& settings) {
    const auto threads = static_cast<std::size_t>(settings.threads);
    server_->new_task_queue = [threads] { return new httplib::ThreadPool(threads); };
    server_->set_read_timeout(kReadTimeoutSeconds);
    server_->set_write_timeout(kReadTimeoutSeconds);
    server_->set_keep_alive_timeout(kKeepAliveSeconds);
    server_->set_keep_alive_max_count(kRequestsPerConnectionMax);
    server_->set_tcp_nodelay(true);
    // The library's default is SO_REUSEPORT: a second server on the same port would share its
    // requests without a word.
    server_->set_socket_options([this](socket_t socket_fd) {
      listening_fd_ = socket_fd;
      const int on = 1;
      setsockopt(socket_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    });
    const auto with_body = [this](const httplib::Request& request, httplib::Response& response,
                                  const httplib::ContentReader& reader) {
      Answer(request, response, &reader);
    };
    const auto without_body = [this](const httplib::Request& request, httplib::Response& response) {
      Answer(request, response, nullptr);
    };
    server_->Get(".*", without_body);
    server_->Post(".*", with_body);
    server_->Put(".*", with_body);
    server_->Delete(".*", with_body);
    server_->Patch(".*", with_body);
    server_->Options(".*", without_body);
    server_->set_error_handler([](const httplib::Request&, httplib::Response& response) {
      if (response.body.empty()) {
        Write(ProblemResponse(response.status,
                              MakeError(ErrorKind::kInvalid, "the request cannot be read")),
              response);
      }
    });
  }

  Lookup Find(const std::string& method, std::string_view target) const {
    const std::string_view path = target.substr(0, target.find('?'));
    Lookup lookup;
    for (const HttpRoute& route : routes_) {
      std::optional<PathValues> values = MatchPath(route.pattern, path);
      if (!values) continue;
      lookup.allowed_methods += (lookup.allowed_methods.empty() ? "" : ", ") + route.method;
      if (route.method == method || (method == "HEAD" && route.method == "GET")) {
        lookup.route = &route;
        lookup.values = std::move(*values);
        return lookup;
      }
    }
    return lookup;
  }

  void Answer(const httplib::Request& request, httplib::Response& response,
              const httplib::ContentReader* reader) const {
    Lookup lookup = Find(request.method, request.target);
    if (lookup.route == nullptr) {
      // The body is never read; the connection cannot be used again.
      response.set_header("Connection", "close");
      if (lookup.allowed_methods.empty()) {
        return Write(ProblemResponse(404, MakeError(ErrorKind::kNotFound, "no such path")),
                     response);
      }
      response.set_header("Allow", lookup.allowed_methods);
      return Write(ProblemResponse(405, MakeError(ErrorKind::kInvalid, "method not allowed")),
                   response);
    }
    if (request.is_multipart_form_data()) {
      response.set_header("Connection", "close");
      return Write(ProblemResponse(
                       415, MakeError(ErrorKind::kInvalid,
                                      "forms are not read; send the bytes themselves as the body")),
                   response);
    }
    HttpServerRequest own = ToOwn(request, std::move(lookup.values));
    if (reader != nullptr && HasBody(request) &&
        (DeclaredSize(request) > lookup.route->body_size_max_bytes ||
         !ReadBody(*reader, lookup.route->body_size_max_bytes, own.body))) {
      response.set_header("Connection", "close");
      return Write(ProblemResponse(413, MakeError(ErrorKind::kInvalid,
                                                  fmt::format("the body is larger than {} bytes",
                                                              lookup.route->body_size_max_bytes))),
                   response);
    }
    Write(Handle(*lookup.route, own), response);
  }

  static HttpServerRequest ToOwn(const httplib::Request& request, PathValues values) {
    HttpServerRequest own;
    own.method = request.method;
    own.path = request.path;
    own.path_values = std::move(values);
    for (const auto& [key, value] : request.params) own.query.emplace(key, value);
    for (const auto& [name, value] : request.headers) {
      const auto [header, is_first] = own.headers.emplace(ToLowerAscii(name), value);
      if (!is_first) header->second += ", " + value;
    }
    return own;
  }

  /// Without a length there is no body (RFC 9112, 6.3); the library would wait for one until its
  /// time-out.
  static bool HasBody(const httplib::Request& request) {
    return request.has_header("Content-Length") || request.has_header("Transfer-Encoding");
  }

  /// 0 when it is not told.
  static std::uint64_t DeclaredSize(const httplib::Request& request) {
    const std::string text = request.get_header_value("Content-Length");
    std::uint64_t size = 0;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), size);
    return ec == std::errc::result_out_of_range ? std::numeric_limits<std::uint64_t>::max() : size;
  }

  static bool ReadBody(const httplib::ContentReader& reader, std::size_t size_max_bytes,
                       std::string& body) {
    return reader([&](const char* data, std::size_t size) {
      if (body.size() + size > size_max_bytes) return false;
      body.append(data, size);
      return true;
    });
  }

  static HttpServerResponse Handle(const HttpRoute& route, const HttpServerRequest& request) {
    try {
      return route.handler(request);
    } catch (const std::exception& error) {
      Log(LogLevel::kError, "request handler failed",
          {{log_key::kMethod, request.method},
           {log_key::kPath, request.path},
           {log_key::kError, error.what()}});
    }
    return ProblemResponse(500, MakeError(ErrorKind::kCorrupt, "internal error; see the log"));
  }

  std::unique_ptr<httplib::Server> server_;
  std::vector<HttpRoute> routes_;
  std::thread thread_;
  socket_t listening_fd_ = INVALID_SOCKET;  ///< the library's own
  int port_ = 0;
};

}  // namespace

std::string HttpServerRequest::Header(std::string_view lower_case_name) const {
  const auto found = headers.find(std::string(lower_case_name));
  return found == headers.end() ? std::string() : found->second;
}

std::optional<std::map<std::string, std::string>> MatchPath(std::string_view pattern,
                                                            std::string_view path) {
  const std::vector<std::string_view> wanted = Split(pattern);
  const std::vector<std::string_view> given = Split(path);
  if (wanted.size() != given.size()) return std::nullopt;
  std::map<std::string, std::string> values;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const std::optional<std::string> decoded = PercentDecode(given[i]);
    if (!decoded) return std::nullopt;
    if (wanted[i].starts_with('{')) {
      if (decoded->empty()) return std::nullopt;
      values.emplace(wanted[i].substr(1, wanted[i].size() - 2), *decoded);
    } else if (*decoded != wanted[i]) {
      return std::nullopt;
    }
  }
  return values;
}

HttpServerResponse ProblemResponse(int status, std::string_view title,
                                   const std::vector<Error>& errors) {
  nlohmann::json problem{
      {"type", "about:blank"}, {"status", status}, {"title", Printable(title, 1024)}};
  for (const Error& error : errors) {
    nlohmann::json entry{{"message", Printable(error.message, 1024)}};
    if (!error.field.empty()) entry["field"] = Printable(error.field, 256);
    problem["errors"].push_back(std::move(entry));
  }
  return {status, "application/problem+json", problem.dump() + "\n", {}};
}

HttpServerResponse ProblemResponse(int status, const Error& error) {
  return ProblemResponse(status, error.message, {error});
}

int HttpStatusOf(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInvalid:
      return 400;
    case ErrorKind::kUnauthorized:
      return 401;
    case ErrorKind::kNotFound:
      return 404;
    case ErrorKind::kConflict:
      return 409;
    case ErrorKind::kUnavailable:
      return 503;
    case ErrorKind::kRejected:
      return 422;
    case ErrorKind::kUnknownOutcome:
    case ErrorKind::kCorrupt:
      return 500;
  }
  return 500;
}

HttpServerResponse ProblemResponse(const Error& error) {
  return ProblemResponse(HttpStatusOf(error.kind), error);
}

Result<std::unique_ptr<HttpServer>> StartHttpServer(const HttpServerSettings& settings,
                                                    std::vector<HttpRoute> routes) {
  std::unique_ptr<httplib::Server> server;
  if (settings.tls_certificate_file.empty()) {
    server = std::make_unique<httplib::Server>();
  } else {
    server = std::make_unique<httplib::SSLServer>(settings.tls_certificate_file.c_str(),
                                                  settings.tls_key_file.c_str());
    if (!server->is_valid()) {
      return Fail(ErrorKind::kInvalid,
                  fmt::format("{} and {} cannot be used for TLS", settings.tls_certificate_file,
                              settings.tls_key_file));
    }
  }
  auto wrapped = std::make_unique<Server>(std::move(server), std::move(routes));
  const Result<int> port = wrapped->Start(settings);
  if (!port) return Fail(port.error());
  return std::unique_ptr<HttpServer>(std::move(wrapped));
}

Result<int> FreePort() {
  const auto probe = StartHttpServer({}, {});
  if (!probe) return Fail(probe.error());
  return (*probe)->port();
}

}  // namespace director
