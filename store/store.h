#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "mdm/item_definition.h"
#include "reconciler/plan.h"
#include "reconciler/state.h"
#include "store/records.h"

namespace director {

/// Reads within one consistent view; in a `StoreWriter` only what it has claimed, loaded or changed
/// stays as it is. Errors everywhere: kUnavailable (database out of reach, disk),
/// kCorrupt (a row that cannot be read back); kNotFound only where it is named.
class StoreReader {
 public:
  virtual ~StoreReader() = default;

  /// Returns the known ones among `ids`, in any order.
  virtual Result<std::vector<Enrollment>> LoadEnrollments(const std::vector<EnrollmentId>& ids) = 0;
  /// Those among `ids` whose poll is no news, in any order: they are enrolled, were last seen after
  /// `since` and not after `until`, answer no push and nothing waits for them to poll.
  virtual Result<std::vector<EnrollmentId>> FindQuiet(const std::vector<EnrollmentId>& ids,
                                                      Timestamp since, Timestamp until) = 0;
  /// Returns the known ones among `keys` with their enrollment, final ones included.
  virtual Result<std::vector<std::pair<EnrollmentId, Intent>>> LoadIntents(
      const std::vector<std::pair<EnrollmentId, CommandUuid>>& keys) = 0;
  /// Up to `limit` commands after `after`, by enrollment and CommandUUID; an empty `after` begins.
  /// Closed ones are there until they are pruned. One whose CommandUUID changes meanwhile may be
  /// missed or come twice.
  virtual Result<std::vector<IntentRow>> ListIntents(IntentFilter filter, const IntentKey& after,
                                                     std::size_t limit) = 0;
  /// Of the known ones among `ids`. `since` is when they were made due.
  virtual Result<std::map<EnrollmentId, Dispatching>> LoadDispatching(
      const std::vector<EnrollmentId>& ids, Timestamp since) = 0;
  /// Everything that `Reconcile` needs but the upstream's health, of the known ones among `ids`, in
  /// any order. kCorrupt when one of them cannot be read.
  /// An assignment matches when its channel fits and it is for all or its target is the UDID,
  /// serial number (of this enrollment or of the device channel it belongs to) or enrollment id (of
  /// either), letter case aside.
  virtual Result<std::vector<Snapshot>> LoadSnapshots(const std::vector<EnrollmentId>& ids) = 0;
  /// kNotFound for an unknown id.
  Result<Snapshot> LoadSnapshot(const EnrollmentId& id);
  /// The latest answers of these kinds that are kept, whatever their epoch.
  virtual Result<Inventory> LoadInventory(const std::vector<EnrollmentId>& ids,
                                          const std::vector<InventoryKind>& kinds) = 0;
  /// Every one of these devices.
  virtual Result<ImportedAnswers> LoadImported(const std::vector<EnrollmentId>& ids) = 0;
  /// When `ClaimDue` finds something, if nothing happens before: the earliest due time of those
  /// that nobody holds, the earliest end of a lease or the time of a change for everybody that has
  /// not reached all of them. Empty when there is neither.
  virtual Result<std::optional<Timestamp>> NextDueAt() = 0;
  /// Enrollment ids for what a person calls a device: enrollment id, UDID or serial number, letter
  /// case aside. Device channel first.
  virtual Result<std::vector<EnrollmentId>> FindEnrollments(const std::string& name) = 0;

  virtual Result<std::vector<EnrollmentRow>> ListEnrollments(const EnrollmentFilter& filter,
                                                             const PageRequest& page) = 0;
  virtual Result<FleetCounts> CountFleet(Timestamp now) = 0;

  /// kNotFound when there is none. With its content.
  virtual Result<Revision> LoadRevision(const PayloadUuid& payload_uuid) = 0;
  /// Newest first within an identifier, identifiers ascending. `after` is the payload_uuid of the
  /// last row before.
  virtual Result<std::vector<Revision>> ListRevisions(const RevisionFilter& filter,
                                                      const PageRequest& page) = 0;
  /// Ordered by assignment_id.
  virtual Result<std::vector<Assignment>> ListAssignments(const AssignmentFilter& filter) = 0;

