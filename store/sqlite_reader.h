#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/sqlite_db.h"
#include "store/store.h"

namespace director {

/// The reads, one function each, over the connection's open transaction. Contracts: store/store.h.
namespace sqlite {

Result<std::optional<Enrollment>> LoadEnrollment(SqliteDb& db, const EnrollmentId& id);
Result<std::vector<Enrollment>> LoadEnrollments(SqliteDb& db, const std::vector<EnrollmentId>& ids);
Result<std::vector<EnrollmentId>> FindQuiet(SqliteDb& db, const std::vector<EnrollmentId>& ids,
                                            Timestamp since, Timestamp until);
Result<std::vector<EnrollmentId>> FindEnrollments(SqliteDb& db, const std::string& name);
Result<std::vector<EnrollmentRow>> ListEnrollments(SqliteDb& db, const EnrollmentFilter& filter,
                                                   const PageRequest& page);

Result<std::vector<std::pair<EnrollmentId, Intent>>> LoadIntents(
    SqliteDb& db, const std::vector<std::pair<EnrollmentId, CommandUuid>>& keys);
/// Those that no plan has digested, oldest first.
Result<std::vector<Intent>> LoadLiveIntents(SqliteDb& db, const EnrollmentId& id);
/// By identifier.
Result<std::vector<ItemRecord>> LoadItems(SqliteDb& db, const EnrollmentId& id);
Result<std::vector<IntentRow>> ListIntents(SqliteDb& db, IntentFilter filter,
                                           const IntentKey& after, std::size_t limit);
Result<std::map<EnrollmentId, Dispatching>> LoadDispatching(SqliteDb& db,
                                                            const std::vector<EnrollmentId>& ids,
                                                            Timestamp since);
Result<std::vector<Snapshot>> LoadSnapshots(SqliteDb& db, const std::vector<EnrollmentId>& ids);
Result<Inventory> LoadInventory(SqliteDb& db, const std::vector<EnrollmentId>& ids,
                                const std::vector<InventoryKind>& kinds);
Result<ImportedAnswers> LoadImported(SqliteDb& db, const std::vector<EnrollmentId>& ids);

Result<std::optional<Timestamp>> NextDueAt(SqliteDb& db);
Result<FleetCounts> CountFleet(SqliteDb& db, Timestamp now);
Result<std::string> FindTopic(SqliteDb& db, const UpstreamName& upstream);
Status CountIdentities(SqliteDb& db, Timestamp now, FleetCounts& counts);
Result<std::optional<EnrollmentProfilePin>> LoadPin(SqliteDb& db, const UpstreamName& upstream,
                                                    const PayloadIdentifier& payload_identifier);

Result<Revision> LoadRevision(SqliteDb& db, const PayloadUuid& payload_uuid);
Result<std::vector<Revision>> ListRevisions(SqliteDb& db, const RevisionFilter& filter,
                                            const PageRequest& page);
Result<std::vector<Assignment>> ListAssignments(SqliteDb& db, const AssignmentFilter& filter);
Result<std::vector<Happening>> ListHappenings(SqliteDb& db, const EnrollmentId& enrollment_id,
                                              const PageRequest& page);
Result<std::vector<DeadLetter>> ListDeadLetters(SqliteDb& db, const PageRequest& page);

Result<Proposal> LoadProposal(SqliteDb& db, std::int64_t proposal_id);
Result<SealedSecrets> LoadSealedSecrets(SqliteDb& db, std::int64_t proposal_id);
Result<Proposal> FindProposal(SqliteDb& db, const EnrollmentId& id,
                              const CommandUuid& command_uuid);
/// Nothing when the enrollment has no open one.
Result<std::vector<Proposal>> LoadUnfinishedProposals(SqliteDb& db, const EnrollmentId& id);
Result<std::vector<Proposal>> ListProposals(SqliteDb& db, const ProposalFilter& filter,
                                            const PageRequest& page);
Result<std::int64_t> CountProposalsSince(SqliteDb& db, Timestamp since);
/// Open ones, by kind, then state.
Result<std::vector<ProposalCount>> CountOpenProposals(SqliteDb& db);

}  // namespace sqlite

/// The reader's half of a port (`StoreReader` or `StoreWriter`) on one connection.
template <typename Port>
class SqliteReaderOf : public Port {
 public:
  explicit SqliteReaderOf(SqliteDb& db) : db_(db) {}

