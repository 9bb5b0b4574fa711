#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "mdm/error_class.h"
#include "mdm/event.h"
#include "mdm/inventory.h"
#include "mdm/mdm_identity.h"
#include "reconciler/proposal.h"

namespace director {

/// Where an enrollment stands.
enum class EnrollmentStatus {
  kAuthenticated,  ///< Authenticate came, TokenUpdate not yet: cannot be pushed
  kEnrolled,
  kCheckedOut,   ///< said good-bye; nothing is sent
  kQuarantined,  ///< its UDID came back with another serial number; nothing is sent
};
std::string_view EnrollmentStatusName(EnrollmentStatus status);
Result<EnrollmentStatus> ParseEnrollmentStatus(std::string_view name);

/// What an enrollment has still to do until it is whole.
enum class EnrollmentStep {
  kNone,         ///< it is whole, it has ended, or it is a user channel, which comes and goes
  kTokenUpdate,  ///< Authenticate came
  kFirstAnswer,  ///< it can be pushed, and has answered no command in this epoch
  kProfileList,  ///< it answers, and has not said in this epoch what it has
};
/// Empty for kNone.
std::string_view EnrollmentStepName(EnrollmentStep step);
Result<EnrollmentStep> ParseEnrollmentStep(std::string_view name);
/// Those that can be missing, in order.
inline constexpr std::array kEnrollmentSteps = {
    EnrollmentStep::kTokenUpdate, EnrollmentStep::kFirstAnswer, EnrollmentStep::kProfileList};
/// A step that has been missing for longer makes a half enrollment.
inline constexpr Duration kEnrollmentStepMax = std::chrono::hours(1);

/// The last attempt to renew a device's identity in this epoch.
struct IdentityRenewal {
  Timestamp began_at;        ///< when its command was journaled, by our clock
  Timestamp replaces_until;  ///< when the identity ended that it was to replace
  /// When the device sent the Authenticate that belongs to it, by our clock.
  std::optional<Timestamp> authenticated_at;
  /// By the upstream's clock, when the device showed its new identity or refused the command: an
  /// Authenticate that was said later does not belong to it.
  std::optional<Timestamp> ended_at;
  friend bool operator==(const IdentityRenewal&, const IdentityRenewal&) = default;
};
/// An Authenticate that comes later than this after the command is no renewal, whatever became of
/// that.
inline constexpr Duration kRenewalMax = std::chrono::hours(24 * 7);

/// One channel of one device and what is known about it. Empty strings are unknown facts.
struct Enrollment {
  Channel channel;
  UpstreamName upstream;
  EnrollmentStatus status = EnrollmentStatus::kAuthenticated;
  std::string quarantine_reason;
  /// Grows with each Authenticate that is no renewal of ours, and with the first word after a
  /// CheckOut; what was known about an earlier epoch is no evidence any more.
  std::int64_t epoch = 1;
  EnrollmentStep missing_step = EnrollmentStep::kNone;
  std::optional<Timestamp> missing_since;  ///< by our clock; empty when nothing is missing
  /// True after an Authenticate of a known enrollment (it may be a renewal with everything still in
  /// place), and for an enrollment whose Authenticate was not seen: the device is asked before
  /// anything is installed.
  bool ask_first = false;
  std::optional<bool> awaiting_configuration;
  /// Since when the device awaits DeviceConfigured in Setup Assistant, by our clock.
  std::optional<Timestamp> awaiting_since;

  std::string serial_number;
  std::string os_version;
  std::string build_version;
  std::string product_name;
  std::string model_name;
  std::string device_name;
  std::string user_short_name;
  std::string topic;  ///< of its pushes, as its enrollment profile says
  std::optional<bool> is_supervised;

  /// Of the last CertificateList of this epoch that we asked for; empty when it showed none of a
  /// configured issuer.
  std::optional<MdmIdentity> identity;
  std::optional<Timestamp> identity_asked_at;  ///< when that list was asked for, by our clock
  std::optional<IdentityRenewal> renewal;

  Timestamp first_seen_at;
  Timestamp last_seen_at;
  /// Last Authenticate or CheckOut, by the upstream's clock; nothing that was said before it
  /// counts.
  std::optional<Timestamp> authenticated_at;
  std::optional<Timestamp> enrolled_at;  ///< last TokenUpdate, by the upstream's clock
  /// By our clock; empty when the enrollment is older than what Director knows of it.
  std::optional<Timestamp> epoch_began_at;
  /// When it last answered each question of this epoch: upstream's clock, not before we asked.
  PerInventoryKind<std::optional<Timestamp>> inventory_at;

