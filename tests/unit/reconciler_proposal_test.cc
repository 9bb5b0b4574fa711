#include "reconciler/plan.h"
#include "reconciler/proposal_rule.h"
#include "tests/support/check_plan.h"

namespace director::reconciler_proposal_test {
namespace {

using test::CheckPlan;

const std::string kNoon = "2026-11-22T12:00:00Z";
const Timestamp kNow = *ParseTime("2026-11-22T12:00:00Z");

std::string ExplanationOf(const Plan& plan) {
  REQUIRE(plan.proposal);
  return plan.proposal->explanation;
}

TEST_CASE("a proposal goes to an awake device, before everything else") {
  const Plan plan = CheckPlan(R"(
    enrollment product=Mac15,3
    want wifi A all
    report -1m
    proposal DeviceLock waiting)",
                              kNoon,
                              "DeviceLock; InstallProfile wifi A; ProfileList; push\n"
                              "wifi in_flight\nproposal sent");
  CHECK(plan.commands.front().proposal_id == 7);
  CHECK(plan.commands.front().reason == "Proposed by ada: Stolen");
  CHECK(plan.proposal->state_since == kNow);
}

TEST_CASE(
    "a sleeping device is asked and pushed; the command waits here, where it can be cancelled") {
  const Plan plan = CheckPlan(R"(
    enrollment product=Mac15,3 seen=-3h
    report -3h
    proposal EraseDevice waiting)",
                              kNoon, "ProfileList; push\nproposal waiting");
  CHECK(plan.wants_wake);
  CHECK(ExplanationOf(plan) ==
        "The Mac was last heard from at 2026-11-22T09:00:00Z. It is sent as soon as that is awake, "
        "until 2026-11-29T12:00:00Z at the latest.");
}

TEST_CASE("nothing is sent before the PIN is escrowed") {
  CheckPlan("report -1m\nproposal DeviceLock waiting escrowed=none", kNoon,
            "escrow\nproposal waiting");
  CheckPlan("enrollment seen=-3h\nreport -3h\nproposal DeviceLock waiting escrowed=none", kNoon,
            "escrow\nproposal waiting");
  const Plan later = CheckPlan(
      "report -1m\nproposal DeviceLock waiting escrowed=none attempts=2 next=+3m error=Down.",
      kNoon, "nothing\nproposal waiting");
  CHECK(later.due_at == kNow + std::chrono::minutes(3));
  CHECK(ExplanationOf(later) == "Down. Next attempt at 2026-11-22T12:03:00Z.");
}

TEST_CASE("an erase can be cancelled for a while before it goes") {
  const Plan plan = CheckPlan("report -1m\nproposal EraseDevice waiting before=+5m", kNoon,
                              "nothing\nproposal waiting");
  CHECK(plan.due_at == kNow + std::chrono::minutes(5));
  CHECK(ExplanationOf(plan) == "It can be cancelled until 2026-11-22T12:05:00Z; then it is sent.");
}

TEST_CASE("a proposal expires, also of a device that takes nothing") {
  CheckPlan("report -1m\nproposal DeviceLock waiting expires=-1s", kNoon,
            "nothing\nproposal expired");
  const Plan held = CheckPlan("enrollment quarantined reason=Odd.\nproposal DeviceLock waiting",
                              kNoon, "nothing\nproposal waiting");
  CHECK(ExplanationOf(held) == "Quarantined: Odd.");
  CheckPlan("enrollment quarantined reason=Odd.\nproposal DeviceLock waiting expires=-1s", kNoon,
            "nothing\nproposal expired");
}

TEST_CASE("no proposal outlives the enrollment that it was made for") {
  for (const char* state : {"waiting", "sent"}) {
    CheckPlan(
        std::string("enrollment epoch=2\nreport -1m\nproposal EraseDevice ") + state + " epoch=1",
        kNoon, "nothing\nproposal dropped");
    CheckPlan(std::string("enrollment checked_out\nproposal EraseDevice ") + state, kNoon,
              "nothing\nproposal dropped");
  }
}

