#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace director {

/// Reads the JSON object of a request and collects every problem with it, so that a client sees all
/// of them at once. For the API's .cc files only: this header shows the JSON library.
class JsonBody {
 public:
  /// kInvalid: not JSON, not an object, a key twice, nested deeper than 16.
  static Result<JsonBody> Parse(std::string_view text);
  /// An object within a body that was parsed. kInvalid: not an object.
  static Result<JsonBody> Of(const nlohmann::json& object);

  /// Each notes a problem and returns a default when the key is missing (if required) or of another
  /// type.
  std::string RequiredString(const std::string& key);
  std::string OptionalString(const std::string& key, std::string fallback);
  bool OptionalBool(const std::string& key);
  std::vector<std::string> OptionalStrings(const std::string& key);
  bool Has(const std::string& key) const { return json_.contains(key); }
  /// The value, which is then known; null when it is missing or null.
  const nlohmann::json* Find(const std::string& key);
  const nlohmann::json& json() const { return json_; }

  /// For callers that are used to keys in any letter case; two spellings of one are a problem.
  void LowerCaseKeys();

  void Problem(std::string field, std::string message);
  /// Notes every key that nobody has asked for; call last.
  void RefuseUnknownKeys();
  const std::vector<Error>& problems() const { return problems_; }

 private:
  nlohmann::json json_;
  std::vector<std::string> known_;
  std::vector<Error> problems_;
};

}  // namespace director
