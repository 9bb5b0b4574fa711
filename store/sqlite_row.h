#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "store/sqlite_db.h"

namespace director {

/// Reads the columns of a statement's current row from left to right. A word that is not known
/// sticks as the row's error.
class SqliteRow {
 public:
  /// `table` names the row in errors.
  SqliteRow(const SqliteStatement& statement, std::string_view table)
      : statement_(statement), table_(table) {}

  std::string Text() { return std::string(statement_.Text(column_++)); }
  template <typename Id>
  Id TextAs() {
    return Id(Text());
  }
  std::int64_t Int() { return statement_.Int(column_++); }
  int SmallInt() { return static_cast<int>(Int()); }
  bool Flag() { return Int() != 0; }
  Timestamp Time() { return FromUnixMs(Int()); }
  std::optional<bool> OptionalFlag();
  std::optional<Timestamp> OptionalTime();

  /// Reads a word with one of the Parse functions.
  template <typename Word>
  Word TextBy(Result<Word> (*parse)(std::string_view)) {
    const Result<Word> word = parse(statement_.Text(column_));
    if (!word) Refuse();
    ++column_;
    return word ? *word : Word{};
  }
  /// For what the text of a column should hold and does not.
  void Refuse();

  /// kCorrupt, naming table, `key` and column, when something could not be read.
  Status Check(std::string_view key) const;

 private:
  const SqliteStatement& statement_;
  std::string_view table_;
  int column_ = 0;
  std::optional<int> bad_column_;
};

}  // namespace director