TEST_CASE("an acknowledged proposal is done") {
  const Plan plan = CheckPlan(
      "report -1m\nproposal DeviceLock sent\nintent DeviceLock acknowledged -9s answered=-8s",
      kNoon, "nothing\nproposal done\nclosed c1 acknowledged");
  CHECK(ExplanationOf(plan) == "The device acknowledged DeviceLock at 2026-11-22T11:59:52Z.");
}

TEST_CASE("what was surely not sent goes again") {
  CheckPlan(
      "report -1m\nproposal DeviceLock sent\nintent DeviceLock not_sent -9s answered=-8s "
      "error=Down.",
      kNoon, "nothing\nproposal waiting\nclosed c1 not_sent");
  CheckPlan("report -1m\nproposal DeviceLock waiting next=-1s error=Down.", kNoon,
            "DeviceLock; push\nproposal sent");
}

TEST_CASE("what was perhaps carried out is never sent a second time") {
  // Heard from again after more than lost_after, and no answer.
  const std::string unanswered =
      "enrollment seen=-31s\nreport -40s asked=-50s\nproposal EraseDevice sent\n"
      "intent EraseDevice ";
  for (const char* state : {"sent", "unknown"}) {
    const Plan plan =
        CheckPlan(unanswered + state + " -20m", kNoon, "nothing\nproposal failed\nclosed c1 lost");
    CHECK(ExplanationOf(plan).ends_with(
        "whether the device has carried it out is not known. It is not sent again by itself."));
  }
  // The operator cleared the queue.
  CheckPlan("report -1m\nproposal DeviceLock sent\nintent DeviceLock lost -9s", kNoon,
            "nothing\nproposal failed\nclosed c1 lost");
}

TEST_CASE("while the answer is awaited nothing else is decided") {
  const Plan sent = CheckPlan(
      "enrollment pushed=-9s\nreport -1m\nproposal DeviceLock sent\nintent DeviceLock sent -9s",
      kNoon, "nothing\nproposal sent");
  CHECK(ExplanationOf(sent) ==
        "DeviceLock was sent at 2026-11-22T11:59:51Z; the answer is awaited.");
  const Plan put_off = CheckPlan(
      "enrollment product=Mac15,3 pushed=-9s\nreport -1m\nproposal DeviceLock sent\n"
      "intent DeviceLock not_now -9s not_now=1@-8s",
      kNoon, "nothing\nproposal sent");
  CHECK(ExplanationOf(put_off) ==
        "The Mac said NotNow, last at 2026-11-22T11:59:52Z; the command waits in the MDM server's "
        "queue.");
}

TEST_CASE("what was sent and is not answered until its time is over makes room for another") {
  const std::string silent =
      "enrollment seen=-8d pushed=-1s pushes=9\nreport -8d\nproposal DeviceLock sent expires=-1s";
  for (const char* state : {"sent -7d", "not_now -7d not_now=1@-6d"}) {
    const Plan plan = CheckPlan(silent + "\nintent DeviceLock " + state, kNoon,
                                "ProfileList\nproposal failed\nclosed c1 lost");
    CHECK(ExplanationOf(plan).find("is not known") != std::string::npos);
  }
  const Plan waiting = CheckPlan(
      "enrollment seen=-1h pushed=-1s pushes=2\nreport -1h\nproposal DeviceLock sent expires=+3m\n"
      "intent DeviceLock sent -30m",
      kNoon, "nothing\nproposal sent");
  CHECK(waiting.due_at == kNow + std::chrono::minutes(3));
}

TEST_CASE("what was taken back while it was on its way is not sent once more") {
  const std::string taken_back = "report -1m\nproposal DeviceLock sent repeats cancelled=-5s\n";
  CheckPlan(taken_back + "intent DeviceLock acknowledged -9s answered=-1s", kNoon,
            "nothing\nproposal done\nclosed c1 acknowledged");
  CheckPlan(taken_back + "intent DeviceLock not_sent -9s answered=-8s error=Down.", kNoon,
            "nothing\nproposal cancelled\nclosed c1 not_sent");
  CheckPlan(taken_back + "intent DeviceLock failed -9s answered=-8s class=transient error=No.",
            kNoon, "nothing\nproposal cancelled\nclosed c1 failed");
}

