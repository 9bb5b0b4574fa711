#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/postgres_db.h"
#include "store/store.h"

namespace director {

/// The reads, one function each, over an open transaction. Contracts: store/store.h.
namespace postgres {

Result<std::vector<Enrollment>> LoadEnrollments(PostgresTransaction& db,
                                                const std::vector<EnrollmentId>& ids);
Result<std::vector<EnrollmentId>> FindQuiet(PostgresTransaction& db,
                                            const std::vector<EnrollmentId>& ids, Timestamp since,
                                            Timestamp until);
Result<std::vector<EnrollmentId>> FindEnrollments(PostgresTransaction& db, const std::string& name);
Result<std::vector<EnrollmentRow>> ListEnrollments(PostgresTransaction& db,
                                                   const EnrollmentFilter& filter,
                                                   const PageRequest& page);

Result<std::vector<std::pair<EnrollmentId, Intent>>> LoadIntents(
    PostgresTransaction& db, const std::vector<std::pair<EnrollmentId, CommandUuid>>& keys);
Result<std::vector<IntentRow>> ListIntents(PostgresTransaction& db, IntentFilter filter,
                                           const IntentKey& after, std::size_t limit);
Result<std::map<EnrollmentId, Dispatching>> LoadDispatching(PostgresTransaction& db,
                                                            const std::vector<EnrollmentId>& ids,
                                                            Timestamp since);
Result<std::vector<Snapshot>> LoadSnapshots(PostgresTransaction& db,
                                            const std::vector<EnrollmentId>& ids);
Result<Inventory> LoadInventory(PostgresTransaction& db, const std::vector<EnrollmentId>& ids,
                                const std::vector<InventoryKind>& kinds);
Result<ImportedAnswers> LoadImported(PostgresTransaction& db, const std::vector<EnrollmentId>& ids);

Result<std::optional<Timestamp>> NextDueAt(PostgresTransaction& db);
Result<FleetCounts> CountFleet(PostgresTransaction& db, Timestamp now);
Result<std::string> FindTopic(PostgresTransaction& db, const UpstreamName& upstream);
Status CountIdentities(PostgresTransaction& db, Timestamp now, FleetCounts& counts);
Result<std::optional<EnrollmentProfilePin>> LoadPin(PostgresTransaction& db,
                                                    const UpstreamName& upstream,
                                                    const PayloadIdentifier& payload_identifier);

Result<Revision> LoadRevision(PostgresTransaction& db, const PayloadUuid& payload_uuid);
Result<std::vector<Revision>> ListRevisions(PostgresTransaction& db, const RevisionFilter& filter,
                                            const PageRequest& page);
Result<std::vector<Assignment>> ListAssignments(PostgresTransaction& db,
                                                const AssignmentFilter& filter);
Result<std::vector<Happening>> ListHappenings(PostgresTransaction& db,
                                              const EnrollmentId& enrollment_id,
                                              const PageRequest& page);
Result<std::vector<DeadLetter>> ListDeadLetters(PostgresTransaction& db, const PageRequest& page);

Result<Proposal> LoadProposal(PostgresTransaction& db, std::int64_t proposal_id);
Result<SealedSecrets> LoadSealedSecrets(PostgresTransaction& db, std::int64_t proposal_id);
Result<Proposal> FindProposal(PostgresTransaction& db, const EnrollmentId& id,
                              const CommandUuid& command_uuid);
/// The open ones of these enrollments, in any order.
Result<std::vector<Proposal>> LoadUnfinishedProposals(PostgresTransaction& db,
                                                      const std::vector<EnrollmentId>& ids);
Result<std::vector<Proposal>> ListProposals(PostgresTransaction& db, const ProposalFilter& filter,
                                            const PageRequest& page);
Result<std::int64_t> CountProposalsSince(PostgresTransaction& db, Timestamp since);
/// Open ones, by kind, then state.
Result<std::vector<ProposalCount>> CountOpenProposals(PostgresTransaction& db);

}  // namespace postgres

/// The reader's half of a port (`StoreReader` or `StoreWriter`) on one transaction.
template <typename Port>
class PostgresReaderOf : public Port {
 public:
  explicit PostgresReaderOf(PostgresTransaction& db) : db_(db) {}

