#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "store/sqlite_reader.h"

namespace director {

/// Every write of the port on one connection with an open transaction. Contracts: store/store.h.
class SqliteWriter final : public SqliteReaderOf<StoreWriter> {
 public:
  using SqliteReaderOf::SqliteReaderOf;

  // sqlite_write_facts.cc
  Status SaveEnrollments(const std::vector<Enrollment>& enrollments,
                         const std::map<EnrollmentId, Timestamp>& due_at) override;
  Status SaveIntents(const std::vector<std::pair<EnrollmentId, Intent>>& intents) override;
  Status LoseOpenIntents(const std::vector<EnrollmentId>& ids, Timestamp now) override;
  Status MarkDue(const std::map<EnrollmentId, Timestamp>& due_at) override;
  Status AddHappenings(const std::vector<Happening>& happenings) override;
  Status AddDeadLetters(const std::vector<DeadLetter>& dead_letters) override;

  // sqlite_reports.cc
  Status SaveReports(const std::vector<std::pair<EnrollmentId, ProfileListReport>>& reports,
                     Timestamp now) override;
  Status SaveAppLists(const std::vector<std::pair<EnrollmentId, AppListReport>>& reports,
                      Timestamp now) override;
  Status SaveManagedAppLists(
      const std::vector<std::pair<EnrollmentId, ManagedAppListReport>>& reports,
      Timestamp now) override;
  Status SaveInventory(const Inventory& inventory) override;
  Status SaveImported(const ImportedAnswers& answers) override;

  // sqlite_write_loop.cc
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

  // sqlite_write_desired.cc
  Status LockDesired() override { return {}; }  // there is one writer
  Result<bool> SaveRevision(const Revision& revision) override;
  Result<std::int64_t> SaveAssignment(const Assignment& assignment, Timestamp now) override;
  Status DeleteAssignment(std::int64_t assignment_id, Timestamp now) override;
  Status RetryItem(const EnrollmentId& id, const PayloadIdentifier& identifier,
                   Timestamp now) override;

  // sqlite_proposals.cc
  Result<std::int64_t> AddProposal(const Proposal& proposal, const SealedSecrets& sealed) override;
  Status SaveProposal(const Proposal& proposal) override;
  Status SaveSealedSecrets(std::int64_t proposal_id, const SealedSecrets& sealed) override;

  // sqlite_renewals.cc
  Status SavePin(const EnrollmentProfilePin& pin) override;
  Status ProvePin(const UpstreamName& upstream, const PayloadIdentifier& payload_identifier,
                  Timestamp began_at) override;
  Status DeletePins(const UpstreamName& upstream,
                    const PayloadIdentifier& payload_identifier) override;

 private:
  Status SaveEnrollment(const Enrollment& enrollment);
  Status InsertEnrollment(const Enrollment& enrollment);

  /// Of leases that run out until `expired_at`; true when there were any.
  Result<bool> TakeOverExpired(Timestamp expired_at, Timestamp due_at);
  Status CommitPlan(const PlanCommit& commit, Timestamp now);
  Status StoreItems(const PlanCommit& commit);
  Status StoreProposal(const PlanCommit& commit);
  Status StoreRenewal(const PlanCommit& commit);
  Status CloseIntents(const PlanCommit& commit, Timestamp now);
  Status JournalIntents(const PlanCommit& commit, Timestamp now);

  // sqlite_fleet_changes.cc
  Status AddFleetChange(AssignmentChannel channel, Timestamp now);
  /// Makes the next `kSpreadMax` due of those whom a change concerns.
  Status SpreadFleetChange();

  Status MarkConcernedDue(AssignmentChannel channel, const std::string& target, Timestamp now);
};

}  // namespace director
