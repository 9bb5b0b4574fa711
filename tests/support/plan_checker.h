#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/text.h"
#include "mdm/app.h"
#include "mdm/command.h"
#include "mdm/item_definition.h"
#include "reconciler/plan.h"
#include "tests/support/item_parts.h"
#include "tests/support/plan_text.h"

namespace director::test {

/// What a plan must keep whatever the world is. Collects sentences about what it broke.
class PlanChecker {
 public:
  PlanChecker(const Snapshot& snapshot, const Settings& settings, Timestamp now, const Plan& plan)
      : snapshot_(snapshot), settings_(settings), now_(now), plan_(plan) {}

  std::vector<std::string> Check() {
    for (const PlannedCommand& command : plan_.commands) CheckCommand(command);
    CheckOrder();
    CheckQuestions();
    CheckManagedQuestion();
    CheckProposal();
    CheckNewKeys();
    CheckOpenChanges();
    CheckItems();
    CheckTime();
    CheckAgain();
    return broken_;
  }

 private:
  void Must(bool kept, const std::string& what) {
    if (!kept) broken_.push_back(what);
  }

  static bool IsChange(const PlannedCommand& command) {
    return !command.payload_identifier.empty();
  }
  static bool IsProposed(const PlannedCommand& command) { return command.proposal_id != 0; }

  bool StaysOpen(const Intent& intent) const {
    return IsOpen(intent.state) &&
           std::none_of(plan_.closed.begin(), plan_.closed.end(), [&](const ClosedIntent& closed) {
             return closed.command_uuid == intent.command_uuid;
           });
  }

  /// The assignments that decide: those of the narrowest target that there is.
  std::vector<DesiredAssignment> Deciding(const PayloadIdentifier& identifier) const {
    std::vector<DesiredAssignment> device;
    std::vector<DesiredAssignment> all;
    for (const DesiredAssignment& a : snapshot_.assignments) {
      if (a.payload_identifier != identifier || !Counts(a)) continue;
      (a.target_kind == TargetKind::kDevice ? device : all).push_back(a);
    }
    return device.empty() ? all : device;
  }

  /// False for what is wanted at enrollment only and was assigned after that.
  bool Counts(const DesiredAssignment& a) const {
    const auto& began_at = snapshot_.enrollment.epoch_began_at;
    return !a.at_enrollment_only || (began_at && a.assigned_at <= *began_at);
  }

  std::vector<ReportedProfile> Reported(const PayloadIdentifier& identifier) const {
    std::vector<ReportedProfile> found;
    if (!snapshot_.profile_list || snapshot_.profile_list->epoch != snapshot_.enrollment.epoch) {
      return found;
    }
    for (const ReportedProfile& profile : snapshot_.profile_list->profiles) {
      if (profile.payload_identifier == identifier) found.push_back(profile);
    }
    return found;
  }

  void CheckCommand(const PlannedCommand& command) {
    const std::string name = DescribeCommand(command);
    const Enrollment& enrollment = snapshot_.enrollment;
    const bool token_update_lost = enrollment.status == EnrollmentStatus::kAuthenticated &&
                                   !IsChange(command) &&
                                   enrollment.last_seen_at + settings_.token_update_wait <= now_;
    Must(enrollment.status == EnrollmentStatus::kEnrolled || token_update_lost,
         name + " to one that is not enrolled");
    Must(!snapshot_.upstream_retry_at || *snapshot_.upstream_retry_at <= now_,
         name + " while the MDM server is out of reach");
    Must(!command.reason.empty(), name + " without a reason");
    if (IsProposed(command)) CheckProposed(command);
    if (!IsChange(command)) return;
    Must(enrollment.last_seen_at + settings_.awake_window > now_, name + " to a sleeping device");
    for (const ReportedProfile& profile : Reported(command.payload_identifier)) {
      Must(!profile.has_mdm_payload, name + " touches the enrollment profile");
      Must(!profile.is_declarative, name + " touches what declarative management owns");
    }
    if (command.payload_identifier == IdentityItem()) return CheckRenewal(command);
    if (command.payload_uuid.empty()) return CheckRemoval(command);
    Must(command.request_type == InstallRequestType(command.payload_identifier),
         name + " is no command of ours");
    Must(command.request_type != request_type::kAccountConfiguration ||
             snapshot_.enrollment.awaiting_since,
         name + " outside of Setup Assistant");
    for (const DesiredAssignment& a : Deciding(command.payload_identifier)) {
      Must(a.presence == Presence::kPresent && a.payload_uuid == command.payload_uuid,
           name + " is not what is assigned");
    }
    Must(!Deciding(command.payload_identifier).empty(), name + " that nobody assigned");
  }

