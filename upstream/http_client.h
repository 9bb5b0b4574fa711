#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"

namespace director {

/// Where a server is and how to talk to it.
struct HttpEndpoint {
  /// `http://host[:port][/base]` or `https://...`; no user info, query or fragment
  std::string url;
  std::string user;  ///< HTTP Basic when not empty
  Secret password;
  /// When set, asked before each request in place of `password`: one that was renewed counts at
  /// once, on connections that are open too.
  std::function<Result<Secret>()> renewable_password;
  Secret bearer_token;  ///< sent as `Authorization: Bearer` when not empty
  std::string ca_file;  ///< PEM; empty: the system's
  Duration connect_timeout = std::chrono::seconds(5);
};

struct HttpRequest {
  std::string method;  ///< GET, PUT, POST, DELETE
  /// Begins with `/`, already percent-encoded; appended to the endpoint's base path.
  std::string path;
  std::string body;
  std::string content_type;
  std::map<std::string, std::string> headers;
  /// For each wait to write or to read, and for receiving the whole body.
  Duration timeout = std::chrono::seconds(30);
};

struct HttpResponse {
  int status = 0;
  std::string content_type;
  std::string body;  ///< at most `kHttpResponseSizeMaxBytes`
};

inline constexpr std::size_t kHttpResponseSizeMaxBytes = 32 * 1024 * 1024;

/// A client for one server. Thread-safe; keeps a bounded pool of connections (at most 8 idle).
///
/// Errors: kUnavailable when the request surely did not reach the server (name, connect, TLS);
/// kUnknownOutcome when it was sent at least in part and no whole answer came (time-out, closed,
/// too large); kInvalid when the request cannot be written (method, path or a header is malformed):
/// nothing was sent, as with the errors of `renewable_password`. A body is sent at most once.
/// Redirects are not followed. Every status is an answer, not an error.
///
/// Precondition for `https`: the process ignores SIGPIPE (OpenSSL writes to sockets that the server
/// closed).
class HttpClient {
 public:
  virtual ~HttpClient() = default;
  virtual Result<HttpResponse> Send(const HttpRequest& request) = 0;
};

/// kInvalid when the URL is not usable, the CA file cannot be read, or the token has control
/// characters.
Result<std::unique_ptr<HttpClient>> MakeHttpClient(const HttpEndpoint& endpoint);

/// Percent-encodes everything but RFC 3986 unreserved characters: one path segment.
std::string EncodePathSegment(std::string_view text);

}  // namespace director
