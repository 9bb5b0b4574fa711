#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "store/postgres_store.h"
#include "store/sqlite_store.h"
#include "store/store.h"
#include "tests/support/catch.h"
#include "tests/support/postgres_database.h"
#include "tests/support/temp_folder.h"

namespace director::store_test {

using test::TempFolder;

/// The implementations that every contract test runs on. Add one here and in `TestStore`.
enum class StoreKind { kSqliteMemory, kSqliteFile, kPostgres };
#define FOR_EVERY_STORE()                                  \
  GENERATE(director::store_test::StoreKind::kSqliteMemory, \
           director::store_test::StoreKind::kSqliteFile,   \
           director::store_test::StoreKind::kPostgres)

/// Until when `TestStore::CommitPlan` leases.
inline Timestamp LeaseFrom(Timestamp now) { return now + std::chrono::minutes(1); }

inline Timestamp At(std::int64_t seconds) { return FromUnixMs(1'800'000'000'000 + seconds * 1000); }

/// An empty store, with the writes and reads that tests repeat. Every call checks that the
/// transaction succeeds.
class TestStore {
 public:
  explicit TestStore(StoreKind kind) {
    auto opened = Open(kind);
    INFO((opened ? std::string() : ErrorForLog(opened.error())));
    REQUIRE(opened);
    store_ = std::move(*opened);
  }

  Store& store() { return *store_; }

  void Write(const std::function<Status(StoreWriter&)>& body) {
    const Status done = store_->Write(body);
    INFO((done ? std::string() : ErrorForLog(done.error())));
    REQUIRE(done);
  }

  void Save(const Enrollment& enrollment) {
    Write([&](StoreWriter& writer) { return writer.SaveEnrollments({enrollment}); });
  }
  void Save(const std::string& id, const Intent& intent) {
    Write([&](StoreWriter& writer) { return writer.SaveIntents({{EnrollmentId(id), intent}}); });
  }
  void Save(const std::string& id, const ProfileListReport& report) {
    Save(id, report, report.reported_at);
  }
  void Save(const std::string& id, const ProfileListReport& report, Timestamp now) {
    Write([&](StoreWriter& writer) {
      return writer.SaveReports({{EnrollmentId(id), report}}, now);
    });
  }
  void MarkDue(const std::string& id, Timestamp at) {
    Write([&](StoreWriter& writer) { return writer.MarkDue({{EnrollmentId(id), at}}); });
  }

  /// Reads one value and fails the test when it cannot be read.
  template <typename T>
  T Get(const std::function<Result<T>(StoreReader&)>& read) {
    T value{};
    const Status done = store_->Read([&](StoreReader& reader) -> Status {
      Result<T> result = read(reader);
      if (!result) return Fail(result.error());
      value = std::move(*result);
      return {};
    });
    INFO((done ? std::string() : ErrorForLog(done.error())));
    REQUIRE(done);
    return value;
  }

  Snapshot LoadSnapshot(const std::string& id) {
    return Get<Snapshot>(
        [&](StoreReader& reader) { return reader.LoadSnapshot(EnrollmentId(id)); });
  }
  EnrollmentRow Row(const std::string& id) {
    const auto rows = Get<std::vector<EnrollmentRow>>([&](StoreReader& reader) {
      return reader.ListEnrollments({}, {{}, 1000});
    });
    for (const EnrollmentRow& row : rows) {
      if (row.enrollment.channel.enrollment_id.value() == id) return row;
    }
    FAIL("no enrollment " << id);
    return {};
  }
  /// Who would be claimed; lets them go again.
  std::vector<EnrollmentId> ClaimDue(Timestamp now, std::size_t limit = 100) {
    std::vector<EnrollmentId> claims;
    Write([&](StoreWriter& writer) -> Status {
      auto claimed = writer.ClaimDue(now, limit);
      if (!claimed) return Fail(claimed.error());
      claims = std::move(*claimed);
      return {};
    });
    return claims;
  }
  /// A lease is one of a minute.
  void CommitPlan(const PlanCommit& commit, Timestamp now) {
    Write([&](StoreWriter& writer) { return writer.CommitPlans({commit}, LeaseFrom(now), now); });
  }
  /// Whether the lease was still held.
  bool EndLease(std::int64_t lease_id) {
    bool is_in_time = false;
    Write([&](StoreWriter& writer) -> Status {
      const Result<bool> ended = writer.EndLease(lease_id);
      if (!ended) return Fail(ended.error());
      is_in_time = *ended;
      return {};
    });
    return is_in_time;
  }
  std::optional<Timestamp> NextDueAt() {
    return Get<std::optional<Timestamp>>([](StoreReader& reader) { return reader.NextDueAt(); });
  }
  /// The intent as journaled, closed ones included; fails the test when there is none.
  Intent LoadIntent(const std::string& id, const std::string& command_uuid) {
    const auto intents =
        Get<std::vector<std::pair<EnrollmentId, Intent>>>([&](StoreReader& reader) {
          return reader.LoadIntents({{EnrollmentId(id), CommandUuid(command_uuid)}});
        });
    REQUIRE(intents.size() == 1);
    CHECK(intents.front().first.value() == id);
    return intents.front().second;
  }

