// What a person proposes for a Mac, from the request to the device: the PIN in escrow first, then
// one command, never a second. Virtual Macs in virtual time.
#include <chrono>
#include <string>
#include <vector>

#include "director/propose.h"
#include "mdm/command.h"
#include "tests/support/catch.h"
#include "tests/support/director_world.h"
#include "tests/support/proposal_fleet.h"

namespace director::director_proposal_test {
namespace {

using director_test::CheckRefused;
using director_test::ReadFrom;
using director_test::WriteTo;
using Fleet = director_test::ProposalFleet;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

TEST_CASE("a Mac is locked with the PIN that was escrowed before") {
  Fleet fleet;
  fleet.escrow->is_down = true;
  const Proposal proposal = fleet.MustPropose(ProposalKind::kDeviceLock);
  fleet.world.Run(minutes(30));
  CHECK(fleet.escrow->calls > 2);
  CHECK(fleet.escrow->calls < 10);
  CHECK(fleet.Now(proposal).explanation.find("could not be escrowed: it is down") !=
        std::string::npos);
  CHECK(fleet.world.CountEnqueued("DeviceLock") == 0);
  fleet.escrow->is_down = false;
  fleet.world.Run(hours(1));
  REQUIRE(fleet.escrow->deposits.size() == 1);
  const auto& [serial, pin] = fleet.escrow->deposits.front();
  CHECK(serial == fleet.Serial());
  CHECK(fleet.SentPins("DeviceLock") == std::vector<std::string>{pin});
  CHECK(fleet.Now(proposal).state == ProposalState::kDone);
  CHECK(fleet.world.devices[0].is_locked());
  fleet.world.Run(hours(72));
  CHECK_FALSE(fleet.world.devices[0].is_locked());
  CHECK(fleet.world.CountEnqueued("DeviceLock") == 1);
}

TEST_CASE("a given PIN is used, and stands nowhere in clear") {
  Fleet fleet;
  ProposalRequest request;
  request.pin = Secret("493817");
  request.message = "Call us";
  request.phone_number = "0800 1234";
  const Result<Proposal> proposal = fleet.TryToPropose(request);
  REQUIRE(proposal);
  CHECK(fleet.Sealed(*proposal).secret.find("493817") == std::string::npos);
  fleet.world.Run(minutes(10));
  const auto sent = fleet.world.Enqueued("DeviceLock");
  REQUIRE(sent.size() == 1);
  const PlistDict body = DecodeCommand(sent.front().body)->body;
  CHECK(TextAt(body, "PIN") == "493817");
  CHECK(TextAt(body, "Message") == "Call us");
  CHECK(TextAt(body, "PhoneNumber") == "0800 1234");
  const auto happenings = ReadFrom(*fleet.world.store, [](StoreReader& reader) {
    return reader.ListHappenings({}, {"", 1000});
  });
  bool told = false;
  for (const Happening& happening : happenings) {
    CHECK(happening.text.find("493817") == std::string::npos);
    told = told || happening.text == "ada proposed DeviceLock: Stolen on the train";
  }
  CHECK(told);
}

TEST_CASE("without an escrow server the sealed PIN is the copy, and the command goes at once") {
  Fleet fleet;
  fleet.world.secrets = Secrets(director_test::TestDataKey(), nullptr);
  const Proposal proposal = fleet.MustPropose(ProposalKind::kDeviceLock);
  fleet.world.Run(minutes(1));
  CHECK(fleet.world.devices[0].is_locked());
  const auto pin = fleet.world.secrets.Open(fleet.Sealed(proposal).secret, fleet.world.id(0));
  REQUIRE(pin);
  CHECK(fleet.SentPins("DeviceLock") == std::vector<std::string>{pin->Reveal()});
  CHECK_FALSE(fleet.world.secrets.Open(fleet.Sealed(proposal).secret, EnrollmentId("ANOTHER")));
}

TEST_CASE("an erase can be cancelled until it is sent, and not after") {
  Fleet fleet;
  const Proposal first = fleet.MustPropose(ProposalKind::kEraseDevice);
  fleet.world.Run(minutes(4));
  REQUIRE(fleet.Cancel(first));
  fleet.world.Run(hours(48));
  CHECK(fleet.world.CountEnqueued("EraseDevice") == 0);
  CheckRefused(fleet.Cancel(first), ErrorKind::kConflict, "it is cancelled already");

  const Proposal second = fleet.MustPropose(ProposalKind::kEraseDevice);
  fleet.world.core.SetFaults({});
  fleet.world.drop_webhooks = true;
  fleet.world.clock.Advance(minutes(6));
  fleet.world.drop_webhooks = false;
  fleet.world.Run(minutes(1));
  CHECK(fleet.Now(second).state != ProposalState::kWaiting);
  CHECK_FALSE(fleet.Cancel(second));
}

TEST_CASE("an erased Mac enrolls anew, and is erased no second time") {
  Fleet fleet;
  const Proposal proposal = fleet.MustPropose(ProposalKind::kEraseDevice);
  fleet.world.Run(minutes(10));
  CHECK(fleet.Now(proposal).state == ProposalState::kDone);
  CHECK(fleet.world.devices[0].epoch() == 2);
  fleet.world.Session(0);
  fleet.world.Run(hours(72));
  CHECK(fleet.world.CountEnqueued("EraseDevice") == 1);
  CHECK(fleet.world.devices[0].epoch() == 2);
}

TEST_CASE("a Mac that enrolls anew before its erase is sent keeps what it has") {
  Fleet fleet;
  const Proposal proposal = fleet.MustPropose(ProposalKind::kEraseDevice);
  fleet.world.devices[0].Reenroll(ReenrollmentKind::kWiped, fleet.world.clock.Now());
  fleet.world.Session(0);
  fleet.world.Run(hours(48));
  CHECK(fleet.Now(proposal).state == ProposalState::kDropped);
  CHECK(fleet.world.CountEnqueued("EraseDevice") == 0);
}

TEST_CASE("an answer that never comes is not answered with a second command") {
  Fleet fleet;
  const Proposal proposal = fleet.MustPropose(ProposalKind::kDeviceLock);
  fleet.world.Settle();  // asks and pushes
  fleet.world.Settle();
  fleet.world.WakePushed();
  fleet.world.Settle();
  fleet.world.drop_webhooks = true;
  fleet.world.WakePushed();
  fleet.world.drop_webhooks = false;
  REQUIRE(fleet.world.devices[0].is_locked());
  REQUIRE(fleet.Now(proposal).state == ProposalState::kSent);
  fleet.world.Run(hours(3));
  fleet.world.Session(0);  // unlocked by now
  fleet.world.Run(hours(24));
  CHECK(fleet.Now(proposal).state == ProposalState::kFailed);
  CHECK(fleet.world.CountEnqueued("DeviceLock") == 1);
}

TEST_CASE("a crash between journal and server repeats no command that may have gone") {
  Fleet fleet;
  fleet.MustPropose(ProposalKind::kDeviceLock);
  fleet.world.wire->fault = director_test::CoreWire::Fault::kLoseAnswers;
  fleet.world.Run(minutes(2));
  fleet.world.Restart();
  fleet.world.wire->fault = director_test::CoreWire::Fault::kNone;
  fleet.world.Run(hours(24));
  CHECK(fleet.SentPins("DeviceLock").size() <= 2);  // the second is the same CommandUUID
  int locks = 0;
  for (const DeviceLogEntry& entry : fleet.world.devices[0].log()) {
    if (entry.text.starts_with("DeviceLock: Acknowledged")) ++locks;
  }
  CHECK(locks <= 1);
}

TEST_CASE("one that repeats locks again after each unlocking, until it is cancelled") {
  Fleet fleet;
  ProposalRequest request;
  request.repeats = true;
  const Result<Proposal> proposal = fleet.TryToPropose(request);
  REQUIRE(proposal);
  fleet.world.Run(minutes(10));
  REQUIRE(fleet.world.devices[0].is_locked());
  fleet.world.Run(hours(2));
  CHECK(fleet.world.CountEnqueued("DeviceLock") == 1);
  fleet.world.Session(0);  // unlocked by its PIN, it speaks
  fleet.world.Run(minutes(1));
  CHECK(fleet.world.devices[0].is_locked());
  const std::vector<std::string> pins = fleet.SentPins("DeviceLock");
  REQUIRE(pins.size() == 2);
  CHECK(pins[0] == pins[1]);
  REQUIRE(fleet.Cancel(*proposal));
  fleet.world.Run(hours(2));
  fleet.world.Session(0);
  fleet.world.Run(hours(24));
  CHECK(fleet.world.CountEnqueued("DeviceLock") == 2);
}

TEST_CASE("a restart and a shutdown take no PIN and need no key") {
  Fleet fleet;
  fleet.world.secrets = Secrets();
  const Proposal restart = fleet.MustPropose(ProposalKind::kRestartDevice);
  CHECK_FALSE(restart.has_secret);
  fleet.world.Run(minutes(10));
  CHECK(fleet.Now(restart).state == ProposalState::kDone);
  fleet.MustPropose(ProposalKind::kShutDownDevice);
  fleet.world.Run(minutes(10));
  CHECK(fleet.world.CountEnqueued("ShutDownDevice") == 1);
  ProposalRequest lock;
  CheckRefused(fleet.TryToPropose(lock), ErrorKind::kRejected, "set data_key_file");
}

TEST_CASE("a device has one open proposal, and the fleet a budget") {
  Fleet fleet(3);
  fleet.limits.per_hour_max = 2;
  fleet.MustPropose(ProposalKind::kEraseDevice);
  ProposalRequest lock;
  CheckRefused(fleet.TryToPropose(lock), ErrorKind::kConflict, "an open proposal");
  fleet.MustPropose(ProposalKind::kDeviceLock, 1);
  CheckRefused(fleet.TryToPropose(lock, 2), ErrorKind::kRejected,
               "proposals_per_hour_max allows 2");
  fleet.world.clock.Advance(hours(1) + seconds(1));
  fleet.MustPropose(ProposalKind::kDeviceLock, 2);
}

TEST_CASE("a PIN that cannot be opened holds up no other") {
  Fleet fleet(2);
  const Proposal broken = fleet.MustPropose(ProposalKind::kDeviceLock, 0);
  WriteTo(*fleet.world.store, [&](StoreWriter& writer) -> Status {
    auto enrollments = writer.LoadEnrollments({fleet.world.id(0)});
    if (!enrollments) return Fail(enrollments.error());
    enrollments->front().serial_number.clear();
    return writer.SaveEnrollments(*enrollments);
  });
  const Proposal good = fleet.MustPropose(ProposalKind::kDeviceLock, 1);
  fleet.world.Run(seconds(30));
  CHECK(fleet.Now(good).state == ProposalState::kDone);
  CHECK(fleet.Now(broken).explanation.find("serial number is not known") != std::string::npos);
}

TEST_CASE("while the escrow server is down it is asked once for all") {
  Fleet fleet(3);
  fleet.escrow->is_down = true;
  for (std::size_t i = 0; i < 3; ++i) fleet.MustPropose(ProposalKind::kDeviceLock, i);
  fleet.world.Settle();
  CHECK(fleet.escrow->calls == 1);
  fleet.escrow->is_down = false;
  fleet.world.Run(minutes(5));
  CHECK(fleet.escrow->deposits.size() == 3);
}

TEST_CASE("a command is not sent to an enrollment that has changed since it was journaled") {
  Fleet fleet;
  const Proposal proposal = fleet.MustPropose(ProposalKind::kRestartDevice);
  fleet.world.Session(0);
  const Timestamp now = fleet.world.clock.Now();
  std::vector<PlanCommit> commits;
  std::vector<CommandBatch> batches;
  WriteTo(*fleet.world.store, [&](StoreWriter& writer) -> Status {
    commits.clear();
    const auto claims = writer.ClaimDue(now, 10);
    if (!claims) return Fail(claims.error());
    const auto snapshot = writer.LoadSnapshot(fleet.world.id(0));
    if (!snapshot) return Fail(snapshot.error());
    commits.push_back({fleet.world.id(0),
                       snapshot->enrollment.upstream,
                       snapshot->items,
                       snapshot->proposal,
                       Reconcile(*snapshot, fleet.world.settings, now),
                       1,
                       {}});
    batches = fleet.world.executor->MakeBatches(commits);
    commits.back().lease_id = 7;
    return writer.CommitPlans(commits, now + minutes(10), now);
  });
  REQUIRE(fleet.Now(proposal).state == ProposalState::kSent);
  fleet.world.devices[0].Reenroll(ReenrollmentKind::kWiped, now);
  fleet.world.Session(0);
  fleet.world.executor->Send(batches);
  CHECK(fleet.world.CountEnqueued("RestartDevice") == 0);
}

TEST_CASE("nothing is proposed for a device that takes no commands") {
  Fleet fleet;
  WriteTo(*fleet.world.store, [&](StoreWriter& writer) -> Status {
    auto enrollments = writer.LoadEnrollments({fleet.world.id(0)});
    if (!enrollments) return Fail(enrollments.error());
    enrollments->front().status = EnrollmentStatus::kQuarantined;
    enrollments->front().quarantine_reason = "another serial number";
    return writer.SaveEnrollments(*enrollments);
  });
  ProposalRequest lock;
  CheckRefused(fleet.TryToPropose(lock), ErrorKind::kConflict,
               "quarantined: another serial number");
}

TEST_CASE("what no device can be sent is refused by name") {
  ProposalRequest request;
  const auto field = [&] {
    const Status checked = CheckProposal(request);
    return checked ? std::string() : checked.error().field;
  };
  CHECK(field() == "reason");
  request.reason = "Stolen";
  CHECK(field().empty());
  for (const char* pin : {"12345", "1234567", "12345a", "١٢٣"}) {
    request.pin = Secret(pin);
    CHECK(field() == "pin");
  }
  request.pin = Secret("123456");
  CHECK(field().empty());
  request.kind = ProposalKind::kEraseDevice;
  request.message = "Call us";
  CHECK(field() == "message");
  request.message.clear();
  request.reason.assign(kProposalTextMaxBytes + 1, 'a');
  CHECK(field() == "reason");
}

TEST_CASE("a proposal waits for a sleeping Mac and expires") {
  Fleet fleet;
  fleet.limits.time_max = hours(24);
  fleet.world.wire->fault = director_test::CoreWire::Fault::kDown;
  const Proposal proposal = fleet.MustPropose(ProposalKind::kDeviceLock);
  fleet.world.Run(hours(23));
  CHECK(fleet.Now(proposal).state == ProposalState::kWaiting);
  fleet.world.Run(hours(2));
  CHECK(fleet.Now(proposal).state == ProposalState::kExpired);
  fleet.world.wire->fault = director_test::CoreWire::Fault::kNone;
  fleet.world.Run(hours(24));
  CHECK(fleet.world.CountEnqueued("DeviceLock") == 0);
}

}  // namespace
}  // namespace director::director_proposal_test