  std::optional<Timestamp> report_wanted_at;  ///< a ProfileList newer than this is wanted

  /// Pushes since the device was last heard from; a hint that it is on the network sets them back
  /// to one.
  int push_count = 0;
  std::optional<Timestamp> pushed_at;
  bool push_unregistered = false;  ///< Apple said that the token is dead, and no poll since

  /// True when a poll of this device must make it due at once (changes wait for it).
  bool wants_wake = false;

  friend bool operator==(const Enrollment&, const Enrollment&) = default;
};

/// What a device should have, or should not have.
enum class Presence { kPresent, kAbsent };
std::string_view PresenceName(Presence presence);
Result<Presence> ParsePresence(std::string_view name);

/// How narrowly an assignment aims; the narrowest wins.
enum class TargetKind { kAll, kDevice };
std::string_view TargetKindName(TargetKind kind);
Result<TargetKind> ParseTargetKind(std::string_view name);

/// One assignment that concerns an enrollment.
struct DesiredAssignment {
  std::int64_t assignment_id = 0;
  PayloadIdentifier payload_identifier;
  Presence presence = Presence::kPresent;
  PayloadUuid payload_uuid;  ///< the revision; empty when absent
  /// Whom that makes the device ask for a certificate: host and port; empty when nobody
  std::string certificate_authority;
  TargetKind target_kind = TargetKind::kAll;
  std::string
      target;  ///< UDID, serial number or enrollment id as the owner wrote it; empty for all
  /// Absent only: the owner names a profile that Director did not install and wants it removed all
  /// the same.
  bool adopt = false;
  std::string source;
  Timestamp assigned_at;
  /// A device in Setup Assistant is held for this item and those like it, and for no other.
  bool during_setup = false;
  /// Apps only: brought to devices that enroll after the assignment, once in an enrollment.
  bool at_enrollment_only = false;
  std::string request_type;  ///< of the command that brings the revision; empty when absent
  std::string app_version;   ///< of an app: this one or a newer one; may be empty
  /// Absent only: PayloadUUIDs of every revision ever stored under this identifier. A profile that
  /// shows one of them is ours.
  std::vector<PayloadUuid> known_payload_uuids;
  friend bool operator==(const DesiredAssignment&, const DesiredAssignment&) = default;
};

/// The state of one item on one enrollment, for people and for counting.
enum class ItemState {
  kPending,       ///< something is to be done and has not been sent
  kInFlight,      ///< a command is on its way
  kNotNow,        ///< the device said NotNow; the command waits in the MDM's queue
  kAcknowledged,  ///< the device accepted it; no report has shown it yet
  kVerified,      ///< the device itself reported that it is as desired
  kBackingOff,    ///< failed; tried again later by itself
  kParked,        ///< failed for good; waits for a change or an operator
  kBlocked,       ///< a safety rule forbids it, or the enrollment takes no commands
};
std::string_view ItemStateName(ItemState state);
Result<ItemState> ParseItemState(std::string_view name);
/// Every state, in the order above.
const std::vector<ItemState>& AllItemStates();

/// History and standing of one item on one enrollment. The reconciler writes it; the store keeps
/// it.
struct ItemRecord {
  PayloadIdentifier payload_identifier;
  Presence presence = Presence::kPresent;
  PayloadUuid payload_uuid;
  std::int64_t epoch = 0;

  ItemState state = ItemState::kPending;
  std::string reason;  ///< a sentence for an administrator
  Timestamp state_since;
  std::optional<Timestamp> due_at;  ///< when it is looked at again; empty: with the enrollment

  int attempts = 0;  ///< failed attempts at this target; NotNow is none
  std::optional<Timestamp> next_attempt_at;
  std::optional<Timestamp> acknowledged_at;
  std::optional<Timestamp>
      settled_at;  ///< last final answer to a command for this item; older reports prove nothing
  std::optional<Timestamp> verified_at;  ///< the report that first showed it right, this time

  bool parked = false;
  std::string parked_build;  ///< OS build when it was parked; a newer one unparks
  std::string last_error;    ///< Apple's words with domain and code; empty when none
  std::optional<Timestamp> last_error_at;

  Timestamp sends_since;  ///< start of the counting day
  int sends = 0;          ///< state-changing commands in that day