  void CheckRenewal(const PlannedCommand& command) {
    const std::string name = DescribeCommand(command);
    const Enrollment& enrollment = snapshot_.enrollment;
    Must(command.request_type == request_type::kInstallProfile, name + " is no command of ours");
    Must(settings_.renewal.has_profiles, name + " although identities are not renewed");
    Must(!enrollment.awaiting_since, name + " in Setup Assistant");
    Must(!IsUserChannel(enrollment.channel.type), name + " to a user channel");
    Must(enrollment.identity.has_value(), name + " for an identity that is not known");
    if (!enrollment.identity) return;
    const MdmIdentity& identity = *enrollment.identity;
    Must(identity.not_after > now_ || enrollment.last_seen_at >= identity.not_after,
         name + " for one that has ended");
    Must(identity.not_after - settings_.renewal.renew_before <= now_, name + " too early");
    Must(enrollment.identity_asked_at &&
             now_ <= *enrollment.identity_asked_at + settings_.removal_evidence_age_max,
         name + " on stale evidence");
    Must(snapshot_.profile_list && snapshot_.profile_list->epoch == enrollment.epoch,
         name + " without a report that shows the enrollment profile");
    Must(plan_.renewal && plan_.renewal->began_at == now_, name + " that is forgotten");
  }

  void CheckProposed(const PlannedCommand& command) {
    const std::string name = DescribeCommand(command);
    Must(snapshot_.proposal.has_value(), name + " that nobody proposed");
    if (!snapshot_.proposal) return;
    const Proposal& proposal = *snapshot_.proposal;
    Must(command.request_type == ProposalKindName(proposal.kind) &&
             command.proposal_id == proposal.proposal_id,
         name + " is not what was proposed");
    Must(snapshot_.enrollment.last_seen_at + settings_.awake_window > now_,
         name + " to a sleeping device");
    Must(proposal.escrowed_at.has_value(), name + " before its secret is escrowed");
    Must(proposal.epoch == snapshot_.enrollment.epoch, name + " in another epoch");
    Must(now_ >= proposal.not_before && now_ < proposal.expires_at, name + " out of its time");
    Must(plan_.proposal && plan_.proposal->state == ProposalState::kSent,
         name + " and the proposal does not know");
    for (const Intent& intent : snapshot_.intents) {
      Must(!StaysOpen(intent) || intent.request_type != command.request_type,
           name + " while one may still act");
    }
  }

  void CheckNewKeys() {
    for (const Proposal& proposal : snapshot_.answered) {
      const bool is_put_off = proposal.next_attempt_at && *proposal.next_attempt_at > now_;
      const bool is_kept =
          std::find(plan_.new_keys.begin(), plan_.new_keys.end(), proposal) != plan_.new_keys.end();
      Must(is_kept != is_put_off, "a new key is forgotten or is kept too early");
      Must(!is_put_off || plan_.due_at <= *proposal.next_attempt_at, "nobody looks at a new key");
    }
  }

  void CheckProposal() {
    Must(plan_.proposal.has_value() == snapshot_.proposal.has_value(), "a proposal is forgotten");
    if (!plan_.proposal) return;
    const Proposal& proposal = *plan_.proposal;
    Must(proposal.explanation.size() > 1 && proposal.explanation.back() == '.',
         "the proposal has no sentence: " + proposal.explanation);
    Must(!plan_.escrow || (IsOpen(proposal.state) && !proposal.escrowed_at),
         "a secret is escrowed for nothing");
    Must(proposal.state != ProposalState::kSent || proposal.effect == ProposalEffect::kUnknown,
         "what is under way has an effect that is known");
    const bool waits = proposal.state == ProposalState::kWaiting;
    Must(!waits || now_ < proposal.expires_at, "the proposal waits beyond its time");
    Must(!waits || plan_.due_at <= proposal.expires_at, "nobody looks when the proposal expires");
  }

  void CheckRemoval(const PlannedCommand& command) {
    const std::string name = DescribeCommand(command);
    const std::vector<DesiredAssignment> deciding = Deciding(command.payload_identifier);
    if (KindOf(command.payload_identifier) == ItemKind::kApp) {
      return CheckAppRemoval(command, deciding);
    }
    Must(command.request_type == request_type::kRemoveProfile, name + " is no command of ours");
    const std::vector<ReportedProfile> reported = Reported(command.payload_identifier);
    Must(!deciding.empty(), name + " that nobody asked for by name");
    Must(!reported.empty(), name + " of what no report shows");
    if (snapshot_.profile_list) {
      const ProfileListReport& report = *snapshot_.profile_list;
      const Timestamp seen_at =
          std::max(report.reported_at, report.asked_at.value_or(report.reported_at));
      Must(now_ <= seen_at + settings_.removal_evidence_age_max, name + " on stale evidence");
    }
    bool adopted = false;
    std::set<std::string> known;
    for (const DesiredAssignment& a : deciding) {
      Must(a.presence == Presence::kAbsent, name + " of what is assigned as present");
      adopted = adopted || a.adopt;
      for (const PayloadUuid& uuid : a.known_payload_uuids)
        known.insert(ToUpperAscii(uuid.value()));
    }
    for (const ReportedProfile& profile : reported) {
      Must(adopted || known.contains(ToUpperAscii(profile.payload_uuid)),
           name + " of a stranger's");
    }
  }

