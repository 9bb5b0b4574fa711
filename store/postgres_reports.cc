#include <map>
#include <optional>
#include <string>

#include "mdm/command.h"
#include "store/postgres_writer.h"
#include "store/report_head.h"
#include "store/report_json.h"
#include "store/row_readers.h"
#include "store/row_writers.h"

namespace director {
namespace {

constexpr const char* kSelectAnswers =
    "SELECT r.enrollment_id, r.kind, r.epoch, r.reported_at, b.body "
    "FROM reports AS r JOIN report_bodies AS b USING (enrollment_id, kind) "
    "WHERE r.enrollment_id = ANY ($1::text[]) AND r.kind = ANY ($2::text[])";
constexpr const char* kSelectImported =
    "SELECT r.enrollment_id, r.kind, r.epoch, r.reported_at, b.body "
    "FROM reports AS r JOIN report_bodies AS b USING (enrollment_id, kind) "
    "WHERE r.enrollment_id = ANY ($1::text[]) AND r.kind >= 'mdmdirector:' "
    "AND r.kind < 'mdmdirector;'";
constexpr const char* kSelectHeads =
    "SELECT enrollment_id, kind, epoch, reported_at, asked_at, digest FROM reports "
    "WHERE enrollment_id = ANY ($1::text[]) AND kind = ANY ($2::text[])";
constexpr const char* kUpdateHeads =
    "UPDATE reports AS r SET epoch = n.epoch, digest = n.digest, reported_at = n.reported_at, "
    "asked_at = n.asked_at FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], "
    "$5::bigint[], $6::bigint[]) AS n (enrollment_id, kind, epoch, digest, reported_at, asked_at) "
    "WHERE r.enrollment_id = n.enrollment_id AND r.kind = n.kind";
constexpr const char* kInsertHeads =
    "INSERT INTO reports (enrollment_id, kind, epoch, digest, reported_at, asked_at) "
    "SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], "
    "$6::bigint[]) ON CONFLICT (enrollment_id, kind) DO NOTHING";
constexpr const char* kUpsertBodies =
    "INSERT INTO report_bodies (enrollment_id, kind, body) "
    "SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) "
    "ON CONFLICT (enrollment_id, kind) DO UPDATE SET body = excluded.body";

/// A report as it is kept, and what has to be written of it.
struct Kept {
  ReportHead head;
  std::optional<std::string> new_body;
  bool is_new = false;
};
/// By enrollment and kind.
using KeptReports = std::map<std::pair<EnrollmentId, std::string>, Kept>;

Result<KeptReports> LoadKept(PostgresTransaction& db, const std::vector<EnrollmentId>& ids,
                             const std::vector<std::string_view>& kinds) {
  Result<PostgresResult> found =
      db.Run(kSelectHeads, {ArrayToPostgres(ids), ArrayToPostgres(kinds)}, "reports");
  if (!found) return Fail(found.error());
  KeptReports reports;
  while (found->Next()) {
    auto id = found->TextAs<EnrollmentId>();
    std::string kind = found->Text();
    reports[{std::move(id), std::move(kind)}].head = ReadReportHead(*found);
  }
  return reports;
}

/// A body that is kept already is not written again.
void Keep(const ReportHead& head, std::string_view body, Kept& kept) {
  if (head.digest != kept.head.digest) kept.new_body = body;
  kept.head = head;
  kept.is_new = true;
}

/// What has to be written.
struct NewRows {
  PostgresBatch heads = PostgresBatch(6);
  PostgresBatch bodies = PostgresBatch(3);
};

NewRows NewRowsOf(const KeptReports& reports) {
  NewRows rows;
  for (const auto& [key, kept] : reports) {
    const auto& [id, kind] = key;
    if (kept.is_new) BindReportHead(rows.heads, id, kind, kept.head);
    if (kept.new_body) rows.bodies.Bind(id).Bind(kind).Bind(*kept.new_body);
  }
  return rows;
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

Result<ImportedAnswers> postgres::LoadImported(PostgresTransaction& db,
                                               const std::vector<EnrollmentId>& ids) {
  Result<PostgresResult> found = db.Run(kSelectImported, {ArrayToPostgres(ids)}, "reports");
  if (!found) return Fail(found.error());
  ImportedAnswers answers;
  while (found->Next()) {
    auto id = found->TextAs<EnrollmentId>();
    std::string request_type = found->Text().substr(kImportedPrefix.size());
    InventoryRecord record = ReadInventoryRecord(*found);
    if (Status read = found->Check(id.value()); !read) return Fail(read.error());
    answers.emplace(std::pair(std::move(id), std::move(request_type)), std::move(record));
  }
  return answers;
}

template <typename Report>
std::vector<PostgresWriter::NewReport> PostgresWriter::Encode(
    const std::vector<std::pair<EnrollmentId, Report>>& reports) {
  std::vector<NewReport> encoded;
  for (const auto& [id, report] : reports) encoded.push_back({id, report, EncodeBody(report)});
  return encoded;
}

Status PostgresWriter::SaveReports(
    const std::vector<std::pair<EnrollmentId, ProfileListReport>>& reports, Timestamp now) {
  return SaveNewer(std::string(request_type::kProfileList), Encode(reports), now);
}

Status PostgresWriter::SaveAppLists(
    const std::vector<std::pair<EnrollmentId, AppListReport>>& reports, Timestamp now) {
  return SaveNewer(std::string(kAppListKind), Encode(reports), now);
}

Status PostgresWriter::SaveManagedAppLists(
    const std::vector<std::pair<EnrollmentId, ManagedAppListReport>>& reports, Timestamp now) {
  return SaveNewer(std::string(kManagedAppListKind), Encode(reports), now);
}

Status PostgresWriter::SaveNewer(const std::string& kind, const std::vector<NewReport>& reports,
                                 Timestamp now) {
  if (reports.empty()) return {};
  std::vector<EnrollmentId> ids;
  for (const NewReport& report : reports) ids.push_back(report.enrollment_id);
  if (Status done = LockKnown(ids); !done) return done;
  Result<KeptReports> kept = LoadKept(db(), ids, {kind});
  if (!kept) return Fail(kept.error());
  for (const NewReport& report : reports) {
    Kept& one = (*kept)[{report.enrollment_id, kind}];
    if (Outdates(one.head, report.report, now)) continue;
    Keep(HeadOf(report.report, report.body), report.body, one);
  }
  const NewRows rows = NewRowsOf(*kept);
  return WriteReports(rows.heads, rows.bodies);
}

Status PostgresWriter::SaveInventory(const Inventory& inventory) {
  if (inventory.empty()) return {};
  std::vector<EnrollmentId> ids;
  std::vector<std::string_view> kinds;
  for (const auto& [key, record] : inventory) {
    ids.push_back(key.first);
    kinds.push_back(InventoryKindName(key.second));
  }
  if (Status done = LockKnown(ids); !done) return done;
  Result<KeptReports> kept = LoadKept(db(), ids, kinds);
  if (!kept) return Fail(kept.error());
  for (const auto& [key, record] : inventory) {
    const std::string kind(InventoryKindName(key.second));
    Keep(HeadOf(record), record.answer, (*kept)[{key.first, kind}]);
  }
  const NewRows rows = NewRowsOf(*kept);
  return WriteReports(rows.heads, rows.bodies);
}

Status PostgresWriter::SaveImported(const ImportedAnswers& answers) {
  if (answers.empty()) return {};
  std::vector<EnrollmentId> ids;
  std::vector<std::string> kinds;
  for (const auto& [key, record] : answers) {
    ids.push_back(key.first);
    kinds.push_back(std::string(kImportedPrefix) + key.second);
  }
  if (Status done = LockKnown(ids); !done) return done;
  Result<KeptReports> kept = LoadKept(db(), ids, {kinds.begin(), kinds.end()});
  if (!kept) return Fail(kept.error());
  for (const auto& [key, record] : answers) {
    Keep(HeadOf(record), record.answer,
         (*kept)[{key.first, std::string(kImportedPrefix) + key.second}]);
  }
  const NewRows rows = NewRowsOf(*kept);
  return WriteReports(rows.heads, rows.bodies);
}

Status PostgresWriter::WriteReports(const PostgresBatch& heads, const PostgresBatch& bodies) {
  if (Status done = UpdateOrInsert(kUpdateHeads, kInsertHeads, heads); !done) return done;
  return Write(kUpsertBodies, bodies);
}

}  // namespace director
