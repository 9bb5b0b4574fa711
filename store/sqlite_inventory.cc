#include <string>

#include "base/digest.h"
#include "store/row_readers.h"
#include "store/sqlite_row.h"
#include "store/sqlite_writer.h"

namespace director {
namespace {

constexpr const char* kSelectAnswer =
    "SELECT r.epoch, r.reported_at, b.body "
    "FROM reports AS r JOIN report_bodies AS b USING (enrollment_id, kind) "
    "WHERE r.enrollment_id = ? AND r.kind = ?";
/// Asks first whether the content is another one: an equal body is not written again.
constexpr const char* kSelectDigest =
    "SELECT digest FROM reports WHERE enrollment_id = ? AND kind = ?";
constexpr const char* kUpsertAnswerHead =
    "INSERT INTO reports (enrollment_id, kind, epoch, digest, reported_at) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (enrollment_id, kind) DO UPDATE SET epoch = excluded.epoch, "
    "digest = excluded.digest, reported_at = excluded.reported_at";
constexpr const char* kUpsertAnswerBody =
    "INSERT INTO report_bodies (enrollment_id, kind, body) VALUES (?, ?, ?) "
    "ON CONFLICT (enrollment_id, kind) DO UPDATE SET body = excluded.body";

Result<std::string> LoadDigest(SqliteDb& db, const EnrollmentId& id, std::string_view kind) {
  SqliteStatement statement = db.Use(kSelectDigest);
  statement.Bind(id).Bind(kind);
  std::string digest;
  if (statement.Next()) digest = std::string(statement.Text(0));
  if (Status done = statement.Finish(); !done) return Fail(done.error());
  return digest;
}

}  // namespace

Result<Inventory> sqlite::LoadInventory(SqliteDb& db, const std::vector<EnrollmentId>& ids,
                                        const std::vector<InventoryKind>& kinds) {
  Inventory inventory;
  for (const EnrollmentId& id : ids) {
    for (const InventoryKind kind : kinds) {
      SqliteStatement statement = db.Use(kSelectAnswer);
      statement.Bind(id).Bind(InventoryKindName(kind));
      if (statement.Next()) {
        SqliteRow row(statement, "reports");
        inventory.emplace(std::pair(id, kind), ReadInventoryRecord(row));
        if (Status read = row.Check(id.value()); !read) return Fail(read.error());
      }
      if (Status done = statement.Finish(); !done) return Fail(done.error());
    }
  }
  return inventory;
}

Status SqliteWriter::SaveInventory(const Inventory& inventory) {
  for (const auto& [key, record] : inventory) {
    const auto& [id, kind] = key;
    const std::string_view name = InventoryKindName(kind);
    const Result<std::string> kept = LoadDigest(db(), id, name);
    if (!kept) return Fail(kept.error());
    const std::string digest = Sha256Hex(record.answer);
    Status done = db().Use(kUpsertAnswerHead)
                      .Bind(id)
                      .Bind(name)
                      .Bind(record.epoch)
                      .Bind(digest)
                      .Bind(record.reported_at)
                      .Run();
    if (!done) return done;
    if (digest == *kept) continue;
    done = db().Use(kUpsertAnswerBody).Bind(id).Bind(name).Bind(record.answer).Run();
    if (!done) return done;
  }
  return {};
}

}  // namespace director
