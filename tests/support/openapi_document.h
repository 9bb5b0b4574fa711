#pragma once

#include <fmt/core.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "base/text.h"

namespace director::test {

using Json = nlohmann::json;

/// A plain scalar as YAML's core schema reads it; a quoted one is text.
inline Json ScalarToJson(const YAML::Node& node) {
  const std::string text = node.Scalar();
  if (node.Tag() == "!") return text;
  if (text == "true" || text == "false") return text == "true";
  if (text == "null" || text.empty()) return nullptr;
  const bool is_number =
      std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  return is_number ? Json(std::stoll(text)) : Json(text);
}

inline Json ToJson(const YAML::Node& node) {
  Json json;
  switch (node.Type()) {
    case YAML::NodeType::Scalar:
      return ScalarToJson(node);
    case YAML::NodeType::Sequence:
      json = Json::array();
      for (const YAML::Node& item : node) json.push_back(ToJson(item));
      return json;
    case YAML::NodeType::Map:
      json = Json::object();
      for (const auto& entry : node) json[entry.first.Scalar()] = ToJson(entry.second);
      return json;
    case YAML::NodeType::Null:
    case YAML::NodeType::Undefined:
      return nullptr;
  }
  return nullptr;
}

/// The document, and as much of JSON Schema as it uses.
class OpenapiDocument {
 public:
  explicit OpenapiDocument(const std::string& yaml) : root_(ToJson(YAML::Load(yaml))) {}

  const Json& root() const { return root_; }

  const Json& Resolve(const Json& node) const {
    if (!node.is_object() || !node.contains("$ref")) return node;
    return Resolve(root_.at(Json::json_pointer(node["$ref"].get<std::string>().substr(1))));
  }

  const Json& Schema(const std::string& name) const {
    return root_.at("components").at("schemas").at(name);
  }

  /// "GET /path" for every operation.
  std::set<std::string> Operations() const {
    std::set<std::string> operations;
    for (const auto& [path, item] : root_.at("paths").items()) {
      for (const auto& [method, operation] : item.items()) {
        if (method != "parameters") operations.insert(ToUpperAscii(method) + " " + path);
      }
    }
    return operations;
  }

  const Json& Operation(const std::string& name) const {
    const std::size_t space = name.find(' ');
    return root_.at("paths").at(name.substr(space + 1)).at(ToLowerAscii(name.substr(0, space)));
  }

  /// What is wrong with `value` as an instance of `schema`, a line each.
  std::vector<std::string> Problems(const Json& schema, const Json& value,
                                    const std::string& place) const {
    std::vector<std::string> problems;
    Check(schema, value, place, problems);
    return problems;
  }

 private:
  using Lines = std::vector<std::string>;

  static bool IsOfType(const std::string& type, const Json& value) {
    if (type == "null") return value.is_null();
    if (type == "string") return value.is_string();
    if (type == "integer") return value.is_number_integer();
    if (type == "boolean") return value.is_boolean();
    if (type == "array") return value.is_array();
    return type == "object" && value.is_object();
  }

  static bool HasType(const Json& types, const Json& value) {
    if (types.is_string()) return IsOfType(types.get<std::string>(), value);
    return std::any_of(types.begin(), types.end(),
                       [&](const Json& type) { return IsOfType(type.get<std::string>(), value); });
  }

  void Check(const Json& unresolved, const Json& value, const std::string& place,
             Lines& problems) const {
    const Json& schema = Resolve(unresolved);
    if (schema.contains("oneOf")) return CheckOneOf(schema["oneOf"], value, place, problems);
    if (schema.contains("type") && !HasType(schema["type"], value)) {
      problems.push_back(
          fmt::format("{}: {} is not of type {}", place, value.dump(), schema["type"].dump()));
      return;
    }
    if (schema.contains("enum") &&
        std::find(schema["enum"].begin(), schema["enum"].end(), value) == schema["enum"].end()) {
      problems.push_back(
          fmt::format("{}: {} is not one of {}", place, value.dump(), schema["enum"].dump()));
    }
    if (value.is_object()) CheckObject(schema, value, place, problems);
    if (!value.is_array()) return;
    for (const Json& item : value) Check(schema.at("items"), item, place + "[]", problems);
  }

  void CheckOneOf(const Json& choices, const Json& value, const std::string& place,
                  Lines& problems) const {
    Lines all;
    for (const Json& choice : choices) {
      Lines found;
      Check(choice, value, place, found);
      if (found.empty()) return;
      all.insert(all.end(), found.begin(), found.end());
    }
    problems.insert(problems.end(), all.begin(), all.end());
  }

  /// Adds what an object schema and its allOf say about keys.
  void Collect(const Json& unresolved, Json& properties, std::set<std::string>& required) const {
    const Json& schema = Resolve(unresolved);
    if (schema.contains("properties")) properties.update(schema["properties"]);
    if (schema.contains("required")) {
      for (const Json& key : schema["required"]) required.insert(key.get<std::string>());
    }
    if (!schema.contains("allOf")) return;
    for (const Json& part : schema["allOf"]) Collect(part, properties, required);
  }

  void CheckObject(const Json& schema, const Json& value, const std::string& place,
                   Lines& problems) const {
    Json properties = Json::object();
    std::set<std::string> required;
    Collect(schema, properties, required);
    for (const std::string& key : required) {
      if (!value.contains(key)) problems.push_back(fmt::format("{}.{} is missing", place, key));
    }
    for (const auto& [key, member] : value.items()) {
      if (properties.contains(key)) {
        Check(properties[key], member, place + "." + key, problems);
      } else if (schema.value("additionalProperties", Json()) == true) {
        continue;
      } else if (schema.contains("additionalProperties")) {
        Check(schema["propertyNames"], Json(key), place, problems);
        Check(schema["additionalProperties"], member, place + "." + key, problems);
      } else {
        problems.push_back(fmt::format("{}.{} is not documented", place, key));
      }
    }
  }

  const Json root_;
};

}  // namespace director::test