  Result<std::vector<Enrollment>> LoadEnrollments(const std::vector<EnrollmentId>& ids) final {
    return sqlite::LoadEnrollments(db_, ids);
  }
  Result<std::vector<std::pair<EnrollmentId, Intent>>> LoadIntents(
      const std::vector<std::pair<EnrollmentId, CommandUuid>>& keys) final {
    return sqlite::LoadIntents(db_, keys);
  }
  Result<std::vector<IntentRow>> ListIntents(IntentFilter filter, const IntentKey& after,
                                             std::size_t limit) final {
    return sqlite::ListIntents(db_, filter, after, limit);
  }
  Result<std::map<EnrollmentId, Dispatching>> LoadDispatching(const std::vector<EnrollmentId>& ids,
                                                              Timestamp since) final {
    return sqlite::LoadDispatching(db_, ids, since);
  }
  Result<std::vector<Snapshot>> LoadSnapshots(const std::vector<EnrollmentId>& ids) final {
    return sqlite::LoadSnapshots(db_, ids);
  }
  Result<Inventory> LoadInventory(const std::vector<EnrollmentId>& ids,
                                  const std::vector<InventoryKind>& kinds) final {
    return sqlite::LoadInventory(db_, ids, kinds);
  }
  Result<ImportedAnswers> LoadImported(const std::vector<EnrollmentId>& ids) final {
    return sqlite::LoadImported(db_, ids);
  }
  Result<std::vector<EnrollmentId>> FindQuiet(const std::vector<EnrollmentId>& ids, Timestamp since,
                                              Timestamp until) final {
    return sqlite::FindQuiet(db_, ids, since, until);
  }
  Result<std::vector<EnrollmentId>> FindEnrollments(const std::string& name) final {
    return sqlite::FindEnrollments(db_, name);
  }
  Result<std::vector<EnrollmentRow>> ListEnrollments(const EnrollmentFilter& filter,
                                                     const PageRequest& page) final {
    return sqlite::ListEnrollments(db_, filter, page);
  }
  Result<std::optional<Timestamp>> NextDueAt() final { return sqlite::NextDueAt(db_); }
  Result<FleetCounts> CountFleet(Timestamp now) final { return sqlite::CountFleet(db_, now); }
  Result<Revision> LoadRevision(const PayloadUuid& payload_uuid) final {
    return sqlite::LoadRevision(db_, payload_uuid);
  }
  Result<std::vector<Revision>> ListRevisions(const RevisionFilter& filter,
                                              const PageRequest& page) final {
    return sqlite::ListRevisions(db_, filter, page);
  }
  Result<std::vector<Assignment>> ListAssignments(const AssignmentFilter& filter) final {
    return sqlite::ListAssignments(db_, filter);
  }
  Result<Proposal> LoadProposal(std::int64_t proposal_id) final {
    return sqlite::LoadProposal(db_, proposal_id);
  }
  Result<SealedSecrets> LoadSealedSecrets(std::int64_t proposal_id) final {
    return sqlite::LoadSealedSecrets(db_, proposal_id);
  }
  Result<Proposal> FindProposal(const EnrollmentId& id, const CommandUuid& command_uuid) final {
    return sqlite::FindProposal(db_, id, command_uuid);
  }
  Result<std::vector<Proposal>> ListProposals(const ProposalFilter& filter,
                                              const PageRequest& page) final {
    return sqlite::ListProposals(db_, filter, page);
  }
  Result<std::int64_t> CountProposalsSince(Timestamp since) final {
    return sqlite::CountProposalsSince(db_, since);
  }
  Result<std::string> FindTopic(const UpstreamName& upstream) final {
    return sqlite::FindTopic(db_, upstream);
  }
  Result<std::optional<EnrollmentProfilePin>> LoadPin(
      const UpstreamName& upstream, const PayloadIdentifier& payload_identifier) final {
    return sqlite::LoadPin(db_, upstream, payload_identifier);
  }
  Result<std::vector<Happening>> ListHappenings(const EnrollmentId& enrollment_id,
                                                const PageRequest& page) final {
    return sqlite::ListHappenings(db_, enrollment_id, page);
  }
  Result<std::vector<DeadLetter>> ListDeadLetters(const PageRequest& page) final {
    return sqlite::ListDeadLetters(db_, page);
  }

 protected:
  SqliteDb& db() { return db_; }

 private:
  SqliteDb& db_;
};

using SqliteReader = SqliteReaderOf<StoreReader>;

}  // namespace director
