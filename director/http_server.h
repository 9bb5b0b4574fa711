#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace director {

/// A request as a handler sees it. Everything from outside is bounded before a handler runs.
struct HttpServerRequest {
  std::string method;
  std::string path;                                ///< decoded, for logs
  std::map<std::string, std::string> path_values;  ///< by name in the pattern, percent-decoded
  std::map<std::string, std::string>
      query;  ///< decoded; a key that stands twice keeps its first value
  /// Lower-case names. The values of one that stands several times are joined with `, ` (RFC 9110,
  /// 5.3): who believes a header refuses it then.
  std::map<std::string, std::string> headers;
  std::string body;

  /// Empty when absent.
  std::string Header(std::string_view lower_case_name) const;
};

struct HttpServerResponse {
  int status = 200;
  std::string content_type;
  std::string body;
  std::map<std::string, std::string> headers;
  /// For what is too large to hold: called on the server's thread until it returns nothing more; an
  /// error breaks the connection off. `body` is then empty.
  std::function<Result<std::string>()> more = {};
};

/// A method and a path pattern such as `/api/v1/devices/{id}/items/{identifier}`.
struct HttpRoute {
  std::string method;
  std::string pattern;
  std::size_t body_size_max_bytes = 0;
  std::function<HttpServerResponse(const HttpServerRequest&)> handler;
};

/// Matches a path as it was sent (still percent-encoded, without a query) against a pattern, so
/// that an encoded slash stays part of its segment. Returns the decoded values by name; nothing
/// when it does not fit, a value is empty, or an escape is malformed.
std::optional<std::map<std::string, std::string>> MatchPath(std::string_view pattern,
                                                            std::string_view path);

struct HttpServerSettings {
  std::string host = "127.0.0.1";
  int port = 0;  ///< 0: any free one
  int threads = 32;
  std::string tls_certificate_file;  ///< empty: plain HTTP
  std::string tls_key_file;
};

/// Makes an `application/problem+json` answer (RFC 9457) from an error; `errors` names each
/// offending field.
HttpServerResponse ProblemResponse(int status, const Error& error);
HttpServerResponse ProblemResponse(int status, std::string_view title,
                                   const std::vector<Error>& errors);
/// kInvalid 400, kUnauthorized 401, kNotFound 404,
/// kConflict 409, kUnavailable 503, kRejected 422, others 500.
int HttpStatusOf(ErrorKind kind);
/// The same with a problem document.
HttpServerResponse ProblemResponse(const Error& error);

/// An HTTP/1.1 server on its own threads. A handler that throws answers 500 and ends nothing.
/// Unknown paths are 404, known paths with another method 405 with Allow, bodies above the route's
/// bound 413 before they are read, all as problem documents.
class HttpServer {
 public:
  virtual ~HttpServer() = default;
  virtual int port() const = 0;
  /// Stops accepting, finishes requests in hand, joins. Idempotent.
  virtual void Stop() = 0;
};

/// Binds and starts. kInvalid when the address cannot be bound or the TLS files cannot be used.
Result<std::unique_ptr<HttpServer>> StartHttpServer(const HttpServerSettings& settings,
                                                    std::vector<HttpRoute> routes);

/// A port of 127.0.0.1 that was free a moment ago, for two servers that name each other's address.
Result<int> FreePort();

}  // namespace director
