#pragma once

#include "store/row.h"
#include "store/sqlite_db.h"

namespace director {

/// A statement's current row.
class SqliteRow final : public Row {
 public:
  SqliteRow(const SqliteStatement& statement, std::string_view table)
      : Row(table), statement_(statement) {}

 private:
  bool IsNull(int column) const override { return statement_.IsNull(column); }
  std::string_view TextAt(int column) const override { return statement_.Text(column); }
  std::string BytesAt(int column) const override { return std::string(statement_.Text(column)); }
  std::int64_t IntAt(int column) const override { return statement_.Int(column); }
  bool FlagAt(int column) const override { return statement_.Int(column) != 0; }
  std::string_view NameOf(int column) const override { return statement_.ColumnName(column); }

  const SqliteStatement& statement_;
};

}  // namespace director