 private:
  Result<std::unique_ptr<Store>> Open(StoreKind kind) {
    if (kind == StoreKind::kSqliteMemory) return OpenSqliteStore(":memory:");
    if (kind == StoreKind::kSqliteFile) return OpenSqliteStore(folder_.Path("director.db"));
    postgres_.emplace();
    return OpenPostgresStore(postgres_->settings());
  }

  TempFolder folder_;
  std::optional<test::PostgresDatabase> postgres_;
  std::unique_ptr<Store> store_;
};

/// A device channel that was last seen at `At(0)`.
inline Enrollment MakeDevice(const std::string& id) {
  Enrollment enrollment;
  enrollment.channel.enrollment_id = EnrollmentId(id);
  enrollment.channel.device_id = EnrollmentId(id);
  enrollment.channel.udid = id;
  enrollment.upstream = UpstreamName("nanomdm");
  enrollment.status = EnrollmentStatus::kEnrolled;
  enrollment.serial_number = "SN" + id;
  enrollment.first_seen_at = At(-100);
  enrollment.last_seen_at = At(0);
  enrollment.epoch_began_at = At(-50);
  return enrollment;
}

/// The user channel `user` of `device`; it does not know the serial number.
inline Enrollment MakeUser(const std::string& device, const std::string& user) {
  Enrollment enrollment = MakeDevice(device);
  enrollment.channel.enrollment_id = EnrollmentId(device + ":" + user);
  enrollment.channel.user_id = user;
  enrollment.channel.type = ChannelType::kUser;
  enrollment.serial_number.clear();
  return enrollment;
}

inline Intent MakeIntent(const std::string& command_uuid) {
  Intent intent;
  intent.command_uuid = CommandUuid(command_uuid);
  intent.request_type = "InstallProfile";
  intent.payload_identifier = PayloadIdentifier("com.example.wifi");
  intent.payload_uuid = PayloadUuid("UUID-1");
  intent.epoch = 1;
  intent.state = IntentState::kSent;
  intent.journaled_at = At(0);
  return intent;
}

inline ItemRecord MakeItem(const std::string& identifier, ItemState state = ItemState::kPending) {
  ItemRecord item;
  item.payload_identifier = PayloadIdentifier(identifier);
  item.payload_uuid = PayloadUuid("UUID-1");
  item.epoch = 1;
  item.state = state;
  item.reason = "because";
  item.state_since = At(0);
  item.sends_since = At(0);
  item.installed_build = "22A380";
  item.reinstall_at = At(60);
  return item;
}

inline Revision MakeRevision(const std::string& uuid, const std::string& identifier) {
  Revision revision;
  revision.payload_uuid = PayloadUuid(uuid);
  revision.payload_identifier = PayloadIdentifier(identifier);
  revision.display_name = "A profile";
  revision.certificate_authority = "ca.example.com";
  revision.original_payload_uuid = "as-uploaded";
  revision.source = "ci";
  revision.created_at = At(0);
  revision.content = "<plist/>";
  revision.size_bytes = 8;
  return revision;
}

inline Assignment MakeAssignment(const std::string& identifier, const std::string& uuid,
                                 const std::string& target = {}) {
  Assignment assignment;
  assignment.payload_identifier = PayloadIdentifier(identifier);
  assignment.payload_uuid = PayloadUuid(uuid);
  assignment.presence = uuid.empty() ? Presence::kAbsent : Presence::kPresent;
  assignment.target_kind = target.empty() ? TargetKind::kAll : TargetKind::kDevice;
  assignment.target = target;
  assignment.source = "ci";
  assignment.assigned_at = At(0);
  return assignment;
}

/// A waiting proposal to lock the device, without a PIN.
inline Proposal MakeProposal(const std::string& id, Timestamp created_at = At(0)) {
  Proposal proposal;
  proposal.enrollment_id = EnrollmentId(id);
  proposal.reason = "left in a taxi";
  proposal.source = "ops";
  proposal.epoch = 1;
  proposal.created_at = created_at;
  proposal.not_before = created_at;
  proposal.expires_at = created_at + std::chrono::hours(24);
  proposal.explanation = "waits";
  proposal.state_since = created_at;
  return proposal;
}

inline PlanCommit MakeCommit(const EnrollmentId& id, Timestamp due_at) {
  PlanCommit commit;
  commit.enrollment_id = id;
  commit.upstream = UpstreamName("nanomdm");
  commit.plan.due_at = due_at;
  commit.epoch = 1;
  return commit;
}

/// The lease of a plan whose first command has this CommandUUID.
inline std::int64_t LeaseOf(const std::string& command_uuid) {
  return static_cast<std::int64_t>(StableHash(command_uuid) % 1'000'000'000) + 1;
}

inline void AddCommand(PlanCommit& commit, const PlannedCommand& command, const std::string& uuid) {
  if (commit.lease_id == 0) commit.lease_id = LeaseOf(uuid);
  commit.plan.commands.push_back(command);
  commit.commands.push_back({command, CommandUuid(uuid)});
}

}  // namespace director::store_test
