#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/postgres_connect.h"

namespace director {

// Internal to the reading of MDMDirector's database.

/// Says whose words they are: Director has a database of its own.
Error OfMdmDirector(Error error);

/// The one transaction, with errors that name the database.
class SourceTransaction {
 public:
  /// Throws what libpqxx throws.
  explicit SourceTransaction(std::unique_ptr<pqxx::connection> connection);

  Result<PostgresResult> Run(const char* sql, const std::vector<PostgresValue>& values = {});
  Result<bool> HasTable(std::string_view table);

 private:
  PostgresConnection connection_;
  pqxx::nontransaction session_;
  PostgresTransaction db_{connection_, session_};
};

struct CursorSql {
  std::string declare;
  const char* fetch;
  const char* close;
};

/// The rows of one cursor, a page at a time.
template <typename T>
class Cursor {
 public:
  Cursor(SourceTransaction& db, const CursorSql& sql, T (*read)(Row&))
      : db_(db), sql_(sql), read_(read) {}

  Status Open() { return Run(sql_.declare.c_str()); }
  Status Close() { return Run(sql_.close); }

  /// The row that comes next; null at the end.
  Result<T*> Peek() {
    if (next_ < page_.size()) return &page_[next_];
    page_.clear();
    next_ = 0;
    Result<PostgresResult> rows = db_.Run(sql_.fetch);
    if (!rows) return Fail(rows.error());
    while (rows->Next()) page_.push_back(read_(*rows));
    return page_.empty() ? nullptr : page_.data();
  }
  T Take() { return std::move(page_[next_++]); }

 private:
  Status Run(const char* sql) {
    const Result<PostgresResult> done = db_.Run(sql);
    if (!done) return Fail(done.error());
    return {};
  }

  SourceTransaction& db_;
  const CursorSql& sql_;
  T (*const read_)(Row&);
  std::vector<T> page_;
  std::size_t next_ = 0;
};

}  // namespace director
