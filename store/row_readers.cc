#include "store/row_readers.h"

#include "store/report_json.h"

namespace director {
namespace {

Result<ErrorClass> ParseErrorClass(std::string_view name) {
  for (const ErrorClass known : {ErrorClass::kTransient, ErrorClass::kPermanent, ErrorClass::kUser,
                                 ErrorClass::kServer, ErrorClass::kDone, ErrorClass::kUnknown}) {
    if (ErrorClassName(known) == name) return known;
  }
  return Fail(ErrorKind::kInvalid, "not an error class");
}

/// identity_issuer, identity_not_before, identity_not_after
std::optional<MdmIdentity> ReadIdentity(Row& row) {
  const std::string issuer = row.Text();
  const std::optional<Timestamp> not_before = row.OptionalTime();
  const std::optional<Timestamp> not_after = row.OptionalTime();
  if (!not_before || !not_after) return std::nullopt;
  return MdmIdentity{issuer, *not_before, *not_after};
}

/// renewal_began_at, renewal_replaces_until, renewal_authenticated_at, renewal_ended_at
std::optional<IdentityRenewal> ReadRenewal(Row& row) {
  const std::optional<Timestamp> began_at = row.OptionalTime();
  const std::optional<Timestamp> replaces_until = row.OptionalTime();
  const std::optional<Timestamp> authenticated_at = row.OptionalTime();
  const std::optional<Timestamp> ended_at = row.OptionalTime();
  if (!began_at || !replaces_until) return std::nullopt;
  return IdentityRenewal{*began_at, *replaces_until, authenticated_at, ended_at};
}

}  // namespace

Enrollment ReadEnrollment(Row& row) {
  Enrollment e;
  e.channel.enrollment_id = row.TextAs<EnrollmentId>();
  e.channel.device_id = row.TextAs<EnrollmentId>();
  e.channel.type = row.TextBy(ParseChannelType);
  e.channel.udid = row.Text();
  e.channel.user_id = row.Text();
  e.upstream = row.TextAs<UpstreamName>();
  e.status = row.TextBy(ParseEnrollmentStatus);
  e.quarantine_reason = row.Text();
  e.epoch = row.Int();
  e.ask_first = row.Flag();
  e.awaiting_configuration = row.OptionalFlag();
  e.awaiting_since = row.OptionalTime();
  e.serial_number = row.Text();
  e.os_version = row.Text();
  e.build_version = row.Text();
  e.product_name = row.Text();
  e.model_name = row.Text();
  e.device_name = row.Text();
  e.user_short_name = row.Text();
  e.is_supervised = row.OptionalFlag();
  e.first_seen_at = row.Time();
  e.last_seen_at = row.Time();
  e.authenticated_at = row.OptionalTime();
  e.enrolled_at = row.OptionalTime();
  for (const InventoryKind kind : kInventoryKinds) e.inventory_at[kind] = row.OptionalTime();
  e.epoch_began_at = row.OptionalTime();
  e.push_count = row.SmallInt();
  e.pushed_at = row.OptionalTime();
  e.push_unregistered = row.Flag();
  e.wants_wake = row.Flag();
  e.report_wanted_at = row.OptionalTime();
  e.missing_step = row.TextBy(ParseEnrollmentStep);
  e.missing_since = row.OptionalTime();
  e.topic = row.Text();
  e.identity = ReadIdentity(row);
  e.identity_asked_at = row.OptionalTime();
  e.renewal = ReadRenewal(row);
  return e;
}

Intent ReadIntent(Row& row) {
  Intent intent;
  intent.command_uuid = row.TextAs<CommandUuid>();
  intent.request_type = row.Text();
  intent.payload_identifier = row.TextAs<PayloadIdentifier>();
  intent.payload_uuid = row.TextAs<PayloadUuid>();
  intent.epoch = row.Int();
  intent.state = row.TextBy(ParseIntentState);
  intent.journaled_at = row.Time();
  intent.answered_at = row.OptionalTime();
  intent.not_now_count = row.SmallInt();
  intent.not_now_at = row.OptionalTime();
  intent.error_class = row.TextBy(ParseErrorClass);
  intent.error = row.Text();
  return intent;
}

IntentRow ReadIntentRow(Row& row) {
  IntentRow listed;
  listed.intent = ReadIntent(row);
  listed.closed_at = row.OptionalTime();
  listed.closed_reason = row.Text();
  listed.enrollment_id = row.TextAs<EnrollmentId>();
  listed.udid = row.Text();
  return listed;
}

ItemRecord ReadItem(Row& row) {
  ItemRecord item;
  item.payload_identifier = row.TextAs<PayloadIdentifier>();
  item.presence = row.TextBy(ParsePresence);
  item.payload_uuid = row.TextAs<PayloadUuid>();
  item.epoch = row.Int();
  item.state = row.TextBy(ParseItemState);
  item.reason = row.Text();
  item.state_since = row.Time();
  item.due_at = row.OptionalTime();
  item.attempts = row.SmallInt();
  item.next_attempt_at = row.OptionalTime();
  item.acknowledged_at = row.OptionalTime();
  item.settled_at = row.OptionalTime();
  item.verified_at = row.OptionalTime();
  item.parked = row.Flag();
  item.parked_build = row.Text();
  item.last_error = row.Text();
  item.last_error_at = row.OptionalTime();
  item.sends_since = row.Time();
  item.sends = row.SmallInt();
  item.installed_build = row.Text();
  item.reinstall_at = row.OptionalTime();
  return item;
}

ReportHead ReadReportHead(Row& row) {
  ReportHead head;
  head.epoch = row.Int();
  head.reported_at = row.Time();
  head.asked_at = row.OptionalTime();
  head.digest = row.Text();
  return head;
}

namespace {

void ReadTimes(Row& row, DeviceReport& report) {
  report.epoch = row.Int();
  report.reported_at = row.Time();
  report.asked_at = row.OptionalTime();
}

}  // namespace

ProfileListReport ReadReport(Row& row) {
  ProfileListReport report;
  ReadTimes(row, report);
  report.profiles = row.TextBy(DecodeReportedProfiles);
  return report;
}

AppListReport ReadAppList(Row& row) {
  AppListReport report;
  ReadTimes(row, report);
  report.apps = row.TextBy(DecodeReportedApps);
  return report;
}

ManagedAppListReport ReadManagedAppList(Row& row) {
  ManagedAppListReport report;
  ReadTimes(row, report);
  report.apps = row.TextBy(DecodeReportedManagedApps);
  return report;
}

InventoryRecord ReadInventoryRecord(Row& row) {
  InventoryRecord record;
  record.epoch = row.Int();
  record.reported_at = row.Time();
  record.answer = row.Text();
  return record;
}

DesiredAssignment ReadDesiredAssignment(Row& row) {
  DesiredAssignment assignment;
  assignment.assignment_id = row.Int();
  assignment.payload_identifier = row.TextAs<PayloadIdentifier>();
  assignment.presence = row.TextBy(ParsePresence);
  assignment.payload_uuid = row.TextAs<PayloadUuid>();
  assignment.certificate_authority = row.Text();
  assignment.target_kind = row.TextBy(ParseTargetKind);
  assignment.target = row.Text();
  assignment.adopt = row.Flag();
  assignment.source = row.Text();
  assignment.assigned_at = row.Time();
  assignment.during_setup = row.Flag();
  assignment.at_enrollment_only = row.Flag();
  assignment.request_type = row.Text();
  assignment.app_version = row.Text();
  return assignment;
}

Assignment ReadAssignment(Row& row) {
  Assignment assignment;
  assignment.assignment_id = row.Int();
  assignment.payload_identifier = row.TextAs<PayloadIdentifier>();
  assignment.channel = row.TextBy(ParseAssignmentChannel);
  assignment.target_kind = row.TextBy(ParseTargetKind);
  assignment.target = row.Text();
  assignment.presence = row.TextBy(ParsePresence);
  assignment.payload_uuid = row.TextAs<PayloadUuid>();
  assignment.adopt = row.Flag();
  assignment.source = row.Text();
  assignment.assigned_at = row.Time();
  assignment.during_setup = row.Flag();
  assignment.at_enrollment_only = row.Flag();
  return assignment;
}

Revision ReadRevision(Row& row) {
  Revision revision;
  revision.payload_uuid = row.TextAs<PayloadUuid>();
  revision.payload_identifier = row.TextAs<PayloadIdentifier>();
  revision.display_name = row.Text();
  revision.payload_scope = row.Text();
  revision.payload_types = row.TextBy(DecodeStrings);
  revision.certificate_authority = row.Text();
  revision.original_payload_uuid = row.Text();
  revision.source = row.Text();
  revision.created_at = row.Time();
  revision.size_bytes = row.Int();
  revision.request_type = row.Text();
  revision.app_version = row.Text();
  return revision;
}

Proposal ReadProposal(Row& row) {
  Proposal proposal;
  proposal.proposal_id = row.Int();
  proposal.enrollment_id = row.TextAs<EnrollmentId>();
  proposal.kind = row.TextBy(ParseProposalKind);
  proposal.reason = row.Text();
  proposal.source = row.Text();
  proposal.message = row.Text();
  proposal.phone_number = row.Text();
  proposal.has_secret = row.Flag();
  proposal.epoch = row.Int();
  proposal.created_at = row.Time();
  proposal.not_before = row.Time();
  proposal.expires_at = row.Time();
  proposal.state = row.TextBy(ParseProposalState);
  proposal.explanation = row.Text();
  proposal.state_since = row.Time();
  proposal.escrowed_at = row.OptionalTime();
  proposal.attempts = row.SmallInt();
  proposal.last_error = row.Text();
  proposal.next_attempt_at = row.OptionalTime();
  proposal.acknowledged_at = row.OptionalTime();
  proposal.cancelled_at = row.OptionalTime();
  proposal.repeats = row.Flag();
  proposal.effect = row.TextBy(ParseProposalEffect);
  proposal.verifies = row.Int();
  proposal.command_uuid = row.TextAs<CommandUuid>();
  return proposal;
}

ProposalCount ReadProposalCount(Row& row) {
  ProposalCount count;
  count.kind = row.TextBy(ParseProposalKind);
  count.state = row.TextBy(ParseProposalState);
  count.count = row.Int();
  return count;
}

EnrollmentProfilePin ReadPin(Row& row) {
  EnrollmentProfilePin pin;
  pin.upstream = row.TextAs<UpstreamName>();
  pin.payload_identifier = row.TextAs<PayloadIdentifier>();
  pin.content = row.Text();
  pin.pinned_at = row.Time();
  pin.is_proven = row.Flag();
  return pin;
}

Happening ReadHappening(Row& row) {
  Happening happening;
  happening.happening_id = row.Int();
  happening.at = row.Time();
  happening.enrollment_id = row.TextAs<EnrollmentId>();
  happening.kind = row.Text();
  happening.text = row.Text();
  return happening;
}

DeadLetter ReadDeadLetter(Row& row) {
  DeadLetter letter;
  letter.dead_letter_id = row.Int();
  letter.received_at = row.Time();
  letter.upstream = row.TextAs<UpstreamName>();
  letter.reason = row.Text();
  letter.body = row.Bytes();
  letter.size_bytes = row.Int();
  return letter;
}

ItemCount ReadItemCount(Row& row) {
  ItemCount count;
  count.payload_identifier = row.TextAs<PayloadIdentifier>();
  count.state = row.TextBy(ParseItemState);
  count.presence = row.TextBy(ParsePresence);
  count.count = row.Int();
  return count;
}

OldestWaiting ReadOldestWaiting(Row& row) {
  OldestWaiting oldest;
  oldest.enrollment_id = row.TextAs<EnrollmentId>();
  oldest.payload_identifier = row.TextAs<PayloadIdentifier>();
  oldest.state = row.TextBy(ParseItemState);
  oldest.since = row.Time();
  oldest.reason = row.Text();
  return oldest;
}

}  // namespace director
