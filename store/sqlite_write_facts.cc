#include "store/row_writers.h"
#include "store/sqlite_writer.h"

namespace director {
namespace {

/// Names no indexed column, so that the many saves that only move times and counters touch no
/// index.
constexpr const char* kUpdateEnrollment =
    "UPDATE enrollments SET quarantine_reason = ?2, epoch = ?3, ask_first = ?4, "
    "awaiting_configuration = ?5, awaiting_since = ?6, os_version = ?7, build_version = ?8, "
    "product_name = ?9, model_name = ?10, device_name = ?11, user_short_name = ?12, "
    "is_supervised = ?13, first_seen_at = ?14, authenticated_at = ?15, enrolled_at = ?16, "
    "push_unregistered = ?17, report_wanted_at = ?18, device_information_at = ?19, "
    "security_info_at = ?20, certificate_list_at = ?21, installed_application_list_at = ?22, "
    "managed_application_list_at = ?23, "
    "epoch_began_at = ?24, topic = ?25, identity_issuer = ?26, identity_not_before = ?27, "
    "identity_asked_at = ?28, renewal_began_at = ?29, renewal_replaces_until = ?30, "
    "renewal_authenticated_at = ?31, renewal_ended_at = ?32, last_seen_at = ?33, "
    "push_count = ?34, pushed_at = ?35, wants_wake = ?36 WHERE enrollment_id = ?1";
constexpr const char* kUpdateIdentity =
    "UPDATE enrollments SET device_id = ?2, channel_type = ?3, udid = ?4, user_id = ?5, "
    "upstream = ?6, status = ?7, serial_number = ?8, missing_step = ?9, missing_since = ?10, "
    "identity_not_after = ?11 "
    "WHERE enrollment_id = ?1 AND (device_id, channel_type, udid, user_id, upstream, status, "
    "serial_number, missing_step, missing_since, identity_not_after) IS NOT (?2, ?3, ?4, ?5, ?6, "
    "?7, ?8, ?9, ?10, ?11)";
constexpr const char* kInsertEnrollment =
    "INSERT INTO enrollments (enrollment_id, device_id, channel_type, udid, user_id, upstream, "
    "status, serial_number, missing_step, missing_since, identity_not_after, quarantine_reason, "
    "epoch, ask_first, awaiting_configuration, awaiting_since, os_version, build_version, "
    "product_name, model_name, device_name, user_short_name, is_supervised, first_seen_at, "
    "authenticated_at, enrolled_at, push_unregistered, report_wanted_at, device_information_at, "
    "security_info_at, certificate_list_at, installed_application_list_at, "
    "managed_application_list_at, epoch_began_at, topic, "
    "identity_issuer, identity_not_before, identity_asked_at, renewal_began_at, "
    "renewal_replaces_until, renewal_authenticated_at, renewal_ended_at, last_seen_at, push_count, "
    "pushed_at, wants_wake, due_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, "
    "?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, "
    "?31, ?32, ?33, ?34, ?35, ?36, ?37, ?38, ?39, ?40, ?41, ?42, ?43, ?44, ?45, ?46, ?43)";

constexpr const char* kUpsertIntent =
    "INSERT INTO intents (enrollment_id, command_uuid, request_type, payload_identifier, "
    "payload_uuid, epoch, state, journaled_at, answered_at, not_now_count, not_now_at, "
    "error_class, "
    "error) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (enrollment_id, command_uuid) DO UPDATE SET request_type = excluded.request_type, "
    "payload_identifier = excluded.payload_identifier, payload_uuid = excluded.payload_uuid, "
    "epoch = excluded.epoch, state = excluded.state, journaled_at = excluded.journaled_at, "
    "answered_at = excluded.answered_at, not_now_count = excluded.not_now_count, "
    "not_now_at = excluded.not_now_at, error_class = excluded.error_class, error = excluded.error";
constexpr const char* kLoseIntents =
    "UPDATE intents INDEXED BY intents_open SET state = 'lost', closed_at = ?2, "
    "closed_reason = 'The MDM server dropped its queue.' "
    "WHERE enrollment_id = ?1 AND closed_at IS NULL "
    "AND state IN ('journaled', 'sent', 'unknown', 'not_now')";

constexpr const char* kMarkDue =
    "UPDATE enrollments SET due_at = MIN(due_at, ?2) "
    "WHERE enrollment_id = ?1";

constexpr const char* kInsertHappening =
    "INSERT INTO happenings (at, enrollment_id, kind, text) VALUES (?, ?, ?, ?)";
constexpr const char* kInsertDeadLetter =
    "INSERT INTO dead_letters (received_at, upstream, reason, size_bytes, body) "
    "VALUES (?, ?, ?, ?, ?)";

}  // namespace

Status SqliteWriter::SaveEnrollments(const std::vector<Enrollment>& enrollments,
                                     const std::map<EnrollmentId, Timestamp>& due_at) {
  for (const Enrollment& enrollment : enrollments) {
    if (Status done = SaveEnrollment(enrollment); !done) return done;
  }
  return MarkDue(due_at);
}

Status SqliteWriter::SaveEnrollment(const Enrollment& enrollment) {
  {
    SqliteStatement update = db().Use(kUpdateEnrollment);
    update.Bind(enrollment.channel.enrollment_id);
    BindFacts(update, enrollment);
    BindContact(update, enrollment);
    if (Status done = update.Run(); !done) return done;
  }
  if (db().changes() == 0) return InsertEnrollment(enrollment);
  SqliteStatement identity = db().Use(kUpdateIdentity);
  BindIdentity(identity, enrollment);
  return identity.Run();
}

Status SqliteWriter::InsertEnrollment(const Enrollment& enrollment) {
  SqliteStatement insert = db().Use(kInsertEnrollment);
  BindIdentity(insert, enrollment);
  BindFacts(insert, enrollment);
  BindContact(insert, enrollment);
  return insert.Run();
}

Status SqliteWriter::SaveIntents(const std::vector<std::pair<EnrollmentId, Intent>>& intents) {
  for (const auto& [enrollment_id, intent] : intents) {
    SqliteStatement upsert = db().Use(kUpsertIntent);
    BindIntent(upsert, enrollment_id, intent);
    if (Status done = upsert.Run(); !done) return done;
  }
  return {};
}

Status SqliteWriter::LoseOpenIntents(const std::vector<EnrollmentId>& ids, Timestamp now) {
  for (const EnrollmentId& id : ids) {
    if (Status done = db().Use(kLoseIntents).Bind(id).Bind(now).Run(); !done) return done;
  }
  return {};
}

Status SqliteWriter::MarkDue(const std::map<EnrollmentId, Timestamp>& due_at) {
  for (const auto& [id, at] : due_at) {
    if (Status done = db().Use(kMarkDue).Bind(id).Bind(at).Run(); !done) return done;
  }
  return {};
}

Status SqliteWriter::AddHappenings(const std::vector<Happening>& happenings) {
  for (const Happening& happening : happenings) {
    Status done = db().Use(kInsertHappening)
                      .Bind(happening.at)
                      .Bind(happening.enrollment_id)
                      .Bind(happening.kind)
                      .Bind(happening.text)
                      .Run();
    if (!done) return done;
  }
  return {};
}

Status SqliteWriter::AddDeadLetters(const std::vector<DeadLetter>& dead_letters) {
  for (const DeadLetter& letter : dead_letters) {
    Status done = db().Use(kInsertDeadLetter)
                      .Bind(letter.received_at)
                      .Bind(letter.upstream)
                      .Bind(letter.reason)
                      .Bind(letter.size_bytes)
                      .BindBlob(std::string_view(letter.body).substr(0, kDeadLetterBodyMaxBytes))
                      .Run();
    if (!done) return done;
  }
  return {};
}

}  // namespace director