  /// OS build under which the device last answered for it or was first seen with it; empty: not
  /// known.
  std::string installed_build;
  /// Profiles: when it is installed again because the build has grown since.
  std::optional<Timestamp> reinstall_at;
  friend bool operator==(const ItemRecord&, const ItemRecord&) = default;
};

/// Where a command stands.
enum class IntentState {
  kJournaled,     ///< written down, not known to be sent
  kSent,          ///< in the MDM's queue
  kUnknown,       ///< the MDM's answer was lost; perhaps in its queue
  kNotNow,        ///< the device said NotNow
  kAcknowledged,  ///< final
  kDenied,        ///< final: VerifyRecoveryLock was answered, and it is another password
  kFailed,        ///< final: Error or CommandFormatError
  kNotSent,       ///< final: surely not in the queue
  kRefused,       ///< final: the MDM refused it
  kLost,          ///< final: given up waiting
};
std::string_view IntentStateName(IntentState state);
Result<IntentState> ParseIntentState(std::string_view name);
/// True while an answer may still come.
bool IsOpen(IntentState state);

/// A command for one enrollment, journaled before it is sent.
struct Intent {
  CommandUuid command_uuid;
  std::string request_type;
  PayloadIdentifier payload_identifier;  ///< empty for questions
  PayloadUuid payload_uuid;              ///< of what is installed; empty for removals
  std::int64_t epoch = 0;
  IntentState state = IntentState::kJournaled;
  Timestamp journaled_at;
  std::optional<Timestamp> answered_at;  ///< the upstream's time of the final answer
  int not_now_count = 0;
  std::optional<Timestamp> not_now_at;
  ErrorClass error_class = ErrorClass::kUnknown;  ///< for kFailed and kRefused
  std::string error;  ///< Apple's or the server's words; for kFailed, kRefused, kNotSent
  friend bool operator==(const Intent&, const Intent&) = default;
};

/// When a device said what it has.
struct DeviceReport {
  std::int64_t epoch = 0;
  Timestamp reported_at;  ///< the upstream's time
  std::optional<Timestamp>
      asked_at;  ///< when our question was journaled; empty when somebody else asked
  friend bool operator==(const DeviceReport&, const DeviceReport&) = default;
};

/// A device's last ProfileList.
struct ProfileListReport : DeviceReport {
  std::vector<ReportedProfile> profiles;
  friend bool operator==(const ProfileListReport&, const ProfileListReport&) = default;
};

/// A device's last InstalledApplicationList that we asked for: others may have asked for a part.
struct AppListReport : DeviceReport {
  std::vector<ReportedApp> apps;
  friend bool operator==(const AppListReport&, const AppListReport&) = default;
};

/// A device's last ManagedApplicationList that we asked for.
struct ManagedAppListReport : DeviceReport {
  std::vector<ReportedManagedApp> apps;
  friend bool operator==(const ManagedAppListReport&, const ManagedAppListReport&) = default;
};

/// The device spoke at this time or later, however far the MDM server's clock is behind ours:
/// nothing answers a question before it was asked.
Timestamp SeenAt(const DeviceReport& report);
/// True when the report's time is so far ahead that our clock must have been set back since. The
/// MDM server's clock may be five minutes ahead; more is cut when its webhook is read.
inline bool IsOfAnotherTime(Timestamp reported_at, Timestamp now) {
  return reported_at > now + std::chrono::minutes(10);
}
inline bool IsOfAnotherTime(const DeviceReport& report, Timestamp now) {
  return IsOfAnotherTime(SeenAt(report), now);
}
/// An event that took longer than this through the webhook does not prove that the device is awake.
inline constexpr Duration kLateEventAfter = std::chrono::minutes(1);
/// True when a time by our own clock was taken before that was set back.
inline bool IsAhead(Timestamp at, Timestamp now) { return at > now + kLateEventAfter; }

/// Everything that a decision rests on. One enrollment; no other input exists.
struct Snapshot {
  Enrollment enrollment;
  std::vector<DesiredAssignment> assignments;  ///< every one that matches this enrollment
  std::optional<ProfileListReport> profile_list;
  std::optional<AppListReport> app_list;                 ///< only when an app is assigned
  std::optional<ManagedAppListReport> managed_app_list;  ///< the same
  std::vector<ItemRecord> items;
  std::vector<Intent> intents;       ///< open ones, and final ones that no plan has digested
  std::optional<Proposal> proposal;  ///< the open one
  std::vector<Proposal> answered;    ///< in ProposalState::kAnswered, oldest first
  /// Set while the MDM server is known to be unreachable: nothing is sent before this time.
  std::optional<Timestamp> upstream_retry_at;
  std::optional<Timestamp> upstream_away_since;  ///< first failure of this absence
  std::string upstream_problem;                  ///< the server's words, for the explanation
  bool upstream_pushes = false;  ///< the MDM server pushes by itself with each command
  /// Set while the MDM server is sent as much as it may be: when this enrollment's turn comes.
  std::optional<Timestamp> turn_at;
  /// The same for certificate authorities that are asked as often as they may be.
  std::map<std::string, Timestamp> certificate_turns;
  friend bool operator==(const Snapshot&, const Snapshot&) = default;
};

/// Puts a proposal that is open or answered in its place.
void AddUnfinished(Proposal proposal, Snapshot& snapshot);

/// The report that shows items of this one's kind; null when there is none.
const DeviceReport* FindReport(const Snapshot& snapshot, const PayloadIdentifier& item);

/// The one enrollment profile in the report of this epoch; null when the report tells none, or more
/// than one.
const ReportedProfile* FindEnrollmentProfile(const Snapshot& snapshot);

/// A day; a week for the list of apps, which is long and which a busy Mac puts off; zero for the
/// list of managed apps, which is asked for while an app is under way and has no rhythm of its own.
PerInventoryKind<Duration> DefaultInventoryIntervals();

/// How identities of devices are told and renewed.
struct RenewalSettings {
  /// Of the certificates that are identities. Empty: nothing is known about any.
  std::vector<std::string> issuers;
  /// Whether there are enrollment profiles to renew with; else one is only told when it ends.
  bool has_profiles = false;
  Duration renew_before = std::chrono::hours(24 * 90);
  Duration retry_delay = std::chrono::hours(6);  ///< the first one; four times longer each time
  int attempts_max = 3;
  /// From the device's word until its list must show the new identity.
  Duration proof_time_max = std::chrono::hours(1);
};

/// The knobs of the decision and its loop. Defaults are for production.
struct Settings {
  /// What a worker took is left alone for so long when its director died; longer than its slowest
  /// step: 50-id requests with their time-outs.
  Duration claim_lease = std::chrono::minutes(10);
  Duration awake_window =
      std::chrono::minutes(2);  ///< a device heard from within this time can be sent changes
  Duration token_update_wait =
      std::chrono::minutes(10);  ///< after Authenticate, before the device is asked anyway
  Duration profile_list_interval = std::chrono::hours(6);
  /// How old each answer may get; zero: never asked.
  PerInventoryKind<Duration> inventory_interval = DefaultInventoryIntervals();
  /// Whether devices in Setup Assistant are let go by us, and how long they wait for their
  /// profiles.
  bool device_configured = true;
  Duration setup_time_max = std::chrono::minutes(15);
  Duration removal_evidence_age_max = std::chrono::minutes(15);
  int commands_per_session_max = 20;  ///< state-changing commands under way per enrollment

