// RotateFileVaultKey, from the proposal to the key that is kept: virtual Macs in virtual time.
#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "base/text.h"
#include "director/file_vault_key.h"
#include "reconciler/file_vault_key.h"
#include "tests/support/catch.h"
#include "tests/support/proposal_fleet.h"

namespace director::director_file_vault_key_test {
namespace {

using director_test::CheckRefused;
using director_test::ReadFrom;
using director_test::WriteTo;
using Fleet = director_test::ProposalFleet;
using std::chrono::hours;
using std::chrono::minutes;

ProposalRequest Rotate(const std::string& password = "") {
  ProposalRequest request;
  request.kind = ProposalKind::kRotateFileVaultKey;
  request.password = Secret(password);
  return request;
}

const std::string& KeyOf(const Fleet& fleet) { return fleet.world.devices[0].recovery_key(); }

std::string PasswordOf(const Fleet& fleet) {
  return FileVaultPassword(fleet.world.devices[0].facts());
}

/// What `director secret` shows.
std::string Shown(Fleet& fleet, const Proposal& proposal) {
  const auto key = fleet.world.secrets.Open(fleet.Sealed(proposal).secret, proposal.enrollment_id);
  return key ? key->Reveal() : std::string();
}

std::string SentPassword(const Fleet& fleet, std::size_t index) {
  const auto sent = fleet.world.Enqueued("RotateFileVaultKey");
  REQUIRE(sent.size() > index);
  const auto command = DecodeCommand(sent[index].body);
  return TextAt(*command->body.Find("FileVaultUnlock")->AsDict(), "Password");
}

/// The Mac's answer to the proposal's command, as a webhook brings it.
MdmEvent AnswerOf(const Fleet& fleet, const Proposal& proposal, std::string envelope) {
  ResultEvent result;
  result.command_uuid = proposal.command_uuid;
  result.encrypted_recovery_key = std::move(envelope);
  MdmEvent event;
  event.upstream = director_test::kServer;
  event.created_at = fleet.world.clock.Now();
  event.channel.enrollment_id = proposal.enrollment_id;
  event.channel.device_id = proposal.enrollment_id;
  event.body = std::move(result);
  return event;
}

void Receive(Fleet& fleet, const MdmEvent& event) {
  REQUIRE(RecordIncoming(*fleet.world.store, {{fleet.world.clock.Now(), event}}));
}

/// As if the Mac had encrypted this for the proposal's certificate.
std::string Envelope(const std::string& content) {
  const auto certificate = ReplyCertificate(director_test::SomeReplyIdentity());
  return EncryptReply(*certificate, content).value();
}

TEST_CASE("a FileVault key is rotated with a password first, then with the key that is known") {
  Fleet fleet;
  const std::string first = KeyOf(fleet);
  CheckRefused(fleet.TryToPropose(Rotate()), ErrorKind::kConflict,
               "no recovery key of this Mac is known; give the password");
  const Proposal one = fleet.Carry(Rotate(PasswordOf(fleet)));
  CHECK(one.state == ProposalState::kDone);
  CHECK(one.effect == ProposalEffect::kCarriedOut);
  CHECK(one.explanation.find("which is kept.") != std::string::npos);
  const std::string second = KeyOf(fleet);
  CHECK(second != first);
  CHECK(Shown(fleet, one) == second);
  REQUIRE(fleet.escrow->deposits.size() == 1);
  CHECK(fleet.escrow->deposits[0] == std::pair(fleet.Serial(), second));
  CHECK(fleet.escrow->types[0] == SecretType::kRecoveryKey);

  const Proposal two = fleet.Carry(Rotate());
  CHECK(two.state == ProposalState::kDone);
  CHECK(SentPassword(fleet, 1) == second);
  CHECK(KeyOf(fleet) != second);
  CHECK(Shown(fleet, two) == KeyOf(fleet));
  CHECK(Shown(fleet, one) == second);
  CHECK(fleet.escrow->deposits.size() == 2);
}

TEST_CASE("neither password nor recovery key stands anywhere in clear") {
  Fleet fleet;
  const Proposal proposal = fleet.Carry(Rotate(PasswordOf(fleet)));
  const SealedSecrets sealed = fleet.Sealed(proposal);
  for (const std::string& secret : {PasswordOf(fleet), KeyOf(fleet), std::string("PRIVATE KEY")}) {
    for (const std::string& text :
         {sealed.secret, sealed.current, sealed.reply_identity, sealed.encrypted_key,
          DecodeBase64(sealed.encrypted_key).value(), proposal.explanation}) {
      CHECK(text.find(secret) == std::string::npos);
    }
    for (const Happening& happening : ReadFrom(*fleet.world.store, [](StoreReader& reader) {
           return reader.ListHappenings({}, {"", 1000});
         })) {
      CHECK(happening.text.find(secret) == std::string::npos);
    }
  }
}

TEST_CASE("a new key is sealed at once and not done before the escrow server has it") {
  Fleet fleet;
  fleet.escrow->is_down = true;
  const Proposal waits = fleet.Carry(Rotate(PasswordOf(fleet)));
  CHECK(waits.state == ProposalState::kAnswered);
  CHECK(waits.effect == ProposalEffect::kCarriedOut);
  CHECK_FALSE(waits.escrowed_at);
  CHECK(waits.explanation.find("could not be escrowed: it is down.") != std::string::npos);
  CHECK(Shown(fleet, waits) == KeyOf(fleet));
  const int calls = fleet.escrow->calls;
  CHECK(calls > 1);
  // Meanwhile the Mac can be locked, and what is sealed unlocks the next rotation.
  fleet.MustPropose(ProposalKind::kRestartDevice);
  fleet.world.Run(hours(3));
  CHECK(fleet.world.CountEnqueued("RestartDevice") == 1);
  CHECK(fleet.escrow->calls > calls);
  CHECK(fleet.escrow->calls < calls + 40);
  fleet.world.Restart();
  fleet.escrow->is_down = false;
  fleet.world.Run(hours(8));
  const Proposal done = fleet.Now(waits);
  CHECK(done.state == ProposalState::kDone);
  CHECK(done.escrowed_at);
  REQUIRE(fleet.escrow->deposits.size() == 1);
  CHECK(fleet.escrow->deposits[0].second == KeyOf(fleet));
}

TEST_CASE("when the escrow server fails at one new key it is not asked for the others just then") {
  Fleet fleet(3);
  fleet.escrow->is_down = true;
  std::vector<Proposal> proposals;
  for (std::size_t i = 0; i < 3; ++i) {
    ProposalRequest request = Rotate(FileVaultPassword(fleet.world.devices[i].facts()));
    const Result<Proposal> proposal = fleet.TryToPropose(request, i);
    REQUIRE(proposal);
    proposals.push_back(*proposal);
  }
  while (fleet.world.CountEnqueued("RotateFileVaultKey") < 3) {
    fleet.world.Settle();
    for (std::size_t i = 0; i < 3; ++i) fleet.world.Session(i);
  }
  for (std::size_t i = 0; i < 3; ++i) fleet.world.Session(i);
  fleet.world.Settle();
  CHECK(fleet.escrow->calls == 1);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(fleet.Now(proposals[i]).state == ProposalState::kAnswered);
    CHECK(Shown(fleet, proposals[i]) == fleet.world.devices[i].recovery_key());
  }
  fleet.escrow->is_down = false;
  fleet.world.Run(minutes(10));
  CHECK(fleet.escrow->deposits.size() == 3);
  for (const Proposal& proposal : proposals) {
    CHECK(fleet.Now(proposal).state == ProposalState::kDone);
  }
}

TEST_CASE("a new key that no data key seals is kept as it came until one does") {
  Fleet fleet;
  const Proposal proposal = fleet.MustPropose(Rotate(PasswordOf(fleet)));
  while (fleet.world.CountEnqueued("RotateFileVaultKey") == 0) {
    fleet.world.Session(0);
    fleet.world.Settle();
  }
  auto* escrow = new director_test::NotingEscrow;
  fleet.world.secrets = Secrets(SecretSource::FromValue(Secret(EncodeBase64(std::string(32, 'x')))),
                                std::unique_ptr<Escrow>(escrow), director_test::ReuseReplyIdentity);
  fleet.world.Run(hours(1));
  const Proposal waits = fleet.Now(proposal);
  CHECK(waits.state == ProposalState::kAnswered);
  CHECK_FALSE(waits.has_secret);
  CHECK(waits.explanation.find("could not be opened") != std::string::npos);
  CHECK_FALSE(fleet.Sealed(proposal).encrypted_key.empty());
  CheckRefused(fleet.TryToPropose(Rotate()), ErrorKind::kConflict, "is not opened yet");
  fleet.world.secrets = Secrets(director_test::TestDataKey(), nullptr);
  fleet.world.Run(hours(8));
  CHECK(fleet.Now(proposal).state == ProposalState::kDone);
  CHECK(Shown(fleet, proposal) == KeyOf(fleet));
}

TEST_CASE("without an escrow server a new key is done when it is sealed") {
  Fleet fleet;
  fleet.world.secrets =
      Secrets(director_test::TestDataKey(), nullptr, director_test::ReuseReplyIdentity);
  const Proposal done = fleet.Carry(Rotate(PasswordOf(fleet)));
  CHECK(done.state == ProposalState::kDone);
  CHECK(Shown(fleet, done) == KeyOf(fleet));
}

TEST_CASE("after a lost answer nobody guesses the key; a password or the late answer mends it") {
  Fleet fleet;
  fleet.Carry(Rotate(PasswordOf(fleet)));
  const Proposal lost = fleet.LoseAnswer(Rotate());
  CHECK(lost.state == ProposalState::kFailed);
  CHECK(lost.effect == ProposalEffect::kUnknown);
  CHECK(lost.explanation.find("rotate it again with the password") != std::string::npos);
  CHECK(fleet.world.CountEnqueued("RotateFileVaultKey") == 2);
  CheckRefused(fleet.TryToPropose(Rotate()), ErrorKind::kConflict,
               "proposal 2 may have given the Mac a recovery key that Director has not got");
  SECTION("a password") {
    const Proposal mended = fleet.Carry(Rotate(PasswordOf(fleet)));
    CHECK(mended.state == ProposalState::kDone);
    CHECK(Shown(fleet, mended) == KeyOf(fleet));
    CHECK(fleet.Carry(Rotate()).state == ProposalState::kDone);
  }
  SECTION("the late answer, also beside another proposal and after a new enrollment") {
    const bool is_locked = GENERATE(false, true);
    if (is_locked) fleet.MustPropose(ProposalKind::kDeviceLock);
    const bool is_over = GENERATE(false, true);
    MdmEvent late = AnswerOf(fleet, lost, Envelope(KeyOf(fleet)));
    if (is_over) {
      fleet.world.devices[0].Reenroll(ReenrollmentKind::kKept, fleet.world.clock.Now());
      fleet.world.clock.Advance(minutes(10));
      fleet.world.Session(0);
    }
    Receive(fleet, late);
    Receive(fleet, late);
    fleet.world.Run(minutes(5));
    const Proposal mended = fleet.Now(lost);
    CHECK(mended.state == ProposalState::kDone);
    CHECK(mended.effect == ProposalEffect::kCarriedOut);
    CHECK(Shown(fleet, mended) == KeyOf(fleet));
    CHECK(std::count(fleet.escrow->deposits.begin(), fleet.escrow->deposits.end(),
                     std::pair(fleet.Serial(), KeyOf(fleet))) == 1);
  }
}

TEST_CASE("an answer that gives no key is kept, told, and trusted for nothing") {
  Fleet fleet;
  const Proposal lost = fleet.LoseAnswer(Rotate(PasswordOf(fleet)));
  const auto envelope = GENERATE(as<std::string>(), "no CMS", Envelope(""), Envelope("two\nlines"),
                                 Envelope(std::string(kRecoveryKeyMaxBytes + 1, 'A')));
  Receive(fleet, AnswerOf(fleet, lost, envelope));
  fleet.world.Run(hours(1));
  const Proposal useless = fleet.Now(lost);
  CHECK(useless.state == ProposalState::kFailed);
  CHECK(useless.effect == ProposalEffect::kCarriedOut);
  CHECK(useless.explanation.find("gives no recovery key") != std::string::npos);
  CHECK(DecodeBase64(fleet.Sealed(lost).encrypted_key).value() == envelope);
  CHECK(fleet.escrow->deposits.empty());
  CheckRefused(fleet.TryToPropose(Rotate()), ErrorKind::kConflict, "give the password");
}

TEST_CASE("a line's end after the key is none of it") {
  Fleet fleet;
  const Proposal lost = fleet.LoseAnswer(Rotate(PasswordOf(fleet)));
  Receive(fleet, AnswerOf(fleet, lost, Envelope("ABCD-EFGH\n")));
  fleet.world.Run(hours(1));
  CHECK(fleet.Now(lost).state == ProposalState::kDone);
  CHECK(Shown(fleet, lost) == "ABCD-EFGH");
  CHECK(fleet.Sealed(lost).current.empty());
}

TEST_CASE("a key that is void by now does not come last to the escrow server") {
  Fleet fleet;
  fleet.escrow->is_down = true;
  const Proposal first = fleet.Carry(Rotate(PasswordOf(fleet)));
  fleet.world.Run(hours(8));
  fleet.escrow->is_down = false;
  const Proposal second = fleet.Carry(Rotate());
  REQUIRE(fleet.Now(second).state == ProposalState::kDone);
  fleet.world.Run(hours(12));
  CHECK(fleet.Now(first).state == ProposalState::kDone);
  REQUIRE_FALSE(fleet.escrow->deposits.empty());
  CHECK(fleet.escrow->deposits.back().second == KeyOf(fleet));
}

TEST_CASE("a clock that is set back makes no earlier key the newer one") {
  Fleet fleet;
  const Proposal first = fleet.Carry(Rotate(PasswordOf(fleet)));
  const Proposal second = fleet.LoseAnswer(Rotate());
  const Duration set_back = hours(48);
  fleet.world.clock.Advance(-set_back);
  Receive(fleet, AnswerOf(fleet, second, Envelope(KeyOf(fleet))));
  fleet.world.Run(minutes(5));
  CHECK(fleet.Now(second).state == ProposalState::kDone);
  CHECK(fleet.escrow->deposits.back().second == KeyOf(fleet));
  fleet.world.clock.Advance(set_back);
  const Proposal third = fleet.Carry(Rotate());
  CHECK(third.state == ProposalState::kDone);
  CHECK(SentPassword(fleet, 2) == Shown(fleet, second));
  CHECK(Shown(fleet, first) != Shown(fleet, second));
}

TEST_CASE("a new key that another tool asked for is not Director's") {
  Fleet fleet;
  const Proposal done = fleet.Carry(Rotate(PasswordOf(fleet)));
  const std::string key = Shown(fleet, done);
  MdmEvent foreign = AnswerOf(fleet, done, Envelope("another"));
  std::get<ResultEvent>(foreign.body).command_uuid = CommandUuid("OF-ANOTHER-TOOL");
  Receive(fleet, foreign);
  Receive(fleet, AnswerOf(fleet, done, Envelope("said twice")));
  fleet.world.Run(hours(1));
  CHECK(fleet.Now(done) == done);
  CHECK(Shown(fleet, done) == key);
}

TEST_CASE("what the Mac refuses leaves its key as it was, in the Mac's words") {
  Fleet fleet;
  const Proposal known = fleet.Carry(Rotate(PasswordOf(fleet)));
  const std::string key = KeyOf(fleet);
  const Proposal wrong = fleet.MustPropose(Rotate("a wrong word"));
  fleet.world.Run(hours(24 * 3));
  CHECK(fleet.world.CountEnqueued("RotateFileVaultKey") == 2);
  const Proposal refused = fleet.Now(wrong);
  CHECK(refused.state == ProposalState::kFailed);
  CHECK(refused.effect == ProposalEffect::kNone);
  CHECK(refused.explanation.find("The password is wrong.") != std::string::npos);
  CHECK(KeyOf(fleet) == key);
  CHECK(fleet.Carry(Rotate()).state == ProposalState::kDone);
  CHECK(Shown(fleet, known) == key);
}

TEST_CASE("who cannot have a FileVault key rotated is refused with the reason") {
  Fleet fleet;
  const auto refuse = [&](const auto& change, ErrorKind kind, const char* part) {
    WriteTo(*fleet.world.store, [&](StoreWriter& writer) -> Status {
      auto known = writer.LoadEnrollments({fleet.world.id(0)});
      if (!known) return Fail(known.error());
      change(known->front());
      return writer.SaveEnrollments({known->front()});
    });
    CheckRefused(fleet.TryToPropose(Rotate("a word")), kind, part);
  };
  SECTION("no Mac") {
    refuse([](Enrollment& e) { e.product_name = "iPhone15,4"; }, ErrorKind::kRejected,
           "only a Mac has FileVault");
  }
  SECTION("User Enrollment") {
    refuse([](Enrollment& e) { e.channel.type = ChannelType::kUserEnrollmentDevice; },
           ErrorKind::kRejected, "User Enrollment");
  }
  SECTION("no key to seal with") {
    fleet.world.secrets = Secrets();
    refuse([](Enrollment&) {}, ErrorKind::kRejected, "set data_key_file");
  }
}

}  // namespace
}  // namespace director::director_file_vault_key_test
