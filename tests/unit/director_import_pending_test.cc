// Locks and erases that MDMDirector has set: what an import with them proposes, and what it leaves.
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "director/mdmdirector_import.h"
#include "tests/support/catch.h"
#include "tests/support/director_parts.h"
#include "tests/support/mdmdirector_client.h"
#include "tests/support/mdmdirector_rows.h"

namespace director::director_import_pending_test {
namespace {

using director_test::ImportRun;
using director_test::TestDataKey;
using mdmdirector::ImportMode;

const std::string kUdid = "00000000-0000-4000-8000-00000000000A";

/// One active device, and what is pending for it.
struct PendingWorld : director_test::ImportWorld {
  PendingWorld() { source.AddDevice(kUdid, "C02A").product_name = "Mac15,6"; }

  MdmDirectorPending& AddLock(const std::string& pin = "") {
    MdmDirectorPending& pending = source.pending.emplace_back();
    pending.udid = kUdid;
    pending.product_name = source.devices.at(kUdid).product_name;
    pending.is_enrolled = true;
    pending.pin = Secret(pin);
    return pending;
  }
  MdmDirectorPending& AddErase(const std::string& pin = "") {
    MdmDirectorPending& pending = AddLock(pin);
    pending.is_erase = true;
    return pending;
  }
  ImportRun Run(ImportMode mode = ImportMode::kImport) {
    mdmdirector::ImportSettings settings;
    settings.mode = mode;
    settings.secrets = &secrets;
    settings.proposals = limits;
    return director_test::RunImport(source, *store, clock, settings);
  }
  std::vector<Proposal> Proposals() {
    return director_test::ReadFrom(*store, [](StoreReader& reader) {
      return reader.ListProposals({}, {"", 100});
    });
  }
  std::string PinOf(const Proposal& proposal) {
    const SealedSecrets sealed = director_test::ReadFrom(*store, [&](StoreReader& reader) {
      return reader.LoadSealedSecrets(proposal.proposal_id);
    });
    const Result<Secret> pin = secrets.Open(sealed.secret, proposal.enrollment_id);
    REQUIRE(pin);
    return pin->Reveal();
  }
  void End(ProposalState state) {
    Proposal proposal = Proposals().at(0);
    proposal.state = state;
    director_test::WriteTo(*store,
                           [&](StoreWriter& writer) { return writer.SaveProposal(proposal); });
  }

