#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/result.h"
#include "director/cli_parts.h"
#include "upstream/http_client.h"

namespace director {

/// A client of `/api/v1` for the command line; shows the JSON library. Problem documents become
/// errors with all their messages.
class ApiClient {
 public:
  static Result<ApiClient> Connect(const ClientOptions& options);

  Result<nlohmann::json> Get(const std::string& path);
  Result<nlohmann::json> Post(const std::string& path, const nlohmann::json& body);
  Result<nlohmann::json> PostBytes(const std::string& path, std::string bytes,
                                   const std::string& content_type);
  Result<nlohmann::json> Delete(const std::string& path);
  /// Follows `next` and collects `name` from every page, at most `kRowsMax` rows.
  Result<nlohmann::json> GetAll(const std::string& path, const std::string& name);

  static constexpr std::size_t kRowsMax = 1'000'000;

 private:
  Result<nlohmann::json> Send(HttpRequest request);

  std::unique_ptr<HttpClient> http_;
};

}  // namespace director
