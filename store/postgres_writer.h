#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "store/postgres_reader.h"

namespace director {

/// Every write of the port on one transaction. Contracts: store/store.h.
///
/// The row of an enrollment in `schedule` is its lock: every method takes it before it changes
/// anything of the enrollment, and `LoadEnrollments` takes it too, since what is loaded here is
/// about to be changed. So nobody's change is lost and several directors can work on one database.
class PostgresWriter final : public PostgresReaderOf<StoreWriter> {
 public:
  using PostgresReaderOf::PostgresReaderOf;

  /// After everything else: makes due what the assignments concern, all locked in order.
  Status Finish();

  /// Enrollments that `ClaimDue` took.
  std::size_t claimed() const { return claimed_; }

  Result<std::vector<Enrollment>> LoadEnrollments(const std::vector<EnrollmentId>& ids) override;

  /// Assignments that are read here are about to be changed: nobody else changes any meanwhile.
  Result<std::vector<Assignment>> ListAssignments(const AssignmentFilter& filter) override;

  // postgres_write_facts.cc
  Status SaveEnrollments(const std::vector<Enrollment>& enrollments,
                         const std::map<EnrollmentId, Timestamp>& due_at) override;
  Status SaveIntents(const std::vector<std::pair<EnrollmentId, Intent>>& intents) override;
  Status LoseOpenIntents(const std::vector<EnrollmentId>& ids, Timestamp now) override;
  Status MarkDue(const std::map<EnrollmentId, Timestamp>& due_at) override;
  Status AddHappenings(const std::vector<Happening>& happenings) override;
  Status AddDeadLetters(const std::vector<DeadLetter>& dead_letters) override;

  // postgres_reports.cc
  Status SaveReports(const std::vector<std::pair<EnrollmentId, ProfileListReport>>& reports,
                     Timestamp now) override;
  Status SaveAppLists(const std::vector<std::pair<EnrollmentId, AppListReport>>& reports,
                      Timestamp now) override;
  Status SaveManagedAppLists(
      const std::vector<std::pair<EnrollmentId, ManagedAppListReport>>& reports,
      Timestamp now) override;
  Status SaveInventory(const Inventory& inventory) override;
  Status SaveImported(const ImportedAnswers& answers) override;

  // postgres_write_loop.cc
  Result<std::vector<EnrollmentId>> ClaimDue(Timestamp now, std::size_t limit) override;
  Status CommitPlans(const std::vector<PlanCommit>& commits, Timestamp lease_until,
                     Timestamp now) override;
  Status SetAside(const std::vector<EnrollmentId>& ids, Timestamp due_at) override;
  Result<bool> EndLease(std::int64_t lease_id) override;
  Status MoveIntents(const CommandUuid& from, const CommandUuid& to,
                     const std::vector<EnrollmentId>& ids) override;
  Status RecordDispatch(const std::vector<DispatchOutcome>& outcomes, Timestamp now) override;
  Status MarkUnregistered(const std::vector<EnrollmentId>& ids) override;
  Status RecoverJournaled(Timestamp now) override;
  Status Prune(Timestamp now, Duration keep, std::size_t limit) override;
  Status CheckWritable() override;

  // postgres_write_desired.cc
  Status LockDesired() override;
  Result<bool> SaveRevision(const Revision& revision) override;
  Result<std::int64_t> SaveAssignment(const Assignment& assignment, Timestamp now) override;
  Status DeleteAssignment(std::int64_t assignment_id, Timestamp now) override;
  Status RetryItem(const EnrollmentId& id, const PayloadIdentifier& identifier,
                   Timestamp now) override;

  // postgres_proposals.cc
  Result<std::int64_t> AddProposal(const Proposal& proposal, const SealedSecrets& sealed) override;
  Status SaveProposal(const Proposal& proposal) override;
  Status SaveSealedSecrets(std::int64_t proposal_id, const SealedSecrets& sealed) override;

  // postgres_renewals.cc
  Status SavePin(const EnrollmentProfilePin& pin) override;
  Status ProvePin(const UpstreamName& upstream, const PayloadIdentifier& payload_identifier,
                  Timestamp began_at) override;
  Status DeletePins(const UpstreamName& upstream,
                    const PayloadIdentifier& payload_identifier) override;

 private:
  /// Locks those that exist, in the order of their ids, so that no two transactions wait for each
  /// other.
  Status Lock(const std::vector<EnrollmentId>& ids);
  /// `Lock`; kInvalid when one does not exist. No foreign key says so: it would look for the
  /// enrollment of each row once more.
  Status LockKnown(const std::vector<EnrollmentId>& ids);
  /// `Lock`, and from before it until the end nobody changes assignments.
  Status ShareDesiredAndLock(const std::vector<EnrollmentId>& ids);
  Status LockWith(const char* sql, const std::vector<EnrollmentId>& ids);
  std::vector<EnrollmentId> NotLocked(const std::vector<EnrollmentId>& ids) const;
  Status Write(const char* sql);
  /// Nothing for an empty batch.
  Status Write(const char* sql, const PostgresBatch& batch);
  Status Write(const char* sql, const std::vector<PostgresValue>& values);
  /// Updates the rows; when some are not there, inserts those. Most are: an update alone writes
  /// half as much as an insert that finds a conflict.
  Status UpdateOrInsert(const char* update, const char* insert, const PostgresBatch& batch);

  struct NewReport {
    EnrollmentId enrollment_id;
    DeviceReport report;
    std::string body;
  };
  template <typename Report>
  static std::vector<NewReport> Encode(const std::vector<std::pair<EnrollmentId, Report>>& reports);
  Status SaveNewer(const std::string& kind, const std::vector<NewReport>& reports, Timestamp now);
  Status WriteReports(const PostgresBatch& heads, const PostgresBatch& bodies);

  Result<std::set<std::int64_t>> FindLeases(const char* sql, PostgresValue value);
  /// Of leases that run out until `expired_at`; true when there were any.
  Result<bool> TakeOverExpired(Timestamp expired_at, Timestamp due_at);
  Status AddLeases(const std::vector<PlanCommit>& commits, Timestamp lease_until);
  Status StoreItems(const std::vector<PlanCommit>& commits);
  Status StoreProposals(const std::vector<PlanCommit>& commits);
  Status StoreRenewals(const std::vector<PlanCommit>& commits);
  Status CloseIntents(const std::vector<PlanCommit>& commits, Timestamp now);
  Status JournalIntents(const std::vector<PlanCommit>& commits, Timestamp now);
  Status StoreSchedule(const std::vector<PlanCommit>& commits, Timestamp now);

  // postgres_fleet_changes.cc
  Status AddFleetChange(AssignmentChannel channel, Timestamp now);
  /// Makes the next `kSpreadMax` due of those whom a change concerns.
  Status SpreadFleetChange();

  Status MarkConcernedDue(AssignmentChannel channel, const std::string& target, Timestamp now);

  std::size_t claimed_ = 0;
  std::set<EnrollmentId> locked_;              ///< whose row in `schedule` this transaction holds
  std::map<EnrollmentId, Enrollment> loaded_;  ///< as this transaction knows them to be stored
  bool has_desired_lock_ = false;
  std::map<EnrollmentId, Timestamp> concerned_;
  std::map<AssignmentChannel, Timestamp> concerned_channels_;
};

}  // namespace director
