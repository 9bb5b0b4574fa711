#include "store/mdmdirector_source.h"

namespace director {
namespace {

/// Between two pages Director's own database is written: that may take its time.
constexpr const char* kBeginReading =
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL lock_timeout = '10s'; "
    "SET LOCAL statement_timeout = '10min'; SET LOCAL idle_in_transaction_session_timeout = 0";

constexpr const char* kTableExists = "SELECT to_regclass(quote_ident($1)) IS NOT NULL";

}  // namespace

Error OfMdmDirector(Error error) {
  error.message = "MDMDirector's database: " + error.message;
  return error;
}

SourceTransaction::SourceTransaction(std::unique_ptr<pqxx::connection> connection)
    : connection_(std::move(connection), false), session_(connection_.connection()) {
  session_.exec(kBeginReading);
}

Result<PostgresResult> SourceTransaction::Run(const char* sql,
                                              const std::vector<PostgresValue>& values) {
  Result<PostgresResult> rows = db_.Run(sql, values, {});
  if (!rows) return Fail(OfMdmDirector(rows.error()));
  return rows;
}

Result<bool> SourceTransaction::HasTable(std::string_view table) {
  Result<PostgresResult> exists = Run(kTableExists, {ToPostgres(table)});
  if (!exists) return Fail(exists.error());
  return exists->Next() && exists->Flag();
}

}  // namespace director
