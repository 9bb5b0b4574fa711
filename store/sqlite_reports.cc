#include <string>
#include <utility>

#include "mdm/command.h"
#include "store/report_head.h"
#include "store/report_json.h"
#include "store/row_readers.h"
#include "store/row_writers.h"
#include "store/sqlite_row.h"
#include "store/sqlite_writer.h"

namespace director {
namespace {

constexpr const char* kSelectAnswer =
    "SELECT r.epoch, r.reported_at, b.body "
    "FROM reports AS r JOIN report_bodies AS b USING (enrollment_id, kind) "
    "WHERE r.enrollment_id = ? AND r.kind = ?";
/// The prefix of imported kinds, and the character after its last one.
constexpr const char* kSelectImported =
    "SELECT r.kind, r.epoch, r.reported_at, b.body "
    "FROM reports AS r JOIN report_bodies AS b USING (enrollment_id, kind) "
    "WHERE r.enrollment_id = ? AND r.kind >= 'mdmdirector:' AND r.kind < 'mdmdirector;'";
constexpr const char* kSelectHead =
    "SELECT epoch, reported_at, asked_at, digest FROM reports WHERE enrollment_id = ? AND kind = ?";
constexpr const char* kUpsertHead =
    "INSERT INTO reports (enrollment_id, kind, epoch, digest, reported_at, asked_at) "
    "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (enrollment_id, kind) DO UPDATE SET "
    "epoch = excluded.epoch, digest = excluded.digest, reported_at = excluded.reported_at, "
    "asked_at = excluded.asked_at";
constexpr const char* kUpsertBody =
    "INSERT INTO report_bodies (enrollment_id, kind, body) VALUES (?, ?, ?) "
    "ON CONFLICT (enrollment_id, kind) DO UPDATE SET body = excluded.body";

/// The rows of one enrollment's report of one kind.
class ReportRows {
 public:
  ReportRows(SqliteDb& db, const EnrollmentId& id, std::string_view kind)
      : db_(db), id_(id), kind_(kind) {}

  Result<ReportHead> LoadHead() {
    ReportHead head;
    SqliteStatement statement = db_.Use(kSelectHead);
    statement.Bind(id_).Bind(kind_);
    if (statement.Next()) {
      SqliteRow row(statement, "reports");
      head = ReadReportHead(row);
    }
    if (Status done = statement.Finish(); !done) return Fail(done.error());
    return head;
  }

  Status SaveIfNewer(const DeviceReport& report, const std::string& body, Timestamp now) {
    const Result<ReportHead> kept = LoadHead();
    if (!kept) return Fail(kept.error());
    if (Outdates(*kept, report, now)) return {};
    return Save(*kept, HeadOf(report, body), body);
  }

  /// Replaces what is there; a body that `kept` has already is not written again.
  Status Save(const ReportHead& kept, const ReportHead& head, std::string_view body) {
    SqliteStatement upsert = db_.Use(kUpsertHead);
    BindReportHead(upsert, id_, kind_, head);
    Status done = upsert.Run();
    if (!done || head.digest == kept.digest) return done;
    return db_.Use(kUpsertBody).Bind(id_).Bind(kind_).Bind(body).Run();
  }

 private:
  SqliteDb& db_;
  const EnrollmentId& id_;
  const std::string_view kind_;
};

template <typename Report>
Status SaveNewer(SqliteDb& db, std::string_view kind,
                 const std::vector<std::pair<EnrollmentId, Report>>& reports, Timestamp now) {
  for (const auto& [id, report] : reports) {
    Status done = ReportRows(db, id, kind).SaveIfNewer(report, EncodeBody(report), now);
    if (!done) return done;
  }
  return {};
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

Result<ImportedAnswers> sqlite::LoadImported(SqliteDb& db, const std::vector<EnrollmentId>& ids) {
  ImportedAnswers answers;
  for (const EnrollmentId& id : ids) {
    SqliteStatement statement = db.Use(kSelectImported);
    statement.Bind(id);
    while (statement.Next()) {
      SqliteRow row(statement, "reports");
      std::string request_type = row.Text().substr(kImportedPrefix.size());
      answers.emplace(std::pair(id, std::move(request_type)), ReadInventoryRecord(row));
      if (Status read = row.Check(id.value()); !read) return Fail(read.error());
    }
    if (Status done = statement.Finish(); !done) return Fail(done.error());
  }
  return answers;
}

Status SqliteWriter::SaveReports(
    const std::vector<std::pair<EnrollmentId, ProfileListReport>>& reports, Timestamp now) {
  return SaveNewer(db(), request_type::kProfileList, reports, now);
}

Status SqliteWriter::SaveAppLists(
    const std::vector<std::pair<EnrollmentId, AppListReport>>& reports, Timestamp now) {
  return SaveNewer(db(), kAppListKind, reports, now);
}

Status SqliteWriter::SaveManagedAppLists(
    const std::vector<std::pair<EnrollmentId, ManagedAppListReport>>& reports, Timestamp now) {
  return SaveNewer(db(), kManagedAppListKind, reports, now);
}

Status SqliteWriter::SaveInventory(const Inventory& inventory) {
  for (const auto& [key, record] : inventory) {
    ReportRows rows(db(), key.first, InventoryKindName(key.second));
    const Result<ReportHead> kept = rows.LoadHead();
    if (!kept) return Fail(kept.error());
    if (Status done = rows.Save(*kept, HeadOf(record), record.answer); !done) return done;
  }
  return {};
}

Status SqliteWriter::SaveImported(const ImportedAnswers& answers) {
  for (const auto& [key, record] : answers) {
    const std::string kind = std::string(kImportedPrefix) + key.second;
    ReportRows rows(db(), key.first, kind);
    const Result<ReportHead> kept = rows.LoadHead();
    if (!kept) return Fail(kept.error());
    if (Status done = rows.Save(*kept, HeadOf(record), record.answer); !done) return done;
  }
  return {};
}

}  // namespace director
