#include <string>

#include "base/digest.h"
#include "store/postgres_writer.h"
#include "store/row_readers.h"

namespace director {
namespace {

constexpr const char* kSelectAnswers =
    "SELECT r.enrollment_id, r.kind, r.epoch, r.reported_at, b.body "
    "FROM reports AS r JOIN report_bodies AS b USING (enrollment_id, kind) "
    "WHERE r.enrollment_id = ANY ($1::text[]) AND r.kind = ANY ($2::text[])";
constexpr const char* kSelectAnswerDigests =
    "SELECT enrollment_id, kind, digest FROM reports WHERE enrollment_id = ANY ($1::text[])";
constexpr const char* kUpsertAnswerHeads =
    "INSERT INTO reports (enrollment_id, kind, epoch, digest, reported_at) "
    "SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bigint[]) "
    "ON CONFLICT (enrollment_id, kind) DO UPDATE SET epoch = excluded.epoch, "
    "digest = excluded.digest, reported_at = excluded.reported_at";
constexpr const char* kUpsertAnswerBodies =
    "INSERT INTO report_bodies (enrollment_id, kind, body) "
    "SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) "
    "ON CONFLICT (enrollment_id, kind) DO UPDATE SET body = excluded.body";

using Digests = std::map<std::pair<EnrollmentId, std::string>, std::string>;

/// By which an equal body is not written again.
Result<Digests> LoadDigests(PostgresTransaction& db, const std::vector<EnrollmentId>& ids) {
  Result<PostgresResult> found = db.Run(kSelectAnswerDigests, {ArrayToPostgres(ids)}, "reports");
  if (!found) return Fail(found.error());
  Digests digests;
  while (found->Next()) {
    auto id = found->TextAs<EnrollmentId>();
    std::string kind = found->Text();
    digests.emplace(std::pair(std::move(id), std::move(kind)), found->Text());
  }
  return digests;
}

}  // namespace

Result<Inventory> postgres::LoadInventory(PostgresTransaction& db,
                                          const std::vector<EnrollmentId>& ids,
                                          const std::vector<InventoryKind>& kinds) {
  std::vector<std::string_view> names;
  for (const InventoryKind kind : kinds) names.push_back(InventoryKindName(kind));
  Result<PostgresResult> found =
      db.Run(kSelectAnswers, {ArrayToPostgres(ids), ArrayToPostgres(names)}, "reports");
  if (!found) return Fail(found.error());
  Inventory inventory;
  while (found->Next()) {
    auto id = found->TextAs<EnrollmentId>();
    const InventoryKind kind = found->TextBy(ParseInventoryKind);
    InventoryRecord record = ReadInventoryRecord(*found);
    if (Status read = found->Check(id.value()); !read) return Fail(read.error());
    inventory.emplace(std::pair(std::move(id), kind), std::move(record));
  }
  return inventory;
}

Status PostgresWriter::SaveInventory(const Inventory& inventory) {
  if (inventory.empty()) return {};
  std::vector<EnrollmentId> ids;
  for (const auto& [key, record] : inventory) ids.push_back(key.first);
  if (Status done = Lock(ids); !done) return done;
  const Result<Digests> kept = LoadDigests(db(), ids);
  if (!kept) return Fail(kept.error());
  PostgresBatch heads(5);
  PostgresBatch bodies(3);
  for (const auto& [key, record] : inventory) {
    const auto& [id, kind] = key;
    const std::string name(InventoryKindName(kind));
    const std::string digest = Sha256Hex(record.answer);
    heads.Bind(id).Bind(name).Bind(record.epoch).Bind(digest).Bind(record.reported_at);
    const auto same = kept->find({id, name});
    if (same == kept->end() || same->second != digest) {
      bodies.Bind(id).Bind(name).Bind(record.answer);
    }
  }
  if (Status done = Write(kUpsertAnswerHeads, heads); !done) return done;
  return Write(kUpsertAnswerBodies, bodies);
}

}  // namespace director
