#include "store/sqlite_migrate.h"

#include <fmt/core.h>

namespace director {
namespace {

constexpr std::chrono::milliseconds kMigrateWaitMax = std::chrono::seconds(10);

constexpr const char* kSelectTables =
    "SELECT COUNT(*), COALESCE(SUM(name = 'schema_migrations'), 0) FROM sqlite_master "
    "WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
constexpr const char* kSelectNewest = "SELECT COALESCE(MAX(number), 0) FROM schema_migrations";
constexpr const char* kInsertMigration =
    "INSERT INTO schema_migrations (number, name, applied_at) VALUES (?, ?, ?)";

/// The number of the newest step that was applied; 0 for an empty file.
Result<std::int64_t> AppliedNumber(SqliteDb& db) {
  {
    SqliteStatement tables = db.Use(kSelectTables);
    if (!tables.Next()) return Fail(tables.Finish().error());
    if (tables.Int(0) == 0) return 0;
    if (tables.Int(1) == 0) {
      return Fail(ErrorKind::kInvalid, "the database file belongs to another program");
    }
  }
  SqliteStatement newest = db.Use(kSelectNewest);
  if (!newest.Next()) return Fail(newest.Finish().error());
  return newest.Int(0);
}

Status RefuseNewer(std::int64_t applied, std::int64_t known) {
  if (applied <= known) return {};
  return Fail(ErrorKind::kInvalid,
              fmt::format("the database has schema {} and this version knows schemas up to {}: "
                          "start a newer version",
                          applied, known));
}

Status Apply(SqliteDb& db, const Migration& step, std::int64_t known, Timestamp now) {
  if (Status begun = db.Begin(SqliteLock::kImmediate, kMigrateWaitMax); !begun) return begun;
  const SqliteRollbackGuard guard(db);
  // Another process may have done it while this one waited for the lock.
  const Result<std::int64_t> applied = AppliedNumber(db);
  if (!applied) return Fail(applied.error());
  if (Status fits = RefuseNewer(*applied, known); !fits) return fits;
  if (*applied >= step.number) return {};
  if (Status done = db.Execute(step.sql); !done) return done;
  if (Status done = db.Use(kInsertMigration).Bind(step.number).Bind(step.name).Bind(now).Run();
      !done) {
    return done;
  }
  return db.Commit();
}

}  // namespace

Status MigrateSqlite(SqliteDb& db, const std::vector<Migration>& steps, Timestamp now) {
  const std::int64_t known = steps.empty() ? 0 : steps.back().number;
  const Result<std::int64_t> applied = AppliedNumber(db);
  if (!applied) return Fail(applied.error());
  if (Status fits = RefuseNewer(*applied, known); !fits) return fits;
  for (const Migration& step : steps) {
    if (step.number <= *applied) continue;
    if (Status done = Apply(db, step, known, now); !done) return done;
  }
  return {};
}

}  // namespace director
