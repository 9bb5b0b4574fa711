// The certificate with which a device speaks to its MDM server, and its renewal.
#include <chrono>
#include <string>

#include "mdm/item_definition.h"
#include "reconciler/identity_rule.h"
#include "tests/support/check_plan.h"

namespace director::reconciler_identity_test {
namespace {

using std::chrono::hours;
using test::CheckPlan;
using test::ItemOf;

const std::string kNow = "2026-11-22T12:00:00Z";
const std::string kIdentity = "identity:MDM";

Settings Renewing() {
  Settings settings;
  settings.renewal.issuers = {"CN=CA"};
  settings.renewal.has_profiles = true;
  return settings;
}

TEST_CASE("an identity that does not end soon is left alone") {
  const Plan plan = CheckPlan(R"(
      report -5m asked=-6m
      identity +200d issued=-165d asked=-5m)",
                              kNow, "nothing\nidentity:MDM verified", Renewing());
  CHECK(ItemOf(plan, kIdentity).reason.find("CN=CA ends at 2027-06-10") != std::string::npos);
}

TEST_CASE("one that ends soon is renewed on the word of a fresh list") {
  const Plan plan =
      CheckPlan(R"(
      report -5m asked=-6m
      identity +20d issued=-345d asked=-5m)",
                kNow, "InstallProfile identity:MDM; push\nidentity:MDM in_flight", Renewing());
  REQUIRE(plan.renewal);
  CHECK(plan.renewal->replaces_until == test::MustParseTime(kNow) + 20 * kDay);
  CheckPlan(R"(
      report -5m asked=-6m
      identity +20d issued=-345d asked=-16m)",
            kNow, "CertificateList; push\nidentity:MDM pending", Renewing());
  CheckPlan(R"(
      identity +20d issued=-345d asked=-5m)",
            kNow, "ProfileList; push\nidentity:MDM pending", Renewing());
}

TEST_CASE("what is known of no identity is told, and nothing is sent") {
  CheckPlan("report -5m asked=-6m", kNow, "nothing\nidentity:MDM blocked", Renewing());
  CheckPlan(R"(
      report -5m asked=-6m
      identity none asked=-5m)",
            kNow, "nothing\nidentity:MDM blocked", Renewing());
  CheckPlan(R"(
      report -5m asked=-6m
      identity +20d issued=-345d asked=-5m)",
            kNow, "nothing\n");
}

TEST_CASE("an identity that has ended cannot be renewed; one that ends in 2100 need not be") {
  const Timestamp now = test::MustParseTime(kNow);
  Snapshot snapshot = test::ReadWorld(R"(
      enrollment seen=-2s
      report -5m asked=-6m
      identity -1s issued=-365d asked=-5m)",
                                      now);
  for (const Timestamp end : {now - std::chrono::seconds(1), now}) {
    snapshot.enrollment.identity->not_after = end;
    const Plan plan = test::DecideChecked(snapshot, now, Renewing());
    CHECK(plan.commands.empty());
    CHECK(ItemOf(plan, kIdentity).state == ItemState::kBlocked);
    CHECK(ItemOf(plan, kIdentity).reason.find("has to be enrolled again") != std::string::npos);
  }
  snapshot.enrollment.identity->not_after = test::MustParseTime("2100-01-01T00:00:00Z");
  const Plan plan = test::DecideChecked(snapshot, now, Renewing());
  CHECK(plan.commands.empty());
  CHECK(ItemOf(plan, kIdentity).state == ItemState::kVerified);
}

// Found by simulation: with our clock hours ahead, a Mac that was there lost its identity.
TEST_CASE("an identity with which a device has spoken after its end is renewed all the same") {
  const auto world = [](const std::string& seen) {
    return "enrollment seen=" + seen + R"(
      report -5m asked=-6m
      identity -20s issued=-365d asked=-5m)";
  };
  CheckPlan(world("-10s"), kNow, "InstallProfile identity:MDM; push\nidentity:MDM in_flight",
            Renewing());
  CheckPlan(world("-30s"), kNow, "nothing\nidentity:MDM blocked", Renewing());
}

