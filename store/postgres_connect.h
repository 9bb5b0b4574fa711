#pragma once

#include <memory>
#include <string>

#include "store/postgres_db.h"
#include "store/postgres_store.h"

namespace director {

/// The settings as libpq's keywords and values, with the password as it is now and limits for a
/// network that swallows everything. Errors: those of the URL and of the password.
Result<std::string> ConnectionString(const PostgresSettings& settings);

/// A new connection. kUnavailable when there is none to be had.
Result<std::unique_ptr<pqxx::connection>> Connect(const PostgresSettings& settings);

/// Applies the steps of the schema that the database does not have yet, all in one transaction,
/// one director at a time. kInvalid: the schema is newer than the last step.
Status MigratePostgres(std::unique_ptr<pqxx::connection> opened, Timestamp now);

}  // namespace director