  /// The copies of an app that the device's own list shows.
  std::vector<ReportedApp> ReportedApps(const PayloadIdentifier& item) const {
    std::vector<ReportedApp> found;
    const auto& list = snapshot_.app_list;
    if (!list || list->epoch != snapshot_.enrollment.epoch) return found;
    for (const ReportedApp& app : list->apps) {
      if ("app:" + app.identifier == item.value() && !app.is_installing) found.push_back(app);
    }
    return found;
  }

  void CheckAppRemoval(const PlannedCommand& command,
                       const std::vector<DesiredAssignment>& deciding) {
    const std::string name = DescribeCommand(command);
    Must(command.request_type == request_type::kRemoveApplication, name + " is no command of ours");
    Must(!deciding.empty(), name + " that nobody asked for by name");
    Must(!ReportedApps(command.payload_identifier).empty(), name + " of what no list shows");
    Must(snapshot_.app_list &&
             now_ <= SeenAt(*snapshot_.app_list) + settings_.removal_evidence_age_max,
         name + " on stale evidence");
    for (const DesiredAssignment& a : deciding) {
      Must(a.presence == Presence::kAbsent, name + " of what is assigned as present");
    }
  }

  void CheckOrder() {
    int rank = -1;
    for (const PlannedCommand& command : plan_.commands) {
      const bool is_inventory = ParseInventoryKind(command.request_type).has_value();
      const bool lets_go = command.request_type == request_type::kDeviceConfigured;
      Must(!lets_go || snapshot_.enrollment.awaiting_since, "nobody awaits DeviceConfigured");
      const int own = IsProposed(command) ? -1
                      : IsChange(command) ? 0
                      : is_inventory      ? 1
                      : lets_go           ? 3
                                          : 2;
      Must(own >= rank, DescribeCommand(command) + " is out of order");
      rank = own;
    }
  }

  void CheckQuestions() {
    std::multiset<std::string> questions;
    for (const PlannedCommand& command : plan_.commands) {
      if (!IsChange(command) && !IsProposed(command)) questions.insert(command.request_type);
    }
    int unknown = 0;
    for (const Intent& intent : snapshot_.intents) {
      if (!StaysOpen(intent) || !intent.payload_identifier.empty()) continue;
      // A ProfileList that was perhaps never queued may be asked once more.
      const bool maybe_not_asked = intent.state == IntentState::kUnknown &&
                                   intent.request_type == request_type::kProfileList;
      if (maybe_not_asked && ++unknown < 2) continue;
      Must(!questions.contains(intent.request_type), intent.request_type + " is asked already");
    }
    for (const std::string& question : questions) {
      Must(questions.count(question) == 1, question + " is asked twice");
    }
  }

  /// The list of managed apps is asked for while a device is at an app, with the list of apps.
  void CheckManagedQuestion() {
    for (const PlannedCommand& command : plan_.commands) {
      if (command.request_type != request_type::kManagedApplicationList) continue;
      const bool is_under_way =
          std::any_of(plan_.items.begin(), plan_.items.end(), [](const ItemRecord& item) {
            return KindOf(item.payload_identifier) == ItemKind::kApp &&
                   item.presence == Presence::kPresent && item.state == ItemState::kAcknowledged;
          });
      Must(is_under_way, "the list of managed apps is asked for, and no app is under way");
    }
  }

  void CheckOpenChanges() {
    std::map<PayloadIdentifier, int> planned;
    int open = 0;
    int sent = 0;
    for (const PlannedCommand& command : plan_.commands) {
      if (!IsChange(command)) continue;
      ++sent;
      Must(++planned[command.payload_identifier] == 1,
           "two commands at once for " + command.payload_identifier.value());
    }
    for (const Intent& intent : snapshot_.intents) {
      if (!StaysOpen(intent) || intent.payload_identifier.empty()) continue;
      ++open;
      Must(!planned.contains(intent.payload_identifier),
           "a command is open already for " + intent.payload_identifier.value());
    }
    Must(sent == 0 || open + sent <= settings_.commands_per_session_max, "the batch is too large");
  }