  /// kNotFound when there is none.
  virtual Result<Proposal> LoadProposal(std::int64_t proposal_id) = 0;
  /// As they were added or saved. kNotFound as above.
  virtual Result<SealedSecrets> LoadSealedSecrets(std::int64_t proposal_id) = 0;
  /// The one whose command was sent last under this CommandUUID, however it stands. kNotFound.
  virtual Result<Proposal> FindProposal(const EnrollmentId& id,
                                        const CommandUuid& command_uuid) = 0;
  /// Newest first. `after` is a proposal_id.
  virtual Result<std::vector<Proposal>> ListProposals(const ProposalFilter& filter,
                                                      const PageRequest& page) = 0;
  /// How many were created after `since`, whatever became of them.
  virtual Result<std::int64_t> CountProposalsSince(Timestamp since) = 0;

  /// The topic of the pushes of one of the server's devices; empty when none has told it.
  virtual Result<std::string> FindTopic(const UpstreamName& upstream) = 0;

  /// Empty when nothing is pinned for this enrollment profile of the MDM server.
  virtual Result<std::optional<EnrollmentProfilePin>> LoadPin(
      const UpstreamName& upstream, const PayloadIdentifier& payload_identifier) = 0;

  /// Newest first; `enrollment_id` empty for all. `after` is a happening_id.
  virtual Result<std::vector<Happening>> ListHappenings(const EnrollmentId& enrollment_id,
                                                        const PageRequest& page) = 0;
  /// Newest first, without or with bodies as stored.
  virtual Result<std::vector<DeadLetter>> ListDeadLetters(const PageRequest& page) = 0;
};

/// Writes within one transaction: all of it happens or none. kInvalid from any of them means that
/// the database refuses a value (an empty identifier, an unknown enrollment or revision, a
/// CommandUUID in use); the transaction can then only fail, whatever `body` returns.
class StoreWriter : public StoreReader {
 public:
  // What devices say.
  /// Creates or replaces the facts. A new enrollment is due at its `last_seen_at`; otherwise due
  /// time and lease stay, but for those of `due_at`, which become due as by `MarkDue`, whether they
  /// are among `enrollments` or not.
  virtual Status SaveEnrollments(const std::vector<Enrollment>& enrollments,
                                 const std::map<EnrollmentId, Timestamp>& due_at) = 0;
  Status SaveEnrollments(const std::vector<Enrollment>& enrollments) {
    return SaveEnrollments(enrollments, {});
  }
  /// Creates or replaces journaled intents by (enrollment, command_uuid). One that a plan has
  /// digested stays digested.
  virtual Status SaveIntents(const std::vector<std::pair<EnrollmentId, Intent>>& intents) = 0;
  /// Closes every open intent of the enrollments as lost: the MDM dropped its queue. No plan
  /// digests them; later answers stay without effect.
  virtual Status LoseOpenIntents(const std::vector<EnrollmentId>& ids, Timestamp now) = 0;
  /// Keeps a report unless a newer one (by epoch, then `reported_at`) of the same enrollment is
  /// kept already; one of another time (`IsOfAnotherTime`) always gives way. Equal content costs no
  /// rewrite of the body.
  virtual Status SaveReports(const std::vector<std::pair<EnrollmentId, ProfileListReport>>& reports,
                             Timestamp now) = 0;
  /// The same for lists of apps.
  virtual Status SaveAppLists(const std::vector<std::pair<EnrollmentId, AppListReport>>& reports,
                              Timestamp now) = 0;
  virtual Status SaveManagedAppLists(
      const std::vector<std::pair<EnrollmentId, ManagedAppListReport>>& reports, Timestamp now) = 0;
  /// Keeps each answer in place of the one before. Equal content costs no rewrite of the answer.
  virtual Status SaveInventory(const Inventory& inventory) = 0;
  /// Keeps each in place of the one before, whatever its age. Requires: the enrollments are known.
  virtual Status SaveImported(const ImportedAnswers& answers) = 0;
  /// Makes each enrollment due at its time at the latest.
  virtual Status MarkDue(const std::map<EnrollmentId, Timestamp>& due_at) = 0;
  virtual Status AddHappenings(const std::vector<Happening>& happenings) = 0;
  virtual Status AddDeadLetters(const std::vector<DeadLetter>& dead_letters) = 0;

