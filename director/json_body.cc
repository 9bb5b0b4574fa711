#include "director/json_body.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/text.h"

namespace director {
namespace {

using Json = nlohmann::json;
constexpr std::size_t kDepthMax = 16;

/// The first key that stands twice in one object; empty when there is none.
class DuplicateFinder {
 public:
  bool operator()(int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) open_.emplace_back();
    if (event == Json::parse_event_t::object_end) open_.pop_back();
    if (event == Json::parse_event_t::key &&
        !open_.back().insert(parsed.get<std::string>()).second) {
      duplicate_ = parsed.get<std::string>();
    }
    return true;
  }
  const std::string& duplicate() const { return duplicate_; }

 private:
  std::vector<std::set<std::string>> open_;
  std::string duplicate_;
};

}  // namespace

Result<JsonBody> JsonBody::Parse(std::string_view text) {
  if (JsonNestsDeeperThan(text, kDepthMax)) {
    return Fail(ErrorKind::kInvalid,
                fmt::format("the JSON nests deeper than {} levels", kDepthMax));
  }
  DuplicateFinder finder;
  JsonBody body;
  body.json_ = Json::parse(text, std::ref(finder), /*allow_exceptions=*/false);
  if (body.json_.is_discarded()) return Fail(ErrorKind::kInvalid, "the body is not JSON");
  if (!body.json_.is_object()) return Fail(ErrorKind::kInvalid, "the body is not a JSON object");
  if (!finder.duplicate().empty()) {
    return Fail(InvalidField(finder.duplicate(), "stands twice"));
  }
  return body;
}

Result<JsonBody> JsonBody::Of(const Json& object) {
  if (!object.is_object()) return Fail(ErrorKind::kInvalid, "must be an object");
  JsonBody body;
  body.json_ = object;
  return body;
}

void JsonBody::LowerCaseKeys() {
  Json lowered = Json::object();
  for (auto& [key, value] : json_.items()) {
    const std::string lower = ToLowerAscii(key);
    if (lowered.contains(lower)) Problem(lower, "stands twice");
    lowered[lower] = std::move(value);
  }
  json_ = std::move(lowered);
}

const Json* JsonBody::Find(const std::string& key) {
  known_.push_back(key);
  const auto found = json_.find(key);
  return found == json_.end() || found->is_null() ? nullptr : &*found;
}

std::string JsonBody::RequiredString(const std::string& key) {
  const Json* value = Find(key);
  if (value == nullptr) {
    Problem(key, "is missing");
  } else if (!value->is_string() || value->get<std::string>().empty()) {
    Problem(key, "must be a string that is not empty");
  } else {
    return value->get<std::string>();
  }
  return {};
}

std::string JsonBody::OptionalString(const std::string& key, std::string fallback) {
  const Json* value = Find(key);
  if (value == nullptr) return fallback;
  if (value->is_string() && !value->get<std::string>().empty()) return value->get<std::string>();
  Problem(key, "must be a string that is not empty");
  return fallback;
}

bool JsonBody::OptionalBool(const std::string& key) {
  const Json* value = Find(key);
  if (value == nullptr) return false;
  if (!value->is_boolean()) Problem(key, "must be true or false");
  return value->is_boolean() && value->get<bool>();
}

std::vector<std::string> JsonBody::OptionalStrings(const std::string& key) {
  const Json* value = Find(key);
  if (value == nullptr) return {};
  std::vector<std::string> strings;
  const bool ok = value->is_array() && std::all_of(value->begin(), value->end(), [](const Json& v) {
                    return v.is_string() && !v.get_ref<const std::string&>().empty();
                  });
  if (!ok) {
    Problem(key, "must be an array of strings that are not empty");
    return {};
  }
  for (const Json& entry : *value) strings.push_back(entry.get<std::string>());
  return strings;
}

void JsonBody::Problem(std::string field, std::string message) {
  problems_.push_back(InvalidField(std::move(field), std::move(message)));
}

void JsonBody::RefuseUnknownKeys() {
  for (const auto& [key, value] : json_.items()) {
    if (std::find(known_.begin(), known_.end(), key) == known_.end()) Problem(key, "unknown key");
  }
}

}  // namespace director
