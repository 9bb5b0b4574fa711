#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "tests/support/catch.h"

/// Sessions of MDMDirector's clients, request by request with MDMDirector's own answers, as they
/// stand in tests/golden/mdmdirector.
namespace director::director_test {

inline std::string FilledSession(std::string text, const std::string& udid,
                                 const std::string& serial) {
  const auto fill = [&](const std::string& name, const std::string& value) {
    for (std::size_t at = text.find(name); at != std::string::npos; at = text.find(name)) {
      text.replace(at, name.size(), value);
    }
  };
  fill("{udid}", udid);
  fill("{serial}", serial);
  return text;
}

/// Field by field and in order; `{any}` stands for whatever is there.
inline void CheckSame(const nlohmann::ordered_json& expected, const nlohmann::ordered_json& actual,
                      const std::string& where) {
  INFO(where << ": expected " << expected.dump() << ", got " << actual.dump());
  if (expected == "{any}") {
    CHECK(actual.is_string());
  } else if (expected.is_object() && actual.is_object()) {
    REQUIRE(expected.size() == actual.size());
    auto there = actual.items().begin();
    for (const auto& [key, value] : expected.items()) {
      CHECK(there.key() == key);
      CheckSame(value, there.value(), where + "." + key);
      ++there;
    }
  } else if (expected.is_array() && actual.is_array() && expected.size() == actual.size()) {
    for (std::size_t i = 0; i < expected.size(); ++i) CheckSame(expected[i], actual[i], where);
  } else {
    CHECK(expected == actual);
  }
}

/// `send(method, path, body)` returns status and body.
template <typename Send>
void ReplaySession(const std::string& name, const std::string& udid, const std::string& serial,
                   const Send& send) {
  using Json = nlohmann::ordered_json;
  std::ifstream file(std::string(DIRECTOR_SOURCE_DIR "/tests/golden/mdmdirector/") + name);
  std::stringstream text;
  text << file.rdbuf();
  const Json session = Json::parse(FilledSession(text.str(), udid, serial));
  REQUIRE_FALSE(session.empty());
  for (std::size_t i = 0; i < session.size(); ++i) {
    const Json& request = session[i]["request"];
    const Json& expected = session[i]["answer"];
    const std::string place = name + " step " + std::to_string(i + 1);
    INFO(place);
    const auto [status, body] =
        send(request["method"].get<std::string>(), request["path"].get<std::string>(),
             request.contains("body") ? request["body"].dump() : "");
    INFO(body);
    REQUIRE(status == expected["status"]);
    if (expected["body"] == "") {
      CHECK(body.empty());
    } else {
      CheckSame(expected["body"], Json::parse(body), place);
    }
  }
}

}  // namespace director::director_test
