#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace director {

/// Reads the columns of one result row from left to right, whatever the database. A word that is
/// not known sticks as the row's error.
class Row {
 public:
  Row(Row&&) = default;
  Row& operator=(Row&&) = delete;
  virtual ~Row() = default;

  std::string Text() { return std::string(TextAt(column_++)); }
  template <typename Id>
  Id TextAs() {
    return Id(Text());
  }
  std::string Bytes() { return BytesAt(column_++); }
  std::int64_t Int() { return IntAt(column_++); }
  int SmallInt() { return static_cast<int>(Int()); }
  bool Flag() { return FlagAt(column_++); }
  Timestamp Time() { return FromUnixMs(Int()); }
  std::optional<bool> OptionalFlag();
  std::optional<Timestamp> OptionalTime();

  /// Reads a word with one of the Parse functions.
  template <typename Word>
  Word TextBy(Result<Word> (*parse)(std::string_view)) {
    Result<Word> word = parse(TextAt(column_));
    if (!word) Refuse();
    ++column_;
    return word ? std::move(*word) : Word{};
  }

  /// kCorrupt, naming table, `key` and column, when something could not be read.
  Status Check(std::string_view key) const;

 protected:
  /// `table` names the row in errors.
  explicit Row(std::string_view table) : table_(table) {}
  /// Goes on with the first column of another row.
  void StartOver() { column_ = 0; }

 private:
  virtual bool IsNull(int column) const = 0;
  virtual std::string_view TextAt(int column) const = 0;
  virtual std::string BytesAt(int column) const = 0;
  virtual std::int64_t IntAt(int column) const = 0;
  virtual bool FlagAt(int column) const = 0;
  virtual std::string_view NameOf(int column) const = 0;

  void Refuse();

  std::string_view table_;
  int column_ = 0;
  std::optional<int> bad_column_;
};

}  // namespace director