TEST_CASE("nothing is renewed where it must not be") {
  const std::string due = "\nidentity +20d issued=-345d asked=-5m";
  CheckPlan("enrollment setup=-1m\nreport -5m asked=-6m" + due, kNow,
            "DeviceConfigured; push\nidentity:MDM blocked", Renewing());
  CheckPlan("report -5m asked=-6m hidden" + due, kNow, "nothing\nidentity:MDM blocked", Renewing());
  CheckPlan("enrollment quarantined reason=two.\nreport -5m asked=-6m" + due, kNow,
            "nothing\nidentity:MDM blocked", Renewing());
  CheckPlan("enrollment checked_out\nreport -5m asked=-6m" + due, kNow,
            "nothing\nidentity:MDM blocked", Renewing());
  CheckPlan("enrollment user\nreport -5m asked=-6m" + due, kNow, "nothing", Renewing());
  CheckPlan("proposal RestartDevice waiting before=+5m\nreport -5m asked=-6m" + due, kNow,
            "nothing\nidentity:MDM pending\nproposal waiting", Renewing());
  Settings only_told = Renewing();
  only_told.renewal.has_profiles = false;
  CheckPlan("report -5m asked=-6m" + due, kNow, "nothing\nidentity:MDM blocked", only_told);
}

TEST_CASE("a sleeping device is woken first, and renewals wait for their turn") {
  CheckPlan(R"(
      enrollment seen=-3h
      report -5m asked=-6m
      identity +20d issued=-345d asked=-5m)",
            kNow, "ProfileList; push\nidentity:MDM pending", Renewing());
  const Plan waiting = CheckPlan(R"(
      turn identity:MDM +20s
      report -5m asked=-6m
      identity +20d issued=-345d asked=-5m)",
                                 kNow, "nothing\nidentity:MDM pending", Renewing());
  CHECK(ItemOf(waiting, kIdentity).reason.find("renewals_per_hour_max") != std::string::npos);
}

TEST_CASE("the last week of an identity, or the last third of its time, has turns of its own") {
  const auto decide = [](const std::string& turn, const std::string& identity,
                         const std::string& expected) {
    CheckPlan("turn " + turn + " +20s\nreport -5m asked=-6m\nidentity " + identity + " asked=-5m",
              kNow, expected, Renewing());
  };
  const std::string waits = "nothing\nidentity:MDM pending";
  const std::string goes = "InstallProfile identity:MDM; push\nidentity:MDM in_flight";
  decide("identity:MDM", "+8d issued=-345d", waits);
  decide("identity:MDM:urgent", "+8d issued=-345d", goes);
  decide("identity:MDM", "+6d issued=-345d", goes);
  decide("identity:MDM:urgent", "+6d issued=-345d", waits);
  // It lives for twelve days: its time to be renewed begins six before the end.
  decide("identity:MDM", "+3d issued=-9d", waits);
  decide("identity:MDM:urgent", "+1d issued=-11d", waits);
}

TEST_CASE("the renewal goes last, behind other changes") {
  CheckPlan(R"(
      want zz.example A all
      report -5m asked=-6m
      identity +20d issued=-345d asked=-5m)",
            kNow,
            "InstallProfile zz.example A; InstallProfile identity:MDM; ProfileList; push\n"
            "identity:MDM in_flight\nzz.example in_flight",
            Renewing());
}

TEST_CASE("one renewal is under way at a time") {
  CheckPlan(R"(
      report -5m asked=-6m
      identity +20d issued=-345d asked=-5m
      renewal -1m until=+20d
      item identity:MDM - in_flight sends=1@-1m
      intent InstallProfile identity:MDM - sent -1m)",
            kNow, "push\nidentity:MDM in_flight", Renewing());
}