  // The loop.
  /// Takes up to `limit` enrollments for this transaction: those that nobody holds and whose due
  /// time has come, oldest first. Nothing about them changes until its end, and nobody else claims
  /// them. Who held a lease that ran out is taken for dead: of the commands that it journaled
  /// nobody knows whether they went out (kUnknown), and its enrollments are due. What is claimed
  /// and then neither committed nor set aside stays due.
  /// Before it looks, what changed for everybody makes the next `kSpreadMax` of them due, unless a
  /// lease had run out.
  virtual Result<std::vector<EnrollmentId>> ClaimDue(Timestamp now, std::size_t limit) = 0;
  /// Stores plans of different enrollments that this transaction has claimed: journals their
  /// commands as kJournaled, stores items and proposals, counts the pushes, sets the next due
  /// times. The enrollments of one lease are held until `EndLease`, or until `lease_until` when
  /// that never comes, so that nobody else sends to them meanwhile.
  virtual Status CommitPlans(const std::vector<PlanCommit>& commits, Timestamp lease_until,
                             Timestamp now) = 0;
  /// Claimed enrollments that nothing is decided for are due again at `due_at`.
  virtual Status SetAside(const std::vector<EnrollmentId>& ids, Timestamp due_at) = 0;
  /// Ends a lease after its commands are sent. What it journaled and what is still kJournaled then
  /// is kSent: with an outcome of kSent nobody needs `RecordDispatch`. False when it ran out and
  /// its holder was taken for dead: then every outcome is news. When something changed meanwhile,
  /// an enrollment is due as that said.
  virtual Result<bool> EndLease(std::int64_t lease_id) = 0;
  /// Journals a command anew under another CommandUUID before it is sent again in smaller batches.
  /// Only intents still kJournaled move.
  virtual Status MoveIntents(const CommandUuid& from, const CommandUuid& to,
                             const std::vector<EnrollmentId>& ids) = 0;
  /// Takes the outcome into intents that are still kJournaled or kUnknown; an answer of the device
  /// that came first stays. Outcomes other than kSent make the enrollment due.
  virtual Status RecordDispatch(const std::vector<DispatchOutcome>& outcomes, Timestamp now) = 0;
  /// Remembers that the push tokens are dead; makes nobody due.
  virtual Status MarkUnregistered(const std::vector<EnrollmentId>& ids) = 0;
  /// After a start of the only process: who held a lease is dead, as in `ClaimDue`.
  virtual Status RecoverJournaled(Timestamp now) = 0;

  // What owners want.
  /// For who changes assignments or adds proposals and looks at what is there before: nobody else
  /// changes or adds any until the end. To be called first.
  virtual Status LockDesired() = 0;
  /// Stores a revision; an existing one with the same payload_uuid stays as it is. True when it is
  /// new.
  virtual Result<bool> SaveRevision(const Revision& revision) = 0;
  /// Creates or replaces by the unique key (letter case of the target aside; the assignment_id
  /// stays), makes every enrollment that it may concern due; returns the assignment_id. Everybody
  /// on a channel becomes due little by little, by `ClaimDue`: whoever assigns something to 100,000
  /// devices waits for none of them, nor do their events.
  virtual Result<std::int64_t> SaveAssignment(const Assignment& assignment, Timestamp now) = 0;
  /// kNotFound when it does not exist. Makes every enrollment that it concerned due, as
  /// `SaveAssignment` does.
  virtual Status DeleteAssignment(std::int64_t assignment_id, Timestamp now) = 0;
  /// Forgets what became of an item's commands so far (unparks it) and makes the enrollment due.
  /// kNotFound when there is no such item.
  virtual Status RetryItem(const EnrollmentId& id, const PayloadIdentifier& identifier,
                           Timestamp now) = 0;