TEST_CASE("an erase is never repeated") {
  CheckPlan(
      "report -1m\nproposal EraseDevice sent repeats\nintent EraseDevice acknowledged -9s "
      "answered=-8s",
      kNoon, "nothing\nproposal done\nclosed c1 acknowledged");
  CheckPlan("report -1m\nproposal EraseDevice sent repeats\nintent EraseDevice lost -9s", kNoon,
            "nothing\nproposal failed\nclosed c1 lost");
}

TEST_CASE("the answer of an erased device counts, though it has enrolled again since") {
  CheckPlan(
      "enrollment epoch=2\nreport -1m\nproposal EraseDevice sent epoch=1\n"
      "intent EraseDevice acknowledged -9s answered=-8s epoch=1",
      kNoon, "nothing\nproposal done\nclosed c1 acknowledged");
}

TEST_CASE("errors are tried again or end it, by their class") {
  const std::string failed =
      "report -1m\nproposal DeviceLock sent attempts=0\nintent DeviceLock failed -9s answered=-8s "
      "error=No. class=";
  const Plan passing =
      CheckPlan(failed + "transient", kNoon, "nothing\nproposal waiting\nclosed c1 failed");
  CHECK(passing.proposal->attempts == 1);
  CHECK(passing.proposal->next_attempt_at > kNow);
  CheckPlan(failed + "permanent", kNoon, "nothing\nproposal failed\nclosed c1 failed");
  CheckPlan(failed + "done", kNoon, "nothing\nproposal done\nclosed c1 failed");
  CheckPlan(
      "report -1m\nproposal DeviceLock sent attempts=2\nintent DeviceLock failed -9s answered=-8s "
      "error=Odd. class=unknown",
      kNoon, "nothing\nproposal failed\nclosed c1 failed");
}

TEST_CASE("one that repeats rests while the device is silent and goes again when it speaks") {
  CheckPlan(
      "enrollment seen=-20m\nreport -21m\nproposal DeviceLock waiting repeats ack=-20m next=-5m",
      kNoon, "nothing\nproposal waiting");
  CheckPlan(
      "enrollment seen=-5s\nreport -21m\nproposal DeviceLock waiting repeats ack=-20m next=-5m",
      kNoon, "DeviceLock; push\nproposal sent");
  CheckPlan(
      "enrollment seen=-5s\nreport -2m\nproposal DeviceLock waiting repeats ack=-10m next=+5m",
      kNoon, "nothing\nproposal waiting");
  const Plan again = CheckPlan(
      "report -1m\nproposal DeviceLock sent repeats\nintent DeviceLock acknowledged -9s "
      "answered=-8s",
      kNoon, "nothing\nproposal waiting\nclosed c1 acknowledged");
  CHECK(again.wants_wake);
}

TEST_CASE("an answer to what was proposed in an earlier epoch changes nothing") {
  CheckPlan(
      "enrollment epoch=2\nreport -1m\nproposal DeviceLock waiting before=+5m\n"
      "intent DeviceLock acknowledged -9s answered=-8s epoch=1",
      kNoon, "nothing\nproposal waiting\nclosed c1 acknowledged");
}

TEST_CASE("a command that is not in the journal any more is not sent again") {
  CheckPlan("report -1m\nproposal EraseDevice sent", kNoon, "nothing\nproposal failed");
}

TEST_CASE("while the MDM server is away the proposal says so") {
  const Plan plan =
      CheckPlan("report -1m\nproposal DeviceLock waiting\nupstream down=+5m problem=no_route",
                kNoon, "nothing\nproposal waiting");
  CHECK(ExplanationOf(plan).starts_with("The MDM server cannot be reached (no route)"));
}