  Result<std::vector<Enrollment>> LoadEnrollments(const std::vector<EnrollmentId>& ids) override {
    return postgres::LoadEnrollments(db_, ids);
  }
  Result<std::vector<std::pair<EnrollmentId, Intent>>> LoadIntents(
      const std::vector<std::pair<EnrollmentId, CommandUuid>>& keys) final {
    return postgres::LoadIntents(db_, keys);
  }
  Result<std::vector<IntentRow>> ListIntents(IntentFilter filter, const IntentKey& after,
                                             std::size_t limit) final {
    return postgres::ListIntents(db_, filter, after, limit);
  }
  Result<std::map<EnrollmentId, Dispatching>> LoadDispatching(const std::vector<EnrollmentId>& ids,
                                                              Timestamp since) final {
    return postgres::LoadDispatching(db_, ids, since);
  }
  Result<std::vector<Snapshot>> LoadSnapshots(const std::vector<EnrollmentId>& ids) final {
    return postgres::LoadSnapshots(db_, ids);
  }
  Result<Inventory> LoadInventory(const std::vector<EnrollmentId>& ids,
                                  const std::vector<InventoryKind>& kinds) final {
    return postgres::LoadInventory(db_, ids, kinds);
  }
  Result<ImportedAnswers> LoadImported(const std::vector<EnrollmentId>& ids) final {
    return postgres::LoadImported(db_, ids);
  }
  Result<std::vector<EnrollmentId>> FindQuiet(const std::vector<EnrollmentId>& ids, Timestamp since,
                                              Timestamp until) final {
    return postgres::FindQuiet(db_, ids, since, until);
  }
  Result<std::vector<EnrollmentId>> FindEnrollments(const std::string& name) final {
    return postgres::FindEnrollments(db_, name);
  }
  Result<std::vector<EnrollmentRow>> ListEnrollments(const EnrollmentFilter& filter,
                                                     const PageRequest& page) final {
    return postgres::ListEnrollments(db_, filter, page);
  }
  Result<std::optional<Timestamp>> NextDueAt() final { return postgres::NextDueAt(db_); }
  Result<FleetCounts> CountFleet(Timestamp now) final { return postgres::CountFleet(db_, now); }
  Result<Revision> LoadRevision(const PayloadUuid& payload_uuid) final {
    return postgres::LoadRevision(db_, payload_uuid);
  }
  Result<std::vector<Revision>> ListRevisions(const RevisionFilter& filter,
                                              const PageRequest& page) final {
    return postgres::ListRevisions(db_, filter, page);
  }
  Result<std::vector<Assignment>> ListAssignments(const AssignmentFilter& filter) override {
    return postgres::ListAssignments(db_, filter);
  }
  Result<Proposal> LoadProposal(std::int64_t proposal_id) final {
    return postgres::LoadProposal(db_, proposal_id);
  }
  Result<SealedSecrets> LoadSealedSecrets(std::int64_t proposal_id) final {
    return postgres::LoadSealedSecrets(db_, proposal_id);
  }
  Result<Proposal> FindProposal(const EnrollmentId& id, const CommandUuid& command_uuid) final {
    return postgres::FindProposal(db_, id, command_uuid);
  }
  Result<std::vector<Proposal>> ListProposals(const ProposalFilter& filter,
                                              const PageRequest& page) final {
    return postgres::ListProposals(db_, filter, page);
  }
  Result<std::int64_t> CountProposalsSince(Timestamp since) final {
    return postgres::CountProposalsSince(db_, since);
  }
  Result<std::string> FindTopic(const UpstreamName& upstream) final {
    return postgres::FindTopic(db_, upstream);
  }
  Result<std::optional<EnrollmentProfilePin>> LoadPin(
      const UpstreamName& upstream, const PayloadIdentifier& payload_identifier) final {
    return postgres::LoadPin(db_, upstream, payload_identifier);
  }
  Result<std::vector<Happening>> ListHappenings(const EnrollmentId& enrollment_id,
                                                const PageRequest& page) final {
    return postgres::ListHappenings(db_, enrollment_id, page);
  }
  Result<std::vector<DeadLetter>> ListDeadLetters(const PageRequest& page) final {
    return postgres::ListDeadLetters(db_, page);
  }

 protected:
  PostgresTransaction& db() { return db_; }

 private:
  PostgresTransaction& db_;
};

using PostgresReader = PostgresReaderOf<StoreReader>;

}  // namespace director