TEST_CASE("acknowledged is not renewed: a list asked for later must show it") {
  CheckPlan(R"(
      report -5m asked=-6m
      identity +20d issued=-345d asked=-5m
      renewal -1m until=+20d
      item identity:MDM - in_flight sends=1@-1m
      intent InstallProfile identity:MDM - acknowledged -1m answered=-10s)",
            kNow, "CertificateList; push\nidentity:MDM acknowledged\nclosed c1 acknowledged",
            Renewing());
  const Plan proven = CheckPlan(R"(
      report -5m asked=-6m
      identity +365d issued=-1m asked=-30s
      renewal -1m until=+20d
      item identity:MDM - acknowledged ack=-50s since=-50s)",
                                kNow, "nothing\nidentity:MDM verified", Renewing());
  REQUIRE(proven.renewal);
  CHECK(proven.renewal->ended_at);
}

TEST_CASE("an answer that never came shows by itself") {
  CheckPlan(R"(
      report -5m asked=-6m
      identity +365d issued=-1m asked=-30s
      renewal -1m until=+20d
      item identity:MDM - in_flight sends=1@-1m
      intent InstallProfile identity:MDM - sent -1m)",
            kNow, "nothing\nidentity:MDM verified\nclosed c1 acknowledged", Renewing());
}

TEST_CASE("without proof in an hour the attempt has failed, and is made again hours later") {
  const Plan failed = CheckPlan(R"(
      report -5m asked=-6m
      identity +20d issued=-345d asked=-30s
      renewal -65m until=+20d authenticated=-64m
      item identity:MDM - acknowledged ack=-64m since=-62m)",
                                kNow, "nothing\nidentity:MDM backing_off", Renewing());
  const ItemRecord item = ItemOf(failed, kIdentity);
  CHECK(item.attempts == 1);
  REQUIRE(item.next_attempt_at);
  CHECK(*item.next_attempt_at > test::MustParseTime(kNow) + hours(4));
  CHECK(*item.next_attempt_at < test::MustParseTime(kNow) + hours(8));
}

TEST_CASE("failures are bounded: three tries, at once for what lasts, never for what passes") {
  const auto after = [](const std::string& error_class, int attempts) {
    return CheckPlan(
        "report -5m asked=-6m\n"
        "identity +20d issued=-345d asked=-5m\n"
        "renewal -1m until=+20d\n"
        "item identity:MDM - in_flight attempts=" +
            std::to_string(attempts) +
            "\nintent InstallProfile identity:MDM - failed -1m answered=-10s class=" + error_class +
            " error=Update_to_MDM_profile_contains_different_topic.",
        kNow,
        (error_class == "permanent" || (error_class == "unknown" && attempts == 2))
            ? "nothing\nidentity:MDM parked\nclosed c1 failed"
            : "nothing\nidentity:MDM backing_off\nclosed c1 failed",
        Renewing());
  };
  CHECK(after("unknown", 1).renewal->ended_at);
  const Plan parked = after("unknown", 2);
  CHECK(ItemOf(parked, kIdentity).reason.find("different topic") != std::string::npos);
  after("permanent", 0);
  after("server", 7);
  after("transient", 7);
}

TEST_CASE("no pause is longer than a quarter of the time that is left, nor shorter than minutes") {
  const auto pause = [](const std::string& left) {
    const Plan plan =
        CheckPlan("report -5m asked=-6m\nidentity +" + left +
                      " issued=-345d asked=-5m\n"
                      "renewal -1m until=+" +
                      left +
                      "\nitem identity:MDM - in_flight\n"
                      "intent InstallProfile identity:MDM - failed -1m answered=-1s "
                      "class=transient error=No.",
                  kNow, "nothing\nidentity:MDM backing_off\nclosed c1 failed", Renewing());
    return *ItemOf(plan, kIdentity).next_attempt_at - test::MustParseTime(kNow);
  };
  CHECK(pause("20d") > hours(4));
  CHECK(pause("4h") <= std::chrono::minutes(72));
  CHECK(pause("4h") >= std::chrono::minutes(48));
  CHECK(pause("10m") >= std::chrono::minutes(8));
}

