#include "director/cli_output.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/text.h"

namespace director {

namespace {

using Json = nlohmann::json;
constexpr std::size_t kCellMaxBytes = 60;

/// Code points, for padding.
std::size_t Width(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

}  // namespace

std::string Cell(const Json& value) {
  if (value.is_null()) return "-";
  if (value.is_string()) {
    const std::string text = Printable(value.get_ref<const std::string&>(), kCellMaxBytes);
    return text.empty() ? "-" : text;
  }
  return value.dump();
}

void PrintTable(const std::vector<Column>& columns, const Json& rows) {
  std::vector<std::vector<std::string>> lines(1);
  for (const Column& column : columns) lines[0].emplace_back(column.title);
  for (const Json& row : rows) {
    auto& line = lines.emplace_back();
    for (const Column& column : columns) line.push_back(Cell(row.value(column.key, Json())));
  }
  std::vector<std::size_t> widths(columns.size(), 0);
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], Width(line[i]));
  }
  for (const auto& line : lines) {
    std::string text;
    for (std::size_t i = 0; i < line.size(); ++i) {
      text += line[i];
      if (i + 1 < line.size()) text += std::string(widths[i] - Width(line[i]) + 2, ' ');
    }
    fmt::print("{}\n", text);
  }
}

void PrintJson(const Json& json) {
  fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
}

Status PrintRows(const Result<Json>& rows, const std::vector<Column>& columns,
                 OutputFormat format) {
  if (!rows) return Fail(rows.error());
  if (format == OutputFormat::kJson) {
    PrintJson(*rows);
  } else {
    PrintTable(columns, *rows);
  }
  return {};
}

}  // namespace director