  Duration retry_delay_min = std::chrono::minutes(1);
  Duration retry_delay_max = std::chrono::hours(6);
  Duration server_retry_delay_min = std::chrono::minutes(15);
  int unknown_attempts_max = 3;
  int sends_per_day_max = 12;  ///< state-changing commands per item and day

  /// Which profiles are installed again when the OS build has grown, and over how long that is
  /// spread.
  bool reinstall_all = false;
  std::vector<PayloadIdentifier> reinstall_named;
  Duration reinstall_spread = std::chrono::hours(6);

  Duration app_install_time_max =
      std::chrono::hours(1);  ///< from the device's answer until its list must show the app
  Duration app_retry_delay = std::chrono::hours(24);
  int app_attempts_max = 3;

  RenewalSettings renewal;

  Duration push_delay_min = std::chrono::minutes(10);
  Duration push_delay_max = std::chrono::hours(24);
  Duration not_now_push_delay_min = std::chrono::minutes(15);

  Duration question_delay_min =
      std::chrono::minutes(1);  ///< between two lists of one kind that follow no change

  Duration lost_after = std::chrono::minutes(
      10);  ///< heard from this long after a command without an answer to it: lost
  Duration not_now_lost_after = std::chrono::hours(6);
  /// A poll fetches what waited for it; the answer is given this long before the command is taken
  /// as lost.
  Duration answer_time_max = std::chrono::seconds(30);
};

}  // namespace director
