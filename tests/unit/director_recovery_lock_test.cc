// The recovery lock of Macs with Apple silicon, from the proposal to the device: the new password
// in escrow first, the old one beside it until one is proven. Virtual Macs in virtual time.
#include <chrono>
#include <optional>
#include <string>

#include "director/recovery_lock.h"
#include "tests/support/catch.h"
#include "tests/support/proposal_fleet.h"

namespace director::director_recovery_lock_test {
namespace {

using director_test::CheckRefused;
using director_test::ReadFrom;
using director_test::WriteTo;
using Fleet = director_test::ProposalFleet;
using std::chrono::hours;
using std::chrono::minutes;

ProposalRequest Set(std::optional<Secret> password = {}) {
  ProposalRequest request;
  request.kind = ProposalKind::kSetRecoveryLock;
  request.new_password = std::move(password);
  return request;
}

ProposalRequest Verify() {
  ProposalRequest request;
  request.kind = ProposalKind::kVerifyRecoveryLock;
  return request;
}

const std::string& PasswordOf(const Fleet& fleet) {
  return fleet.world.devices[0].recovery_lock_password();
}

/// Another tool sets the password, without Director's knowing.
void SetByAnother(Fleet& fleet, const std::string& current, const std::string& password) {
  const auto answer = fleet.world.devices[0].Execute(
      EncodeCommand(SetRecoveryLockCommand{Secret(current), Secret(password)}, CommandUuid("X")),
      fleet.world.clock.Now());
  REQUIRE(answer);
  REQUIRE(PasswordOf(fleet) == password);
}

TEST_CASE("a recovery lock password is made, escrowed, then set, and the next one knows it") {
  Fleet fleet;
  fleet.escrow->is_down = true;
  const Result<Proposal> first = fleet.TryToPropose(Set());
  REQUIRE(first);
  fleet.world.Run(minutes(30));
  CHECK(fleet.world.CountEnqueued("SetRecoveryLock") == 0);
  CHECK(fleet.Now(*first).explanation.find("could not be escrowed: it is down") !=
        std::string::npos);
  fleet.escrow->is_down = false;
  fleet.world.Run(hours(1));
  CHECK(fleet.Now(*first).state == ProposalState::kDone);
  REQUIRE(fleet.escrow->deposits.size() == 1);
  CHECK(fleet.escrow->deposits[0] == std::pair(fleet.Serial(), PasswordOf(fleet)));
  CHECK(fleet.escrow->types[0] == SecretType::kPassword);
  CHECK(PasswordOf(fleet).size() == 16);

  const std::string before = PasswordOf(fleet);
  CHECK(fleet.Carry(Set(Secret("second word"))).state == ProposalState::kDone);
  CHECK(PasswordOf(fleet) == "second word");
  const auto sent = fleet.world.Enqueued("SetRecoveryLock");
  REQUIRE(sent.size() == 2);
  CHECK(DecodeCommand(sent[0].body)->body.Find("CurrentPassword") == nullptr);
  CHECK(TextAt(DecodeCommand(sent[1].body)->body, "CurrentPassword") == before);

  const Proposal cleared = fleet.Carry(Set(Secret()));
  CHECK(cleared.state == ProposalState::kDone);
  CHECK_FALSE(cleared.has_secret);
  CHECK(PasswordOf(fleet).empty());
  CHECK(fleet.escrow->deposits.size() == 2);
}

TEST_CASE("a recovery lock password stands nowhere in clear") {
  Fleet fleet;
  const Proposal proposal = fleet.Carry(Set(Secret("second word")));
  const Proposal changed = fleet.Carry(Set(Secret("third word")));
  for (const Proposal& one : {proposal, changed}) {
    REQUIRE(one.state == ProposalState::kDone);
    const SealedSecrets sealed = fleet.Sealed(one);
    CHECK(sealed.secret.find("word") == std::string::npos);
    CHECK(sealed.current.find("word") == std::string::npos);
    CHECK(one.explanation.find("word") == std::string::npos);
  }
  for (const Happening& happening : ReadFrom(*fleet.world.store, [](StoreReader& reader) {
         return reader.ListHappenings({}, {"", 1000});
       })) {
    CHECK(happening.text.find("word") == std::string::npos);
  }
}

TEST_CASE("after a lost answer both passwords are kept until the Mac says which one it has") {
  Fleet fleet;
  const Proposal first = fleet.Carry(Set());
  const std::string old = PasswordOf(fleet);
  const bool reaches_mac = GENERATE(true, false);
  // Somebody else had changed it and changed it back: the Mac keeps the old one.
  if (!reaches_mac) SetByAnother(fleet, old, "other");
  const Proposal lost = fleet.LoseAnswer(Set());
  if (!reaches_mac) SetByAnother(fleet, "other", old);
  CHECK(lost.state == ProposalState::kFailed);
  CHECK(lost.effect == ProposalEffect::kUnknown);
  CHECK((PasswordOf(fleet) == old) != reaches_mac);
  CHECK(fleet.world.CountEnqueued("SetRecoveryLock") == 2);
  CheckRefused(fleet.TryToPropose(Set()), ErrorKind::kConflict,
               "that of proposal 2 or that of proposal 1. Propose VerifyRecoveryLock first");

  const Proposal verified = fleet.Carry(Verify());
  CHECK(verified.state == ProposalState::kDone);
  CHECK(verified.verifies == lost.proposal_id);
  CHECK((verified.effect == ProposalEffect::kCarriedOut) == reaches_mac);
  CHECK((verified.effect == ProposalEffect::kDenied) != reaches_mac);
  const std::string in_force = PasswordOf(fleet);
  CHECK(fleet.Carry(Set()).state == ProposalState::kDone);
  CHECK(PasswordOf(fleet) != in_force);
  CHECK(fleet.Now(first).effect == ProposalEffect::kCarriedOut);
}

TEST_CASE("a password that another tool has changed is refused, told, and verified anew") {
  Fleet fleet;
  const Proposal first = fleet.Carry(Set());
  SetByAnother(fleet, PasswordOf(fleet), "of another tool");
  const Proposal refused = fleet.Carry(Set());
  CHECK(refused.state == ProposalState::kFailed);
  CHECK(refused.effect == ProposalEffect::kNone);
  CHECK(refused.explanation.find("MDMClientError 70") != std::string::npos);
  CHECK(PasswordOf(fleet) == "of another tool");
  const Proposal denied = fleet.Carry(Verify());
  CHECK(denied.effect == ProposalEffect::kDenied);
  CHECK(denied.verifies == first.proposal_id);
  CheckRefused(fleet.TryToPropose(Verify()), ErrorKind::kConflict, "give password or verifies");
  ProposalRequest knowing = Verify();
  knowing.password = Secret("of another tool");
  CHECK(fleet.Carry(knowing).effect == ProposalEffect::kCarriedOut);
  CHECK(fleet.Carry(Set()).state == ProposalState::kDone);
}

TEST_CASE("a password that was verified once and denied later is used no more") {
  Fleet fleet;
  const Proposal first = fleet.Carry(Set());
  const Proposal verified = fleet.Carry(Verify());
  CHECK(verified.effect == ProposalEffect::kCarriedOut);
  SetByAnother(fleet, PasswordOf(fleet), "of another tool");
  ProposalRequest again = Verify();
  if (GENERATE(true, false)) again.verifies = verified.proposal_id;
  const Proposal denied = fleet.Carry(again);
  CHECK(denied.effect == ProposalEffect::kDenied);
  CHECK(denied.verifies == first.proposal_id);
  SetByAnother(fleet, "of another tool", "");
  const Proposal next = fleet.Carry(Set());
  CHECK(next.state == ProposalState::kDone);
  CHECK(fleet.Sealed(next).current.empty());
}

TEST_CASE("the password of the enrollment before is verified first") {
  const bool is_kept = GENERATE(true, false);
  Fleet fleet;
  fleet.Carry(Set());
  fleet.world.devices[0].Reenroll(is_kept ? ReenrollmentKind::kKept : ReenrollmentKind::kWiped,
                                  fleet.world.clock.Now());
  fleet.world.Session(0);
  fleet.world.Run(hours(1));
  CheckRefused(fleet.TryToPropose(Set()), ErrorKind::kConflict,
               "that of proposal 1 or none that Director knows");
  const Proposal verified = fleet.Carry(Verify());
  CHECK(verified.effect == (is_kept ? ProposalEffect::kCarriedOut : ProposalEffect::kDenied));
  CHECK(fleet.Carry(Set()).state == ProposalState::kDone);
}

TEST_CASE("any password can be tried, and one that fits is known from then on") {
  Fleet fleet;
  SetByAnother(fleet, "", "of another tool");
  CheckRefused(fleet.TryToPropose(Verify()), ErrorKind::kConflict, "give password or verifies");
  ProposalRequest guess = Verify();
  guess.password = Secret("wrong");
  CHECK(fleet.Carry(guess).effect == ProposalEffect::kDenied);
  guess.password = Secret("of another tool");
  const Proposal fits = fleet.Carry(guess);
  CHECK(fits.effect == ProposalEffect::kCarriedOut);
  CHECK(fleet.escrow->deposits.empty());
  CHECK(fleet.Carry(Set()).state == ProposalState::kDone);
  ProposalRequest older = Verify();
  older.verifies = fits.proposal_id;
  CHECK(fleet.Carry(older).effect == ProposalEffect::kDenied);
  older.verifies = 4711;
  CheckRefused(fleet.TryToPropose(older), ErrorKind::kNotFound, "no such proposal");
}

TEST_CASE("the password of another device is not tried") {
  Fleet fleet(2);
  const Result<Proposal> other = fleet.TryToPropose(Set(), 1);
  REQUIRE(other);
  ProposalRequest request = Verify();
  request.verifies = other->proposal_id;
  CheckRefused(fleet.TryToPropose(request), ErrorKind::kNotFound, "of this device");
}

TEST_CASE("what has no recovery lock is proposed none") {
  Fleet fleet;
  std::string part;
  SECTION("an iPhone") { part = "only a Mac with Apple silicon"; }
  SECTION("an old system") { part = "has macOS 11.4; the recovery lock needs 11.5"; }
  SECTION("User Enrollment") { part = "in User Enrollment"; }
  SECTION("an Intel Mac") { part = "it has no Apple silicon"; }
  WriteTo(*fleet.world.store, [&](StoreWriter& writer) -> Status {
    auto enrollments = writer.LoadEnrollments({fleet.world.id(0)});
    if (!enrollments) return Fail(enrollments.error());
    Enrollment& enrollment = enrollments->front();
    if (part.starts_with("only")) enrollment.product_name = "iPhone15,2";
    if (part.starts_with("has macOS")) enrollment.os_version = "11.4";
    if (part.starts_with("in User")) enrollment.channel.type = ChannelType::kUserEnrollmentDevice;
    if (part.starts_with("it has")) {
      const Inventory intel = {{{fleet.world.id(0), InventoryKind::kDeviceInformation},
                                {1, fleet.world.clock.Now(), R"({"IsAppleSilicon": false})"}}};
      if (Status saved = writer.SaveInventory(intel); !saved) return saved;
    }
    return writer.SaveEnrollments(*enrollments);
  });
  CheckRefused(fleet.TryToPropose(Set()), ErrorKind::kRejected, part);
  fleet.world.Run(hours(1));
  CHECK(fleet.world.CountEnqueued("SetRecoveryLock") == 0);
}

TEST_CASE(
    "without a key no recovery lock password is proposed, and without a serial number none sent") {
  Fleet fleet;
  fleet.world.secrets = Secrets();
  CheckRefused(fleet.TryToPropose(Set()), ErrorKind::kRejected, "set data_key_file");
  Fleet nameless;
  WriteTo(*nameless.world.store, [&](StoreWriter& writer) -> Status {
    auto enrollments = writer.LoadEnrollments({nameless.world.id(0)});
    if (!enrollments) return Fail(enrollments.error());
    enrollments->front().serial_number.clear();
    return writer.SaveEnrollments(*enrollments);
  });
  const Result<Proposal> proposal = nameless.TryToPropose(Set());
  REQUIRE(proposal);
  nameless.world.Settle();
  CHECK(nameless.world.CountEnqueued("SetRecoveryLock") == 0);
  CHECK(nameless.Now(*proposal).last_error.find("serial number is not known") != std::string::npos);
}

TEST_CASE("what no recovery lock can take is refused by name") {
  const auto field = [](ProposalRequest request) {
    request.reason = "Policy";
    const Status checked = CheckProposal(request);
    return checked ? std::string() : checked.error().field;
  };
  CHECK(field(Set()).empty());
  CHECK(field(Set(Secret())).empty());
  CHECK(field(Set(Secret(std::string(kRecoveryPasswordMaxBytes, 'a')))).empty());
  CHECK(field(Set(Secret(std::string(kRecoveryPasswordMaxBytes + 1, 'a')))) == "new_password");
  CHECK(field(Set(Secret("two\nlines"))) == "new_password");
  ProposalRequest request = Verify();
  request.password = Secret("two\nlines");
  CHECK(field(request) == "password");
  request = Set();
  request.pin = Secret("123456");
  CHECK(field(request) == "pin");
  request = Set();
  request.password = Secret("word");
  CHECK(field(request) == "password");
  request = Set();
  request.verifies = 1;
  CHECK(field(request) == "verifies");
  request = Verify();
  request.new_password = Secret("word");
  CHECK(field(request) == "new_password");
  request = Verify();
  request.password = Secret("word");
  CHECK(field(request).empty());
  request.verifies = 1;
  CHECK(field(request) == "verifies");
  ProposalRequest lock;
  lock.new_password = Secret("word");
  CHECK(field(lock) == "new_password");
}

}  // namespace
}  // namespace director::director_recovery_lock_test
