#pragma once

#include <optional>
#include <string>

#include "reconciler/state.h"
#include "store/report_head.h"
#include "store/store.h"

namespace director {

/// What the rows of each table are made of, whatever the database: each binds its columns to a
/// statement or batch in the order that is named. The twin of row_readers.h.

/// enrollment_id, device_id, channel_type, udid, user_id, upstream, status, serial_number,
/// missing_step, missing_since, identity_not_after
template <typename Binder>
void BindIdentity(Binder& row, const Enrollment& e) {
  row.Bind(e.channel.enrollment_id)
      .Bind(e.channel.device_id)
      .Bind(ChannelTypeName(e.channel.type))
      .Bind(e.channel.udid)
      .Bind(e.channel.user_id)
      .Bind(e.upstream)
      .Bind(EnrollmentStatusName(e.status))
      .Bind(e.serial_number)
      .Bind(EnrollmentStepName(e.missing_step))
      .Bind(e.missing_since)
      .Bind(e.identity ? std::optional(e.identity->not_after) : std::nullopt);
}

/// renewal_began_at, renewal_replaces_until, renewal_authenticated_at, renewal_ended_at
template <typename Binder>
void BindRenewal(Binder& row, const std::optional<IdentityRenewal>& renewal) {
  const std::optional<Timestamp> none;
  row.Bind(renewal ? std::optional(renewal->began_at) : none)
      .Bind(renewal ? std::optional(renewal->replaces_until) : none)
      .Bind(renewal ? renewal->authenticated_at : none)
      .Bind(renewal ? renewal->ended_at : none);
}

/// quarantine_reason, epoch, ask_first, awaiting_configuration, awaiting_since, os_version,
/// build_version, product_name, model_name, device_name, user_short_name, is_supervised,
/// first_seen_at, authenticated_at, enrolled_at, push_unregistered, report_wanted_at,
/// device_information_at, security_info_at, certificate_list_at, installed_application_list_at,
/// managed_application_list_at, epoch_began_at, topic, identity_issuer, identity_not_before,
/// identity_asked_at, then the columns of the renewal
template <typename Binder>
void BindFacts(Binder& row, const Enrollment& e) {
  row.Bind(e.quarantine_reason)
      .Bind(e.epoch)
      .BindFlag(e.ask_first)
      .Bind(e.awaiting_configuration)
      .Bind(e.awaiting_since)
      .Bind(e.os_version)
      .Bind(e.build_version)
      .Bind(e.product_name)
      .Bind(e.model_name)
      .Bind(e.device_name)
      .Bind(e.user_short_name)
      .Bind(e.is_supervised)
      .Bind(e.first_seen_at)
      .Bind(e.authenticated_at)
      .Bind(e.enrolled_at)
      .BindFlag(e.push_unregistered)
      .Bind(e.report_wanted_at);
  for (const InventoryKind kind : kInventoryKinds) row.Bind(e.inventory_at[kind]);
  row.Bind(e.epoch_began_at)
      .Bind(e.topic)
      .Bind(e.identity ? e.identity->issuer : std::string())
      .Bind(e.identity ? std::optional(e.identity->not_before) : std::nullopt)
      .Bind(e.identity_asked_at);
  BindRenewal(row, e.renewal);
}

/// What moves with nearly every event: last_seen_at, push_count, pushed_at, wants_wake
template <typename Binder>
void BindContact(Binder& row, const Enrollment& e) {
  row.Bind(e.last_seen_at).Bind(e.push_count).Bind(e.pushed_at).BindFlag(e.wants_wake);
}

/// enrollment_id, command_uuid, request_type, payload_identifier, payload_uuid, epoch, state,
/// journaled_at, answered_at, not_now_count, not_now_at, error_class, error
template <typename Binder>
void BindIntent(Binder& row, const EnrollmentId& enrollment_id, const Intent& intent) {
  row.Bind(enrollment_id)
      .Bind(intent.command_uuid)
      .Bind(intent.request_type)
      .Bind(intent.payload_identifier)
      .Bind(intent.payload_uuid)
      .Bind(intent.epoch)
      .Bind(IntentStateName(intent.state))
      .Bind(intent.journaled_at)
      .Bind(intent.answered_at)
      .Bind(intent.not_now_count)
      .Bind(intent.not_now_at)
      .Bind(ErrorClassName(intent.error_class))
      .Bind(intent.error);
}

/// enrollment_id, kind, epoch, digest, reported_at, asked_at
template <typename Binder>
void BindReportHead(Binder& row, const EnrollmentId& enrollment_id, std::string_view kind,
                    const ReportHead& head) {
  row.Bind(enrollment_id)
      .Bind(kind)
      .Bind(head.epoch)
      .Bind(head.digest)
      .Bind(head.reported_at)
      .Bind(head.asked_at);
}

/// enrollment_id, payload_identifier, presence, payload_uuid, epoch, state, reason, state_since,
/// due_at, attempts, next_attempt_at, acknowledged_at, settled_at, verified_at, parked,
/// parked_build, last_error, last_error_at, sends_since, sends, installed_build, reinstall_at
template <typename Binder>
void BindItem(Binder& row, const EnrollmentId& enrollment_id, const ItemRecord& item) {
  row.Bind(enrollment_id)
      .Bind(item.payload_identifier)
      .Bind(PresenceName(item.presence))
      .Bind(item.payload_uuid)
      .Bind(item.epoch)
      .Bind(ItemStateName(item.state))
      .Bind(item.reason)
      .Bind(item.state_since)
      .Bind(item.due_at)
      .Bind(item.attempts)
      .Bind(item.next_attempt_at)
      .Bind(item.acknowledged_at)
      .Bind(item.settled_at)
      .Bind(item.verified_at)
      .BindFlag(item.parked)
      .Bind(item.parked_build)
      .Bind(item.last_error)
      .Bind(item.last_error_at)
      .Bind(item.sends_since)
      .Bind(item.sends)
      .Bind(item.installed_build)
      .Bind(item.reinstall_at);
}

/// enrollment_id, command_uuid, request_type, payload_identifier, payload_uuid, epoch,
/// journaled_at, lease_id
template <typename Binder>
void BindJournaled(Binder& row, const PlanCommit& commit, const JournaledCommand& journaled,
                   Timestamp now) {
  row.Bind(commit.enrollment_id)
      .Bind(journaled.command_uuid)
      .Bind(journaled.command.request_type)
      .Bind(journaled.command.payload_identifier)
      .Bind(journaled.command.payload_uuid)
      .Bind(commit.epoch)
      .Bind(now)
      .Bind(commit.lease_id);
}

/// enrollment_id, command_uuid, state, answered_at, error
template <typename Binder>
void BindOutcome(Binder& row, const DispatchOutcome& outcome, Timestamp now) {
  const bool is_final = !IsOpen(outcome.state);
  row.Bind(outcome.enrollment_id)
      .Bind(outcome.command_uuid)
      .Bind(IntentStateName(outcome.state))
      .Bind(is_final ? std::optional(now) : std::nullopt)
      .Bind(outcome.error);
}

/// How a proposal stands: state, explanation, state_since, escrowed_at, attempts, last_error,
/// next_attempt_at, acknowledged_at, cancelled_at, effect, command_uuid
template <typename Binder>
void BindStanding(Binder& row, const Proposal& proposal) {
  row.Bind(ProposalStateName(proposal.state))
      .Bind(proposal.explanation)
      .Bind(proposal.state_since)
      .Bind(proposal.escrowed_at)
      .Bind(proposal.attempts)
      .Bind(proposal.last_error)
      .Bind(proposal.next_attempt_at)
      .Bind(proposal.acknowledged_at)
      .Bind(proposal.cancelled_at)
      .Bind(ProposalEffectName(proposal.effect))
      .Bind(proposal.command_uuid);
}

/// enrollment_id, kind, reason, source, message, phone_number, sealed_secret, epoch,
/// created_at, not_before, expires_at, then how it stands, then repeats, verifies,
/// sealed_current_secret, sealed_reply_identity, encrypted_key
template <typename Binder>
void BindProposal(Binder& row, const Proposal& proposal, const SealedSecrets& sealed) {
  row.Bind(proposal.enrollment_id)
      .Bind(ProposalKindName(proposal.kind))
      .Bind(proposal.reason)
      .Bind(proposal.source)
      .Bind(proposal.message)
      .Bind(proposal.phone_number)
      .Bind(sealed.secret)
      .Bind(proposal.epoch)
      .Bind(proposal.created_at)
      .Bind(proposal.not_before)
      .Bind(proposal.expires_at);
  BindStanding(row, proposal);
  row.BindFlag(proposal.repeats).Bind(proposal.verifies);
  row.Bind(sealed.current).Bind(sealed.reply_identity).Bind(sealed.encrypted_key);
}

}  // namespace director
