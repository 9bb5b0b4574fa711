#pragma once

#include "store/report_head.h"
#include "store/row.h"
#include "store/store.h"

namespace director {

/// What the rows of each table mean, whatever the database. Each reads its columns in the order
/// that is named; `Row::Check` tells afterwards whether they could be read.

/// enrollment_id, device_id, channel_type, udid, user_id, upstream, status, quarantine_reason,
/// epoch, ask_first, awaiting_configuration, awaiting_since, serial_number, os_version,
/// build_version, product_name, model_name, device_name, user_short_name, is_supervised,
/// first_seen_at, last_seen_at, authenticated_at, enrolled_at, device_information_at,
/// security_info_at, certificate_list_at, installed_application_list_at,
/// managed_application_list_at, epoch_began_at, push_count, pushed_at, push_unregistered,
/// wants_wake, report_wanted_at, missing_step, missing_since, topic, identity_issuer,
/// identity_not_before, identity_not_after, identity_asked_at, renewal_began_at,
/// renewal_replaces_until, renewal_authenticated_at, renewal_ended_at
Enrollment ReadEnrollment(Row& row);

/// command_uuid, request_type, payload_identifier, payload_uuid, epoch, state, journaled_at,
/// answered_at, not_now_count, not_now_at, error_class, error
Intent ReadIntent(Row& row);

/// The columns of an intent, then closed_at, closed_reason, enrollment_id, udid
IntentRow ReadIntentRow(Row& row);

/// payload_identifier, presence, payload_uuid, epoch, state, reason, state_since, due_at, attempts,
/// next_attempt_at, acknowledged_at, settled_at, verified_at, parked, parked_build, last_error,
/// last_error_at, sends_since, sends, installed_build, reinstall_at
ItemRecord ReadItem(Row& row);

/// epoch, reported_at, asked_at, digest
ReportHead ReadReportHead(Row& row);

/// epoch, reported_at, asked_at, body
ProfileListReport ReadReport(Row& row);

/// The same, of a list of apps.
AppListReport ReadAppList(Row& row);
ManagedAppListReport ReadManagedAppList(Row& row);

/// epoch, reported_at, body
InventoryRecord ReadInventoryRecord(Row& row);

/// assignment_id, payload_identifier, presence, payload_uuid (empty for NULL),
/// certificate_authority (of the revision; empty without one), target_kind, target, adopt, source,
/// assigned_at
DesiredAssignment ReadDesiredAssignment(Row& row);

/// assignment_id, payload_identifier, channel, target_kind, target, presence, payload_uuid (empty
/// for NULL), adopt, source, assigned_at
Assignment ReadAssignment(Row& row);

/// payload_uuid, payload_identifier, display_name, payload_scope, payload_types,
/// certificate_authority, original_payload_uuid, source, created_at, size_bytes
Revision ReadRevision(Row& row);

/// proposal_id, enrollment_id, kind, reason, source, message, phone_number, whether it has a
/// secret, epoch, created_at, not_before, expires_at, state, explanation, state_since, escrowed_at,
/// attempts, last_error, next_attempt_at, acknowledged_at, cancelled_at, repeats, effect, verifies,
/// command_uuid
Proposal ReadProposal(Row& row);

/// kind, state, the count
ProposalCount ReadProposalCount(Row& row);

/// upstream, payload_identifier, content, pinned_at, is_proven
EnrollmentProfilePin ReadPin(Row& row);

/// happening_id, at, enrollment_id, kind, text
Happening ReadHappening(Row& row);

/// dead_letter_id, received_at, upstream, reason, body, size_bytes
DeadLetter ReadDeadLetter(Row& row);

/// payload_identifier, state, presence, the count
ItemCount ReadItemCount(Row& row);

/// enrollment_id, payload_identifier, state, state_since, reason
OldestWaiting ReadOldestWaiting(Row& row);

}  // namespace director