  /// Adds a proposal with its sealed secrets, makes the enrollment due at its
  /// `created_at` and returns the proposal_id, which is never used twice. kConflict when the
  /// enrollment has an open one.
  virtual Result<std::int64_t> AddProposal(const Proposal& proposal,
                                           const SealedSecrets& sealed) = 0;
  /// Stores how a proposal stands; who and what it was proposed for stays. Load its
  /// enrollment first, so that nobody decides about it meanwhile.
  virtual Status SaveProposal(const Proposal& proposal) = 0;
  /// Replaces all sealed secrets of a proposal: load them in the same transaction. Whether it
  /// `has_secret` follows from it.
  virtual Status SaveSealedSecrets(std::int64_t proposal_id, const SealedSecrets& sealed) = 0;

  /// Replaces what is pinned for this enrollment profile of an MDM server unless that is proven or
  /// has the same content.
  virtual Status SavePin(const EnrollmentProfilePin& pin) = 0;
  /// A renewal with this enrollment profile that began at `began_at` is proven, and with it what
  /// was pinned before.
  virtual Status ProvePin(const UpstreamName& upstream, const PayloadIdentifier& payload_identifier,
                          Timestamp began_at) = 0;
  /// An empty `payload_identifier` is all of the MDM server's. kNotFound when nothing is pinned.
  virtual Status DeletePins(const UpstreamName& upstream,
                            const PayloadIdentifier& payload_identifier) = 0;

  /// Deletes closed intents older than `keep`, proposals whose end is older than `kKeepProposals`,
  /// and the oldest happenings and dead letters beyond their bounds; at most `limit` rows of each.
  virtual Status Prune(Timestamp now, Duration keep, std::size_t limit) = 0;

  /// Writes without changing anything: fails when nothing can be stored. The failure may come only
  /// with the commit.
  virtual Status CheckWritable() = 0;
};

/// How many a claim makes due, at most, of those whom a change for everybody concerns.
inline constexpr std::int64_t kSpreadMax = 1'000;

inline constexpr std::int64_t kHappeningsMax = 100'000;
inline constexpr std::int64_t kDeadLettersMax = 1'000;
/// The secret of a device, such as the PIN of a locked Mac, may be asked for long after.
inline constexpr Duration kKeepProposals = std::chrono::hours(24 * 730);

/// Where Director's state lives. Thread-safe.
class Store {
 public:
  virtual ~Store() = default;

  /// Runs `body` in one transaction and commits when it succeeds; any error rolls back and is
  /// returned. After an OK return the change survives a crash of the process and, on disk, of the
  /// machine. Writers wait for each other (at most 10 s, then kUnavailable). Neither call may be
  /// made from within a `body`.
  ///
  /// `body` may run several times, each time in a new transaction, when another director was in its
  /// way: what it leaves behind outside must be that of its last run. A connection that is lost
  /// during the commit gives kUnavailable although the change may have happened.
  virtual Status Write(const std::function<Status(StoreWriter&)>& body) = 0;
  virtual Status Read(const std::function<Status(StoreReader&)>& body) = 0;
  /// `Read` of a `body` that calls `FindQuiet` and nothing else: on PostgreSQL it waits for one
  /// answer instead of three.
  virtual Status ReadOnce(const std::function<Status(StoreReader&)>& body) = 0;
};

}  // namespace director
