#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "director/cli_parts.h"

namespace director {

// How the verbs show what the API answers; shows the JSON library.

struct Column {
  const char* title;
  const char* key;
};

/// A JSON value as one cell; null is a dash.
std::string Cell(const nlohmann::json& value);
void PrintTable(const std::vector<Column>& columns, const nlohmann::json& rows);
void PrintJson(const nlohmann::json& json);
/// Rows as a table, or as they are for programs.
Status PrintRows(const Result<nlohmann::json>& rows, const std::vector<Column>& columns,
                 OutputFormat format);

}  // namespace director