  Secrets secrets{TestDataKey(), nullptr};
  ProposalLimits limits;
};

void CheckLeftOut(PendingWorld& world, const std::string& why) {
  for (const ImportMode mode : {ImportMode::kPlan, ImportMode::kImport}) {
    const ImportRun run = world.Run(mode);
    CHECK(run.outcome.problems == 1);
    CHECK(run.Lines("problem: ").size() == 1);
    CHECK(run.Says(why));
  }
  CHECK(world.Proposals().empty());
}

TEST_CASE("a pending lock becomes a proposal that repeats, with MDMDirector's PIN") {
  PendingWorld world;
  world.AddLock("123456");
  const ImportRun run = world.Run();
  CHECK(run.outcome.problems == 0);
  CHECK(run.Says("proposed: DeviceLock for device " + kUdid + ", with MDMDirector's PIN"));
  CHECK_FALSE(run.lines.empty());
  for (const std::string& line : run.lines) CHECK(line.find("123456") == std::string::npos);
  REQUIRE(world.Proposals().size() == 1);
  const Proposal proposal = world.Proposals().front();
  CHECK(proposal.enrollment_id.value() == kUdid);
  CHECK(proposal.kind == ProposalKind::kDeviceLock);
  CHECK(proposal.repeats);
  CHECK(proposal.source == "mdmdirector");
  CHECK(world.PinOf(proposal) == "123456");
}

TEST_CASE("a pending erase waits erase_delay, and without a PIN gets a new one") {
  PendingWorld world;
  world.AddErase();
  CHECK(world.Run().Says("proposed: EraseDevice for device " + kUdid));
  REQUIRE(world.Proposals().size() == 1);
  const Proposal proposal = world.Proposals().front();
  CHECK(proposal.kind == ProposalKind::kEraseDevice);
  CHECK_FALSE(proposal.repeats);
  CHECK(proposal.not_before == world.clock.Now() + world.limits.erase_delay);
  CHECK(world.PinOf(proposal).size() == 6);
}

TEST_CASE("a plan proposes nothing and says what an import would") {
  PendingWorld world;
  world.AddErase("123456");
  const ImportRun plan = world.Run(ImportMode::kPlan);
  CHECK(plan.outcome.problems == 0);
  CHECK(plan.outcome.changes == 2);
  CHECK(plan.Says("to propose: EraseDevice for device " + kUdid));
  CHECK(world.Proposals().empty());
  CHECK(world.Run().outcome.changes == 2);
  const ImportRun again = world.Run(ImportMode::kPlan);
  CHECK(again.outcome.changes == 0);
  CHECK(again.outcome.problems == 0);
}

TEST_CASE("without being told to, an import names them and reads no PIN") {
  PendingWorld world;
  world.AddErase("123456");
  world.source.devices.at(kUdid).wants_erase = true;
  const ImportRun run = director_test::RunImport(world.source, *world.store, world.clock);
  CHECK(run.Says("not imported: device " + kUdid + ": erase is pending in MDMDirector"));
  CHECK(world.source.pending_reads == 0);
  CHECK(world.Proposals().empty());
}

TEST_CASE("an erase that is imported twice stays one, whatever became of it") {
  PendingWorld world;
  world.AddErase();
  world.Run();
  const std::optional<ProposalState> end =
      GENERATE(as<std::optional<ProposalState>>{}, std::nullopt, ProposalState::kDone,
               ProposalState::kCancelled, ProposalState::kDropped, ProposalState::kExpired);
  if (end) world.End(*end);
  world.clock.Advance(std::chrono::hours(1));
  const ImportRun again = world.Run();
  CHECK(again.outcome.problems == 0);
  CHECK(again.outcome.changes == 0);
  CHECK(again.Says("already: EraseDevice for device " + kUdid + " was proposed by mdmdirector"));
  CHECK(world.Proposals().size() == 1);
}

TEST_CASE("what a person took back in Director is not set again") {
  PendingWorld world;
  world.AddLock("123456");
  world.Run();
  Proposal proposal = world.Proposals().front();
  proposal.state = ProposalState::kSent;
  proposal.cancelled_at = world.clock.Now();
  director_test::WriteTo(*world.store,
                         [&](StoreWriter& writer) { return writer.SaveProposal(proposal); });
  CHECK(world.Run().outcome.problems == 0);
  CHECK(world.Proposals().front().cancelled_at);
}

TEST_CASE("what MDMDirector has sent is left to the MDM server's queue") {
  PendingWorld world;
  const bool is_erase = GENERATE(true, false);
  (is_erase ? world.AddErase() : world.AddLock()).is_queued = true;
  CheckLeftOut(world, "it waits in the MDM server's queue");
}

TEST_CASE("an erase that was acknowledged is not repeated, a lock goes on") {
  PendingWorld world;
  SECTION("erase") {
    world.AddErase().was_acknowledged = true;
    CheckLeftOut(world, "the device has acknowledged one");
  }
  SECTION("lock") {
    world.AddLock().was_acknowledged = true;
    CHECK(world.Run().outcome.problems == 0);
    CHECK(world.Proposals().size() == 1);
  }
}

TEST_CASE("nothing is proposed for a device that Director does not know") {
  PendingWorld world;
  world.source.devices.at(kUdid).is_active = false;
  world.AddErase().is_enrolled = false;
  CheckLeftOut(world, "Director does not know the device");
}

TEST_CASE("a PIN that no Mac takes is a problem, and an iPad needs none") {
  PendingWorld world;
  SECTION("a Mac") {
    world.AddLock("12");
    CheckLeftOut(world, "MDMDirector's PIN must be six digits");
  }
  SECTION("an iPad") {
    world.source.devices.at(kUdid).product_name = "iPad14,1";
    world.AddLock("12");
    CHECK(world.Run(ImportMode::kPlan).outcome.problems == 0);
    CHECK(world.Run().outcome.problems == 0);
    REQUIRE(world.Proposals().size() == 1);
    CHECK_FALSE(world.Proposals().front().has_secret);
  }
}

TEST_CASE("another proposal that is open is in the way of a lock and says so") {
  PendingWorld world;
  world.Run();
  ProposalRequest request;
  request.kind = ProposalKind::kRestartDevice;
  request.reason = "it hangs";
  director_test::WriteTo(*world.store, [&](StoreWriter& writer) -> Status {
    const auto proposed = Propose(writer, world.secrets, world.limits, EnrollmentId(kUdid), request,
                                  world.clock.Now());
    if (!proposed) return Fail(proposed.error());
    return {};
  });
  world.AddLock();
  for (const ImportMode mode : {ImportMode::kPlan, ImportMode::kImport}) {
    const ImportRun run = world.Run(mode);
    CHECK(run.outcome.problems == 1);
    CHECK(run.Says("an open proposal"));
  }
  CHECK(world.Proposals().size() == 1);
}

TEST_CASE("an erase takes the place of a lock that waits, in the plan, too") {
  PendingWorld world;
  world.AddLock();
  world.Run();
  world.source.pending.clear();
  world.AddErase();
  CHECK(world.Run(ImportMode::kPlan).outcome.problems == 0);
  CHECK(world.Run().outcome.problems == 0);
  CHECK(world.Proposals().size() == 2);
}

TEST_CASE("nothing is proposed for a device that has left") {
  PendingWorld world;
  world.Run();
  director_test::WriteTo(*world.store, [&](StoreWriter& writer) -> Status {
    auto found = writer.LoadEnrollments({EnrollmentId(kUdid)});
    REQUIRE(found);
    found->front().status = EnrollmentStatus::kCheckedOut;
    return writer.SaveEnrollments(*found);
  });
  world.AddErase();
  CheckLeftOut(world, "the device has checked out");
}

TEST_CASE("the plan counts what the import would spend of the budget") {
  PendingWorld world;
  world.limits.per_hour_max = 1;
  const std::string other = "00000000-0000-4000-8000-00000000000B";
  world.source.AddDevice(other, "C02B");
  world.AddLock();
  world.AddLock().udid = other;
  for (const ImportMode mode : {ImportMode::kPlan, ImportMode::kImport}) {
    const ImportRun run = world.Run(mode);
    CHECK(run.outcome.problems == 1);
    CHECK(run.Says("DeviceLock for device " + other + " is pending in MDMDirector and not"));
    CHECK(run.Says("proposals_per_hour_max allows 1"));
  }
  CHECK(world.Proposals().size() == 1);
}

TEST_CASE("without data_key or beyond the budget it is a problem, and the next import goes on") {
  PendingWorld world;
  world.AddErase();
  std::string why;
  SECTION("no key") {
    world.secrets = Secrets();
    why = "set data_key_file";
  }
  SECTION("budget") {
    world.limits.per_hour_max = 0;
    why = "proposals_per_hour_max";
  }
  CheckLeftOut(world, why);
  // All else was taken over.
  CHECK(director_test::ListAll(*world.store).size() == 1);
  world.secrets = Secrets(TestDataKey(), nullptr);
  world.limits = ProposalLimits();
  CHECK(world.Run().outcome.problems == 0);
  CHECK(world.Proposals().size() == 1);
}

}  // namespace
}  // namespace director::director_import_pending_test