  void CheckItems() {
    std::set<PayloadIdentifier> wanted;
    for (const DesiredAssignment& a : snapshot_.assignments) {
      if (Counts(a)) wanted.insert(a.payload_identifier);
    }
    const bool has_identity =
        !settings_.renewal.issuers.empty() && !IsUserChannel(snapshot_.enrollment.channel.type);
    if (has_identity) wanted.insert(IdentityItem());
    std::vector<PayloadIdentifier> recorded;
    for (const ItemRecord& item : plan_.items) {
      const std::string& name = item.payload_identifier.value();
      recorded.push_back(item.payload_identifier);
      Must(item.reason.size() > 1 && item.reason.back() == '.',
           name + " has no sentence: " + item.reason);
      Must(item.state_since > Timestamp() && item.state_since <= now_, name + " since when?");
      Must(item.epoch == snapshot_.enrollment.epoch, name + " is of another epoch");
      if (item.state == ItemState::kVerified) CheckVerified(item);
    }
    Must(std::equal(wanted.begin(), wanted.end(), recorded.begin(), recorded.end()),
         "the records are not those of the desired items");
  }

  void CheckVerifiedApp(const ItemRecord& item) {
    const std::string& name = item.payload_identifier.value();
    for (const DesiredAssignment& a : Deciding(item.payload_identifier)) {
      if (a.at_enrollment_only) return;  // it was there once
    }
    Must(snapshot_.app_list && snapshot_.app_list->epoch == snapshot_.enrollment.epoch,
         name + " is verified by no list");
    const std::vector<ReportedApp> apps = ReportedApps(item.payload_identifier);
    if (item.presence == Presence::kAbsent) {
      return Must(apps.empty(), name + " is verified and still there");
    }
    Must(!apps.empty(), name + " is verified against the list");
    for (const DesiredAssignment& a : Deciding(item.payload_identifier)) {
      Must(std::any_of(apps.begin(), apps.end(),
                       [&](const ReportedApp& app) {
                         return a.app_version.empty() || app.version == a.app_version ||
                                CompareVersions(
                                    app.short_version.empty() ? app.version : app.short_version,
                                    a.app_version) >= 0;
                       }),
           name + " is verified with an older version");
    }
  }

  void CheckVerified(const ItemRecord& item) {
    const std::string& name = item.payload_identifier.value();
    if (KindOf(item.payload_identifier) == ItemKind::kApp) return CheckVerifiedApp(item);
    if (item.payload_identifier == IdentityItem()) {
      return Must(snapshot_.enrollment.identity && snapshot_.enrollment.identity->not_after > now_,
                  name + " is verified by no list, or has ended");
    }
    Must(snapshot_.profile_list && snapshot_.profile_list->epoch == snapshot_.enrollment.epoch,
         name + " is verified by no report");
    Must(item.verified_at.has_value() && !item.parked && !item.next_attempt_at,
         name + " is verified and waits");
    const std::vector<ReportedProfile> reported = Reported(item.payload_identifier);
    if (item.presence == Presence::kAbsent) return Must(reported.empty(), name + " is still there");
    Must(std::any_of(reported.begin(), reported.end(),
                     [&](const ReportedProfile& profile) {
                       return EqualsIgnoreCaseAscii(profile.payload_uuid,
                                                    item.payload_uuid.value());
                     }),
         name + " is not what was reported");
  }

  void CheckTime() {
    Must(plan_.due_at > now_, "the plan is due at once again");
    Must(plan_.due_at <= now_ + std::chrono::hours(24), "the plan is due after more than a day");
    for (const ItemRecord& item : plan_.items) {
      Must(!item.due_at || plan_.due_at <= *item.due_at,
           "the plan is due after " + item.payload_identifier.value());
    }
  }

  /// The same moment, decided again: the same; after the commit: nothing more, and no earlier due
  /// time.
  void CheckAgain() {
    Must(DescribePlanInFull(Reconcile(snapshot_, settings_, now_)) == DescribePlanInFull(plan_),
         "the same world was decided in two ways");
    const Snapshot after = CommitPlan(snapshot_, plan_, now_);
    const Plan again = Reconcile(after, settings_, now_);
    Must(again.commands.empty() && !again.push && again.closed.empty(),
         "after the commit there is more to do: " + DescribePlan(again));
    Must(plan_.due_at <= again.due_at,
         fmt::format("due at {}, but there is something to do at {}", FormatTime(plan_.due_at),
                     FormatTime(again.due_at)));
    Must(plan_.wants_wake || !again.wants_wake, "a poll must make it due, and does not");
    const Plan third = Reconcile(CommitPlan(after, again, now_), settings_, now_);
    Must(DescribePlanInFull(third) == DescribePlanInFull(again), "the records do not come to rest");
  }

  const Snapshot& snapshot_;
  const Settings& settings_;
  const Timestamp now_;
  const Plan& plan_;
  std::vector<std::string> broken_;
};

}  // namespace director::test
