#include <fmt/core.h>

#include <algorithm>
#include <iterator>

#include "store/postgres_writer.h"
#include "store/row_writers.h"

namespace director {
namespace {

/// Whoever changes assignments has this alone; whoever may create an enrollment or learn a name
/// shares it: an assignment finds everybody whom it concerns. The number is ours alone.
constexpr const char* kShareDesired = "SELECT pg_advisory_xact_lock_shared(482834802278)";

constexpr const char* kLock =
    "SELECT enrollment_id FROM schedule WHERE enrollment_id = ANY ($1::text[]) "
    "ORDER BY enrollment_id FOR UPDATE";
/// Both in one message; a condition that names no row is looked at before any row is. Who appears
/// while the first lock is waited for is not seen, and so is new to `LoadEnrollments`.
constexpr const char* kShareDesiredAndLock =
    "SELECT enrollment_id FROM schedule WHERE enrollment_id = ANY ($1::text[]) "
    "AND (SELECT pg_advisory_xact_lock_shared(482834802278)) IS NOT NULL "
    "ORDER BY enrollment_id FOR UPDATE";
/// Two directors may hear of a new enrollment at the same time; there is no row to lock yet.
constexpr const char* kLockNew =
    "SELECT pg_advisory_xact_lock(hashtextextended(id, 0)) "
    "FROM (SELECT id FROM unnest($1::text[]) AS given (id) ORDER BY hashtextextended(id, 0)) AS n";

constexpr const char* kUpsertFacts =
    "INSERT INTO enrollments (enrollment_id, device_id, channel_type, udid, user_id, upstream, "
    "status, serial_number, missing_step, missing_since, identity_not_after, "
    "quarantine_reason, epoch, ask_first, awaiting_configuration, awaiting_since, os_version, "
    "build_version, product_name, model_name, device_name, user_short_name, is_supervised, "
    "first_seen_at, authenticated_at, enrolled_at, push_unregistered, report_wanted_at, "
    "device_information_at, security_info_at, certificate_list_at, "
    "installed_application_list_at, managed_application_list_at, epoch_began_at, topic, "
    "identity_issuer, "
    "identity_not_before, identity_asked_at, renewal_began_at, renewal_replaces_until, "
    "renewal_authenticated_at, renewal_ended_at) SELECT * FROM unnest($1::text[], $2::text[], "
    "$3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], "
    "$10::bigint[], $11::bigint[], $12::text[], $13::bigint[], $14::boolean[], $15::boolean[], "
    "$16::bigint[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[], "
    "$22::text[], $23::boolean[], $24::bigint[], $25::bigint[], $26::bigint[], $27::boolean[], "
    "$28::bigint[], $29::bigint[], $30::bigint[], $31::bigint[], $32::bigint[], $33::bigint[], "
    "$34::bigint[], "
    "$35::text[], $36::text[], $37::bigint[], $38::bigint[], $39::bigint[], $40::bigint[], "
    "$41::bigint[], $42::bigint[]) ON CONFLICT (enrollment_id) DO UPDATE SET device_id = "
    "excluded.device_id, channel_type = excluded.channel_type, udid = excluded.udid, user_id = "
    "excluded.user_id, upstream = excluded.upstream, status = excluded.status, serial_number = "
    "excluded.serial_number, missing_step = excluded.missing_step, missing_since = "
    "excluded.missing_since, identity_not_after = excluded.identity_not_after, "
    "quarantine_reason = excluded.quarantine_reason, epoch = excluded.epoch, ask_first = "
    "excluded.ask_first, awaiting_configuration = excluded.awaiting_configuration, "
    "awaiting_since = excluded.awaiting_since, os_version = excluded.os_version, build_version "
    "= excluded.build_version, product_name = excluded.product_name, model_name = "
    "excluded.model_name, device_name = excluded.device_name, user_short_name = "
    "excluded.user_short_name, is_supervised = excluded.is_supervised, first_seen_at = "
    "excluded.first_seen_at, authenticated_at = excluded.authenticated_at, enrolled_at = "
    "excluded.enrolled_at, push_unregistered = excluded.push_unregistered, report_wanted_at = "
    "excluded.report_wanted_at, device_information_at = excluded.device_information_at, "
    "security_info_at = excluded.security_info_at, certificate_list_at = "
    "excluded.certificate_list_at, installed_application_list_at = "
    "excluded.installed_application_list_at, managed_application_list_at = "
    "excluded.managed_application_list_at, epoch_began_at = excluded.epoch_began_at, topic = "
    "excluded.topic, identity_issuer = excluded.identity_issuer, identity_not_before = "
    "excluded.identity_not_before, identity_asked_at = excluded.identity_asked_at, "
    "renewal_began_at = excluded.renewal_began_at, renewal_replaces_until = "
    "excluded.renewal_replaces_until, renewal_authenticated_at = "
    "excluded.renewal_authenticated_at, renewal_ended_at = excluded.renewal_ended_at";
/// Contact and due time at once: each version of the row writes indexes.
constexpr const char* kUpdateContacts =
    "UPDATE schedule AS s SET last_seen_at = n.last_seen_at, push_count = n.push_count, "
    "pushed_at = n.pushed_at, wants_wake = n.wants_wake, due_at = LEAST(s.due_at, n.due_at) "
    "FROM unnest($1::text[], $2::bigint[], $3::integer[], $4::bigint[], $5::boolean[], "
    "$6::bigint[]) AS n (enrollment_id, last_seen_at, push_count, pushed_at, wants_wake, due_at) "
    "WHERE s.enrollment_id = n.enrollment_id";
/// A new enrollment is due when it was seen.
constexpr const char* kUpsertContacts =
    "INSERT INTO schedule (enrollment_id, last_seen_at, push_count, pushed_at, wants_wake, due_at) "
    "SELECT n.*, n.last_seen_at "
    "FROM unnest($1::text[], $2::bigint[], $3::integer[], $4::bigint[], $5::boolean[]) "
    "AS n (enrollment_id, last_seen_at, push_count, pushed_at, wants_wake) "
    "ON CONFLICT (enrollment_id) DO UPDATE SET last_seen_at = excluded.last_seen_at, "
    "push_count = excluded.push_count, pushed_at = excluded.pushed_at, "
    "wants_wake = excluded.wants_wake";

constexpr const char* kUpdateIntents =
    "UPDATE intents AS i SET request_type = n.request_type, "
    "payload_identifier = n.payload_identifier, payload_uuid = n.payload_uuid, epoch = n.epoch, "
    "state = n.state, journaled_at = n.journaled_at, answered_at = n.answered_at, "
    "not_now_count = n.not_now_count, not_now_at = n.not_now_at, error_class = n.error_class, "
    "error = n.error FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], "
    "$6::bigint[], $7::text[], $8::bigint[], $9::bigint[], $10::integer[], $11::bigint[], "
    "$12::text[], $13::text[]) AS n (enrollment_id, command_uuid, request_type, "
    "payload_identifier, payload_uuid, epoch, state, journaled_at, answered_at, not_now_count, "
    "not_now_at, error_class, error) "
    "WHERE i.enrollment_id = n.enrollment_id AND i.command_uuid = n.command_uuid";
constexpr const char* kInsertIntents =
    "INSERT INTO intents (enrollment_id, command_uuid, request_type, payload_identifier, "
    "payload_uuid, epoch, state, journaled_at, answered_at, not_now_count, not_now_at, "
    "error_class, error) "
    "SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], "
    "$6::bigint[], $7::text[], $8::bigint[], $9::bigint[], $10::integer[], $11::bigint[], "
    "$12::text[], $13::text[]) ON CONFLICT (enrollment_id, command_uuid) DO NOTHING";
constexpr const char* kLoseIntents =
    "UPDATE intents SET state = 'lost', closed_at = $2::bigint, "
    "closed_reason = 'The MDM server dropped its queue.' "
    "WHERE enrollment_id = ANY ($1::text[]) AND closed_at IS NULL "
    "AND state IN ('journaled', 'sent', 'unknown', 'not_now')";

constexpr const char* kMarkDue =
    "UPDATE schedule AS s SET due_at = LEAST(s.due_at, n.due_at) "
    "FROM unnest($1::text[], $2::bigint[]) AS n (enrollment_id, due_at) "
    "WHERE s.enrollment_id = n.enrollment_id";

constexpr const char* kInsertHappenings =
    "INSERT INTO happenings (at, enrollment_id, kind, text) "
    "SELECT at, enrollment_id, kind, text "
    "FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY "
    "AS n (at, enrollment_id, kind, text, place) ORDER BY place";
constexpr const char* kInsertDeadLetters =
    "INSERT INTO dead_letters (received_at, upstream, reason, size_bytes, body) "
    "SELECT received_at, upstream, reason, size_bytes, body "
    "FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bytea[]) WITH ORDINALITY "
    "AS n (received_at, upstream, reason, size_bytes, body, place) ORDER BY place";

/// All but the contact: most events change nothing else.
bool HasSameFacts(const Enrollment& a, Enrollment b) {
  b.last_seen_at = a.last_seen_at;
  b.push_count = a.push_count;
  b.pushed_at = a.pushed_at;
  b.wants_wake = a.wants_wake;
  return a == b;
}

}  // namespace

Status PostgresWriter::Write(const char* sql, const std::vector<PostgresValue>& values) {
  const Result<PostgresResult> done = db().Run(sql, values, {});
  if (!done) return Fail(done.error());
  return {};
}

Status PostgresWriter::Write(const char* sql) { return Write(sql, std::vector<PostgresValue>()); }

Status PostgresWriter::Write(const char* sql, const PostgresBatch& batch) {
  if (batch.empty()) return {};
  return Write(sql, batch.Arrays());
}

Status PostgresWriter::UpdateOrInsert(const char* update, const char* insert,
                                      const PostgresBatch& batch) {
  if (batch.empty()) return {};
  const std::vector<PostgresValue> rows = batch.Arrays();
  const Result<PostgresResult> updated = db().Run(update, rows, {});
  if (!updated) return Fail(updated.error());
  if (updated->affected_rows() == static_cast<std::int64_t>(batch.size())) return {};
  return Write(insert, rows);
}

Status PostgresWriter::LockKnown(const std::vector<EnrollmentId>& ids) {
  if (Status done = Lock(ids); !done) return done;
  const std::vector<EnrollmentId> unknown = NotLocked(ids);
  if (unknown.empty()) return {};
  return db().Refuse(fmt::format("{} is no enrollment", unknown.front().value()));
}

Status PostgresWriter::Lock(const std::vector<EnrollmentId>& ids) {
  const std::vector<EnrollmentId> missing = NotLocked(ids);
  return missing.empty() ? Status() : LockWith(kLock, missing);
}

Status PostgresWriter::ShareDesiredAndLock(const std::vector<EnrollmentId>& ids) {
  if (has_desired_lock_) return Lock(ids);
  const std::vector<EnrollmentId> missing = NotLocked(ids);
  return missing.empty() ? Write(kShareDesired) : LockWith(kShareDesiredAndLock, missing);
}

Status PostgresWriter::LockWith(const char* sql, const std::vector<EnrollmentId>& ids) {
  Result<PostgresResult> rows = db().Run(sql, {ArrayToPostgres(ids)}, "schedule");
  if (!rows) return Fail(rows.error());
  while (rows->Next()) locked_.insert(rows->TextAs<EnrollmentId>());
  return {};
}

std::vector<EnrollmentId> PostgresWriter::NotLocked(const std::vector<EnrollmentId>& ids) const {
  std::vector<EnrollmentId> missing;
  std::copy_if(ids.begin(), ids.end(), std::back_inserter(missing),
               [&](const EnrollmentId& id) { return !locked_.contains(id); });
  return missing;
}

Result<std::vector<Enrollment>> PostgresWriter::LoadEnrollments(
    const std::vector<EnrollmentId>& ids) {
  if (Status done = ShareDesiredAndLock(ids); !done) return Fail(done.error());
  // One may appear while others are waited for: those without a lock are new, and only one
  // transaction at a time finds out what became of them.
  const std::vector<EnrollmentId> fresh = NotLocked(ids);
  if (!fresh.empty()) {
    Status done = Write(kLockNew, {ArrayToPostgres(fresh)});
    if (done) done = Lock(fresh);
    if (!done) return Fail(done.error());
  }
  Result<std::vector<Enrollment>> known = postgres::LoadEnrollments(db(), ids);
  if (!known) return known;
  for (const Enrollment& e : *known) loaded_.insert_or_assign(e.channel.enrollment_id, e);
  return known;
}

Status PostgresWriter::SaveEnrollments(const std::vector<Enrollment>& enrollments,
                                       const std::map<EnrollmentId, Timestamp>& due_at) {
  PostgresBatch facts(42);
  PostgresBatch known(6);
  PostgresBatch contacts(5);
  std::map<EnrollmentId, Timestamp> due_apart = due_at;
  std::vector<EnrollmentId> ids;
  for (const Enrollment& e : enrollments) {
    ids.push_back(e.channel.enrollment_id);
    const auto loaded = loaded_.find(e.channel.enrollment_id);
    if (loaded == loaded_.end() || !HasSameFacts(loaded->second, e)) {
      BindIdentity(facts, e);
      BindFacts(facts, e);
    }
    if (loaded == loaded_.end()) {
      contacts.Bind(e.channel.enrollment_id);
      BindContact(contacts, e);
    } else {
      const auto due = due_apart.extract(e.channel.enrollment_id);
      known.Bind(e.channel.enrollment_id);
      BindContact(known, e);
      known.Bind(due ? std::optional(due.mapped()) : std::nullopt);
    }
    loaded_.insert_or_assign(e.channel.enrollment_id, e);
  }
  if (Status done = Lock(ids); !done) return done;
  if (Status done = Write(kUpsertFacts, facts); !done) return done;
  if (Status done = Write(kUpsertContacts, contacts); !done) return done;
  if (Status done = Write(kUpdateContacts, known); !done) return done;
  return MarkDue(due_apart);
}

Status PostgresWriter::SaveIntents(const std::vector<std::pair<EnrollmentId, Intent>>& intents) {
  PostgresBatch batch(13);
  std::vector<EnrollmentId> ids;
  for (const auto& [enrollment_id, intent] : intents) {
    ids.push_back(enrollment_id);
    BindIntent(batch, enrollment_id, intent);
  }
  if (Status done = LockKnown(ids); !done) return done;
  return UpdateOrInsert(kUpdateIntents, kInsertIntents, batch);
}

Status PostgresWriter::LoseOpenIntents(const std::vector<EnrollmentId>& ids, Timestamp now) {
  if (Status done = Lock(ids); !done) return done;
  return Write(kLoseIntents, {ArrayToPostgres(ids), ToPostgres(now)});
}

Status PostgresWriter::MarkDue(const std::map<EnrollmentId, Timestamp>& due_at) {
  PostgresBatch batch(2);
  std::vector<EnrollmentId> ids;
  for (const auto& [id, at] : due_at) {
    ids.push_back(id);
    batch.Bind(id).Bind(at);
  }
  if (Status done = Lock(ids); !done) return done;
  return Write(kMarkDue, batch);
}

Status PostgresWriter::AddHappenings(const std::vector<Happening>& happenings) {
  PostgresBatch batch(4);
  for (const Happening& happening : happenings) {
    batch.Bind(happening.at)
        .Bind(happening.enrollment_id)
        .Bind(happening.kind)
        .Bind(happening.text);
  }
  return Write(kInsertHappenings, batch);
}

Status PostgresWriter::AddDeadLetters(const std::vector<DeadLetter>& dead_letters) {
  PostgresBatch batch(5);
  for (const DeadLetter& letter : dead_letters) {
    batch.Bind(letter.received_at)
        .Bind(letter.upstream)
        .Bind(letter.reason)
        .Bind(letter.size_bytes)
        .BindBytes(std::string_view(letter.body).substr(0, kDeadLetterBodyMaxBytes));
  }
  return Write(kInsertDeadLetters, batch);
}

}  // namespace director
