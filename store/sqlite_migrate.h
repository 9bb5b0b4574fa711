#pragma once

#include <vector>

#include "store/migrations.h"
#include "store/sqlite_db.h"

namespace director {

/// Applies the `steps` that the database does not have yet, each in its own transaction, so that a
/// crash leaves a whole number of them. Safe when several processes start at once; nothing is
/// written when nothing is missing. kInvalid: the schema is newer than the last step, or the file
/// belongs to another program.
Status MigrateSqlite(SqliteDb& db, const std::vector<Migration>& steps, Timestamp now);

}  // namespace director