TEST_CASE("a lock that repeats goes on: an Authenticate would drop it") {
  CheckPlan(R"(
      report -5m asked=-6m
      identity +20d issued=-345d asked=-5m
      proposal DeviceLock waiting epoch=1 escrowed=-1h expires=+6d repeats ack=-1m)",
            kNow, "nothing\nidentity:MDM pending\nproposal waiting", Renewing());
}

TEST_CASE("what has happened since the last report is asked for first") {
  CheckPlan(R"(
      enrollment report_wanted=-1m
      report -5m asked=-6m
      identity +20d issued=-345d asked=-5m)",
            kNow, "ProfileList; push\nidentity:MDM pending", Renewing());
}

TEST_CASE("what got no answer, or could not be sent, is no failed attempt") {
  const Plan lost =
      CheckPlan(R"(
      report -5m asked=-6m
      identity +20d issued=-345d asked=-5m
      enrollment seen=-31s
      renewal -2h until=+20d
      item identity:MDM - in_flight sends=1@-2h
      intent InstallProfile identity:MDM - sent -2h)",
                kNow, "nothing\nidentity:MDM backing_off\nclosed c1 lost", Renewing());
  CHECK(ItemOf(lost, kIdentity).attempts == 0);
  CHECK(!lost.renewal);  // its Authenticate may still come
  const Plan refused =
      CheckPlan(R"(
      report -5m asked=-6m
      identity +20d issued=-345d asked=-5m
      renewal -1m until=+20d
      item identity:MDM - in_flight sends=1@-1m
      intent InstallProfile identity:MDM - not_sent -1m answered=-10s error=It_has_another_Topic.)",
                kNow, "nothing\nidentity:MDM backing_off\nclosed c1 not_sent", Renewing());
  CHECK(ItemOf(refused, kIdentity).attempts == 0);
  CHECK(ItemOf(refused, kIdentity).reason.find("another Topic") != std::string::npos);
  CHECK(*ItemOf(refused, kIdentity).next_attempt_at > test::MustParseTime(kNow) + hours(4));
}

TEST_CASE("each device has a moment of its own within the window, short lives have short windows") {
  const Timestamp end = test::MustParseTime(kNow);
  Enrollment enrollment;
  enrollment.identity = MdmIdentity{"CN=CA", end - 365 * kDay, end};
  const Settings settings = Renewing();
  Timestamp first = end;
  Timestamp last = end - 365 * kDay;
  for (int i = 0; i < 500; ++i) {
    enrollment.channel.enrollment_id = EnrollmentId("UD" + std::to_string(i));
    const Timestamp due_at = RenewalDueAt(enrollment, settings);
    CHECK(due_at == RenewalDueAt(enrollment, settings));
    first = std::min(first, due_at);
    last = std::max(last, due_at);
  }
  CHECK(first >= end - 90 * kDay);
  CHECK(last <= end - 60 * kDay);
  CHECK(last - first > 25 * kDay);
  enrollment.identity->not_before = end - 30 * kDay;
  CHECK(RenewalDueAt(enrollment, settings) >= end - 15 * kDay);
  enrollment.identity->not_before = end + 30 * kDay;
  CHECK(RenewalDueAt(enrollment, settings) == end);
}

TEST_CASE("an Authenticate drops what was proposed before") {
  CheckPlan(R"(
      report -5m asked=-6m
      identity +20d issued=-345d asked=-5m
      renewal -1m until=+20d authenticated=-1s
      item identity:MDM - acknowledged ack=-1m since=-1m
      proposal EraseDevice waiting before=+5m)",
            kNow, "CertificateList; push\nidentity:MDM acknowledged\nproposal dropped", Renewing());
}

}  // namespace
}  // namespace director::reconciler_identity_test