TEST_CASE("the escrow server's answer is taken into the proposal") {
  const Settings settings;
  Proposal proposal;
  proposal.attempts = 1;
  TakeEscrowAnswer(Fail(ErrorKind::kUnavailable, "it answered 500"), settings, kNow, proposal);
  CHECK_FALSE(proposal.escrowed_at);
  CHECK(proposal.attempts == 2);
  CHECK(proposal.last_error == "Its secret could not be escrowed: it answered 500.");
  REQUIRE(proposal.next_attempt_at);
  CHECK(*proposal.next_attempt_at > kNow);
  PutOffEscrow(settings, kNow, proposal);
  CHECK(proposal.attempts == 2);
  CHECK(proposal.next_attempt_at == kNow + settings.retry_delay_min);
  TakeEscrowAnswer({}, settings, kNow, proposal);
  CHECK(proposal.escrowed_at == kNow);
  CHECK(proposal.attempts == 0);
  CHECK(proposal.last_error.empty());
  CHECK_FALSE(proposal.next_attempt_at);
}

ProposalEffect EffectOf(const std::string& kind, const std::string& intent) {
  std::string text = "report -1m\nproposal " + kind + " sent\nintent " + kind + " " + intent;
  const Plan plan = Reconcile(test::ReadWorld(text, kNow), {}, kNow);
  REQUIRE(plan.proposal);
  return plan.proposal->effect;
}

TEST_CASE("a proposal tells what is known about what its command has done") {
  CHECK(EffectOf("DeviceLock", "sent -9s") == ProposalEffect::kUnknown);
  CHECK(EffectOf("DeviceLock", "lost -9s") == ProposalEffect::kUnknown);
  CHECK(EffectOf("DeviceLock", "acknowledged -9s answered=-8s") == ProposalEffect::kCarriedOut);
  for (const char* nothing : {"not_sent", "refused", "failed"}) {
    CHECK(EffectOf("SetRecoveryLock", std::string(nothing) + " -9s answered=-8s error=No.") ==
          ProposalEffect::kNone);
  }
  CHECK(EffectOf("VerifyRecoveryLock", "denied -9s answered=-8s") == ProposalEffect::kDenied);
}

TEST_CASE("a recovery lock password that was perhaps set is not set again but verified") {
  const Plan plan =
      CheckPlan("report -1m\nproposal SetRecoveryLock sent\nintent SetRecoveryLock lost -9s", kNoon,
                "nothing\nproposal failed\nclosed c1 lost");
  CHECK(ExplanationOf(plan).ends_with(
      "It is not sent again by itself. VerifyRecoveryLock tells which password is in force."));
}

TEST_CASE("a FileVault key that was perhaps rotated is not rotated again by itself") {
  const std::string sent =
      "report -1m\nproposal RotateFileVaultKey sent\nintent RotateFileVaultKey ";
  const Plan lost = CheckPlan(sent + "lost -9s", kNoon, "nothing\nproposal failed\nclosed c1 lost");
  CHECK(ExplanationOf(lost).find("A late answer still brings the new key.") != std::string::npos);
  CHECK(lost.proposal->effect == ProposalEffect::kUnknown);
  // An answer with a key takes the proposal out of the snapshot.
  const Plan without = CheckPlan(sent + "acknowledged -9s answered=-8s", kNoon,
                                 "nothing\nproposal failed\nclosed c1 acknowledged");
  CHECK(without.proposal->effect == ProposalEffect::kCarriedOut);
  CHECK(ExplanationOf(without).find("brought no new key") != std::string::npos);
  const Plan refused = CheckPlan(sent + "failed -9s answered=-8s class=unknown error=No.", kNoon,
                                 "nothing\nproposal failed\nclosed c1 failed");
  CHECK(refused.proposal->effect == ProposalEffect::kNone);
}

TEST_CASE("VerifyRecoveryLock is done whatever the device says") {
  const std::string sent =
      "report -1m\nproposal VerifyRecoveryLock sent\nintent VerifyRecoveryLock ";
  const Plan yes = CheckPlan(sent + "acknowledged -9s answered=-8s", kNoon,
                             "nothing\nproposal done\nclosed c1 acknowledged");
  CHECK(ExplanationOf(yes) ==
        "The device said at 2026-11-22T11:59:52Z that this is its recovery lock password.");
  const Plan no = CheckPlan(sent + "denied -9s answered=-8s", kNoon,
                            "nothing\nproposal done\nclosed c1 denied");
  CHECK(ExplanationOf(no) ==
        "The device said at 2026-11-22T11:59:52Z that this is not its recovery lock password.");
}

}  // namespace
}  // namespace director::reconciler_proposal_test
