#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "mdm/item_definition.h"
#include "reconciler/plan.h"
#include "reconciler/state.h"

namespace director {

/// One content of an item: a profile ready to be signed and sent, or the definition of an app or of
/// accounts (mdm/item_definition.h).
struct Revision {
  PayloadUuid payload_uuid;
  PayloadIdentifier payload_identifier;
  std::string display_name;
  std::string payload_scope;
  std::vector<std::string> payload_types;
  std::string certificate_authority;  ///< whom it makes the device ask; empty when nobody
  /// PayloadUUID before Director put in its own; may be empty.
  std::string original_payload_uuid;
  std::string source;  ///< who uploaded it first
  Timestamp created_at;
  std::int64_t size_bytes = 0;
  /// Of the command that brings it to a device.
  std::string request_type = std::string(request_type::kInstallProfile);
  std::string app_version;  ///< of an app; may be empty
  std::string content;      ///< the mobileconfig or the definition; empty in lists
  friend bool operator==(const Revision&, const Revision&) = default;
};

/// Which channel an assignment is for: profiles go to device channels unless the owner says user.
enum class AssignmentChannel { kDevice, kUser };
std::string_view AssignmentChannelName(AssignmentChannel channel);
Result<AssignmentChannel> ParseAssignmentChannel(std::string_view name);

/// Who shall have, or not have, an item. Unique by (payload_identifier, channel, target_kind,
/// target).
struct Assignment {
  std::int64_t assignment_id = 0;
  PayloadIdentifier payload_identifier;
  AssignmentChannel channel = AssignmentChannel::kDevice;
  TargetKind target_kind = TargetKind::kAll;
  std::string target;  ///< UDID, serial number or enrollment id; empty for all
  Presence presence = Presence::kPresent;
  PayloadUuid payload_uuid;  ///< empty when absent
  bool adopt = false;
  std::string source;
  Timestamp assigned_at;
  bool during_setup = false;        ///< see `DesiredAssignment`
  bool at_enrollment_only = false;  ///< the same
  friend bool operator==(const Assignment&, const Assignment&) = default;
};

/// What is kept of a device's answer to a question about itself.
struct InventoryRecord {
  std::int64_t epoch = 0;
  Timestamp reported_at;  ///< the upstream's time
  std::string answer;     ///< JSON, see `EncodeAnswer` in store/report_json.h
  friend bool operator==(const InventoryRecord&, const InventoryRecord&) = default;
};
using Inventory = std::map<std::pair<EnrollmentId, InventoryKind>, InventoryRecord>;

/// What MDMDirector last heard of devices, by request type: ProfileList (as of
/// `EncodeReportedProfiles`), DeviceInformation, SecurityInfo, CertificateList. Shown until the
/// device answers Director; no decision reads it. `epoch` is the enrollment's at the import.
using ImportedAnswers = std::map<std::pair<EnrollmentId, std::string>, InventoryRecord>;

/// A line of the list of recent events.
struct Happening {
  std::int64_t happening_id = 0;
  Timestamp at;
  EnrollmentId enrollment_id;  ///< empty when it is about no single enrollment
  std::string kind;            ///< one word: device, command, desired, operator, dead_letter
  std::string text;
  friend bool operator==(const Happening&, const Happening&) = default;
};

/// Something that came in and could not be read.
struct DeadLetter {
  std::int64_t dead_letter_id = 0;
  Timestamp received_at;
  UpstreamName upstream;
  std::string reason;
  std::string
      body;  ///< at most `kDeadLetterBodyMaxBytes`; holds whatever was sent: show to operators only
  std::int64_t size_bytes = 0;  ///< of the whole body
  friend bool operator==(const DeadLetter&, const DeadLetter&) = default;
};
inline constexpr std::size_t kDeadLetterBodyMaxBytes = 64 * 1024;

/// The secrets of a proposal as they are stored; empty without them.
struct SealedSecrets {
  std::string secret{};  ///< `Proposal::has_secret`
  /// The password that the device wants to see first: SetRecoveryLock, RotateFileVaultKey.
  std::string current{};
  /// RotateFileVaultKey: what `MakeReplyIdentity` made.
  std::string reply_identity{};
  /// RotateFileVaultKey: what the device answered with, as base64; only `reply_identity` opens it.
  std::string encrypted_key{};
  friend bool operator==(const SealedSecrets&, const SealedSecrets&) = default;
};

/// Which proposals a list shows; empty fields do not filter.
struct ProposalFilter {
  EnrollmentId enrollment_id = {};
  bool only_open = false;  ///< also those that are answered: what is not finished
};

/// Unfinished proposals of one kind in one state.
struct ProposalCount {
  ProposalKind kind = ProposalKind::kDeviceLock;
  ProposalState state = ProposalState::kWaiting;
  std::int64_t count = 0;
  friend bool operator==(const ProposalCount&, const ProposalCount&) = default;
};

/// A planned command with the CommandUUID under which it is journaled.
struct JournaledCommand {
  PlannedCommand command;
  CommandUuid command_uuid;
};

/// A plan to be stored: records, closed intents, new intents, next due time, push.
struct PlanCommit {
  EnrollmentId enrollment_id;
  UpstreamName upstream;                    ///< where its commands go
  std::vector<ItemRecord> items_before;     ///< as the plan found them; what did not change stays
  std::optional<Proposal> proposal_before;  ///< the same
  Plan plan;
  std::int64_t epoch = 0;
  std::vector<JournaledCommand> commands;  ///< one for each of `plan.commands`, in order
  /// Of the enrollment profile that the device has; empty when its report does not tell.
  PayloadIdentifier enrollment_profile{};
  /// Who sends the commands and keeps the secrets: a random number above 0, the same in all plans
  /// of one lease; 0 without either.
  std::int64_t lease_id = 0;
};

/// kInvalid unless each planned command has one CommandUUID, and commands a lease.
Status CheckCommands(const PlanCommit& commit);
/// Every lease that the plans name, once.
std::set<std::int64_t> LeasesOf(const std::vector<PlanCommit>& commits);

/// What became of a journaled command at the MDM server.
struct DispatchOutcome {
  EnrollmentId enrollment_id;
  CommandUuid command_uuid;
  IntentState state = IntentState::kSent;  ///< kSent, kUnknown, kNotSent or kRefused
  std::string error;
};

/// Filters for a list of enrollments; empty fields do not filter.
struct EnrollmentFilter {
  std::optional<EnrollmentStatus> status = {};
  std::string serial_number = {};
  std::string udid = {};
  PayloadIdentifier payload_identifier =
      {};  ///< with `item_state`: those whose item is in that state
  std::optional<ItemState> item_state = {};  ///< without identifier: any item
  /// Half enrollments: those whose next step has been missing since then or longer.
  std::optional<Timestamp> missing_since = {};
};

/// Filters for a list of revisions; empty fields do not filter.
struct RevisionFilter {
  PayloadIdentifier payload_identifier = {};
  std::optional<ItemKind> kind = {};
};

/// Filters for a list of assignments; empty fields do not filter.
struct AssignmentFilter {
  PayloadIdentifier payload_identifier = {};
  std::optional<TargetKind> target_kind = {};
  std::string target = {};  ///< as the owner wrote it, letter case aside
};

/// Which commands of the journal a list shows.
enum class IntentFilter {
  kAll,
  kOpen,    ///< an answer may still come
  kFailed,  ///< kFailed and kRefused, which always have words in `error`
};

/// Names a command of one enrollment.
using IntentKey = std::pair<EnrollmentId, CommandUuid>;

/// A command of the journal, open or kept after it was closed.
struct IntentRow {
  EnrollmentId enrollment_id;
  std::string udid;  ///< of the enrollment; empty when it has told none
  Intent intent;
  std::optional<Timestamp> closed_at;  ///< when a plan had digested it
  std::string closed_reason;           ///< may be empty
  friend bool operator==(const IntentRow&, const IntentRow&) = default;
};

/// How far an enrollment is with what it was to be sent from a moment on.
struct Dispatching {
  bool is_decided = false;  ///< what was due at that moment has been decided on since
  // Commands journaled since:
  std::int64_t waiting = 0;  ///< the MDM server has said nothing of them
  std::int64_t taken = 0;    ///< it has them, or had
  std::int64_t failed = 0;   ///< changes (to an item) that it did not surely take
  friend bool operator==(const Dispatching&, const Dispatching&) = default;
};

/// A page of a list: rows after `after` in the order of the key.
struct PageRequest {
  std::string after;        ///< key of the last row of the page before; empty for the first page
  std::size_t limit = 100;  ///< 1 .. 1000
};

struct EnrollmentRow {
  Enrollment enrollment;
  Timestamp due_at;
  std::map<ItemState, std::int64_t> item_counts;
  friend bool operator==(const EnrollmentRow&, const EnrollmentRow&) = default;
};

struct ItemCount {
  PayloadIdentifier payload_identifier;
  Presence presence = Presence::kPresent;
  ItemState state = ItemState::kPending;
  std::int64_t count = 0;
  friend bool operator==(const ItemCount&, const ItemCount&) = default;
};

/// The item that has waited longest without being verified; what a safety rule blocks waits for
/// nothing.
struct OldestWaiting {
  EnrollmentId enrollment_id;
  PayloadIdentifier payload_identifier;
  ItemState state = ItemState::kPending;
  Timestamp since;
  std::string reason;
  friend bool operator==(const OldestWaiting&, const OldestWaiting&) = default;
};

/// When identities of devices end.
enum class IdentityEnd { kExpired, kIn7Days, kIn30Days, kIn90Days, kLater, kUnknown };
inline constexpr std::array kIdentityEnds = {IdentityEnd::kExpired,  IdentityEnd::kIn7Days,
                                             IdentityEnd::kIn30Days, IdentityEnd::kIn90Days,
                                             IdentityEnd::kLater,    IdentityEnd::kUnknown};
/// `expired`, `7d`, `30d`, `90d`, `later`, `unknown`.
std::string_view IdentityEndName(IdentityEnd end);
/// kInvalid for other words.
Result<IdentityEnd> ParseIdentityEnd(std::string_view name);

struct FleetCounts {
  std::map<EnrollmentStatus, std::int64_t> enrollments;
  std::vector<ItemCount> items;  ///< by identifier, then state
  std::optional<OldestWaiting> oldest_waiting;
  std::vector<ProposalCount> proposals;  ///< unfinished ones, by kind, then state
  std::int64_t due = 0;                  ///< enrollments whose due time has come
  std::int64_t dead_letters = 0;
  /// Half enrollments, by the step that has been missing for `kEnrollmentStepMax`.
  std::map<EnrollmentStep, std::int64_t> half_enrollments;
  /// Device channels that are enrolled, each under the first word that fits.
  std::map<IdentityEnd, std::int64_t> identities;
  friend bool operator==(const FleetCounts&, const FleetCounts&) = default;
};

/// What an enrollment profile of one MDM server must keep when it is sent again: the keys of the
/// first one under its PayloadIdentifier with which a device renewed its identity
/// (director/renewals.h says in which form).
struct EnrollmentProfilePin {
  UpstreamName upstream;
  PayloadIdentifier payload_identifier;  ///< of the profile
  std::string content;
  Timestamp pinned_at;     ///< when this content was sent first
  bool is_proven = false;  ///< no device has shown yet that it took it; until then it gives way
  friend bool operator==(const EnrollmentProfilePin&, const EnrollmentProfilePin&) = default;
};

}  // namespace director
