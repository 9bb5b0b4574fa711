#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "reconciler/plan.h"
#include "tests/support/check_plan.h"

namespace director::reconciler_question_test {
namespace {

using test::CheckPlan;

const std::string kNoon = "2026-11-22T12:00:00Z";
const Timestamp kNow = *ParseTime("2026-11-22T12:00:00Z");

TEST_CASE("a new question is not pushed at the pace of an old NotNow") {
  CheckPlan(R"(
    enrollment seen=-1h pushed=-1h pushes=1
    want wifi absent all adopt
    report -2h wifi=A
    intent InstallProfile vpn A not_now -1h not_now=5@-1h)",
            kNoon, "ProfileList; push\nwifi pending");
}

TEST_CASE("a NotNow timed by an MDM server whose clock is hours behind is not an old one") {
  const Plan plan = CheckPlan(R"(
    enrollment seen=-1m pushed=-2m
    want wifi A all
    report -7h wifi=A
    intent ProfileList not_now -2m not_now=1@-10h)",
                              kNoon, "nothing\nwifi verified");
  CHECK(plan.closed.empty());
}

TEST_CASE("pauses after a failure count by our clock when the MDM server's is hours behind") {
  const Plan question =
      CheckPlan("intent ProfileList failed -1m answered=-5h error=Locked.", kNoon, "nothing");
  CHECK(question.due_at > kNow);
  const Plan change = CheckPlan(R"(
    enrollment seen=-10s
    want wifi A all
    report -4h asked=-5s
    intent InstallProfile wifi A failed -30s answered=-5h class=transient error=No.)",
                                kNoon, "nothing\nwifi backing_off\nclosed c1 failed");
  CHECK(change.due_at > kNow);
}

TEST_CASE("a device that speaks is not pushed for what it is fetching") {
  const Plan plan =
      CheckPlan("enrollment seen=-1s pushed=-2h\nintent ProfileList sent -2h", kNoon, "nothing");
  CHECK(plan.due_at == kNow + std::chrono::seconds(29));
  CheckPlan("enrollment seen=-30s pushed=-2h\nintent ProfileList sent -5m", kNoon, "push");
}

TEST_CASE(
    "a question to a silent device waits for its answer or the next push, a change for any word") {
  const std::string world = "enrollment seen=-1h pushed=-1m pushes=2\n";
  for (const std::string rest : {"intent ProfileList sent -1m", "report -8h"}) {
    const Plan plan = CheckPlan(world + rest, kNoon, rest[0] == 'r' ? "ProfileList" : "nothing");
    CHECK_FALSE(plan.wants_wake);
    CHECK(plan.due_at > kNow + std::chrono::minutes(40));
  }
  CHECK(CheckPlan(world + "intent InstallProfile wifi A sent -1m\nreport -1h", kNoon, "nothing")
            .wants_wake);
}

TEST_CASE("a pause after a refusal begins when it is learnt of, whatever the clocks say") {
  // Found by simulation: with our clock an hour ahead, a command that had long been put off was
  // refused and sent again at once.
  CheckPlan(R"(
    enrollment seen=-10s
    want wifi A all
    report -1h asked=-5s
    intent InstallProfile wifi A failed -2h answered=-1h class=transient error=No.)",
            kNoon, "nothing\nwifi backing_off\nclosed c1 failed");
}

TEST_CASE("nothing is asked for a change that waits until the changes under way are answered") {
  Settings settings;
  settings.commands_per_session_max = 1;
  const std::string world = R"(
    enrollment seen=-30s
    want vpn A all
    want wifi B all
    report -2m asked=-2m)";
  CheckPlan(world + "\n intent InstallProfile vpn A not_now -1h not_now=5@-30s", kNoon,
            "nothing\nvpn not_now\nwifi pending", settings);
  CheckPlan(world, kNoon, "InstallProfile vpn A; ProfileList; push\nvpn in_flight\nwifi pending",
            settings);
}

TEST_CASE("a question that failed is held back, then asked again") {
  const Plan plan =
      CheckPlan("intent ProfileList failed -6m answered=-5m error=Locked.", kNoon, "nothing");
  CHECK(plan.notes ==
        std::vector<std::string>{
            "ProfileList failed at 2026-11-22T11:55:00Z: Locked. It is asked again later."});
  CHECK(plan.due_at == kNow + std::chrono::minutes(10));
  CheckPlan("intent ProfileList failed -20m answered=-15m error=Locked.", kNoon,
            "ProfileList; push\nclosed c1 failed");
  const Plan not_sent =
      CheckPlan("intent ProfileList not_sent -10s answered=-10s error=Down.", kNoon, "nothing");
  CHECK(not_sent.due_at == kNow + std::chrono::seconds(50));
  CheckPlan("intent ProfileList not_sent -60s answered=-60s error=Down.", kNoon,
            "ProfileList; push\nclosed c1 not_sent");
  CheckPlan(
      "intent DeviceInformation failed -6m answered=-5m error=Locked.\nenrollment "
      "info=none\nreport -1s",
      kNoon, "nothing");
  // The time of an answer may be missing; that must not hold it back for ever.
  CheckPlan("intent ProfileList refused -20m error=No.", kNoon,
            "ProfileList; push\nclosed c1 refused");
}

TEST_CASE("an answer that brought no report is not asked for again at once") {
  CheckPlan("intent ProfileList acknowledged -10s answered=-5s", kNoon, "nothing");
  CheckPlan("intent ProfileList acknowledged -20m answered=-16m", kNoon,
            "ProfileList; push\nclosed c1 acknowledged");
  CheckPlan("report -5s asked=-10s\nintent ProfileList acknowledged -10s answered=-5s", kNoon,
            "nothing\nclosed c1 acknowledged");
  CheckPlan(
      "report -5s\nenrollment info=none\nintent DeviceInformation acknowledged -10s answered=-5s",
      kNoon, "nothing");
}

TEST_CASE("a lone question is asked at most once a minute, whatever the clocks say") {
  // The MDM server's clock is ten minutes late: its reports look older than the last answer.
  const Plan plan = CheckPlan(R"(
    want wifi A all
    report -10m asked=-2s wifi=A
    item wifi A pending settled=-5m)",
                              kNoon, "nothing\nwifi pending");
  CHECK(plan.due_at == kNow + std::chrono::seconds(58));
  CheckPlan(R"(
    want wifi A all
    report -11m asked=-60s wifi=A
    item wifi A pending settled=-5m)",
            kNoon, "ProfileList; push\nwifi pending");
  const Plan wanted =
      CheckPlan("enrollment report_wanted=-1s\nreport -2s asked=-3s", kNoon, "nothing");
  CHECK(wanted.due_at == kNow + std::chrono::seconds(57));
}

TEST_CASE("a report counts from its question when the MDM server's clock is hours behind ours") {
  // Found by simulation: every report looked old, and the device was asked every minute.
  CheckPlan("want wifi A all\nreport -7h asked=-10m wifi=A", kNoon, "nothing\nwifi verified");
  CheckPlan("enrollment report_wanted=-20m\nreport -7h asked=-10m", kNoon, "nothing");
}

TEST_CASE("an operator can want a newer report") {
  CheckPlan("enrollment report_wanted=-1m\nreport -2m", kNoon, "ProfileList; push");
  CheckPlan("enrollment report_wanted=-2m\nreport -1m", kNoon, "nothing");
}

TEST_CASE("the report is asked for again after its interval, with jitter") {
  CheckPlan("report -4h", kNoon, "nothing");
  CheckPlan("report -8h", kNoon, "ProfileList; push");
}

TEST_CASE("facts ride along while the device is awake; user channels have none") {
  CheckPlan("enrollment info=-30h\nreport -1s", kNoon, "DeviceInformation; push");
  CheckPlan("enrollment info=-4h\nreport -1s", kNoon, "nothing");
  CheckPlan("enrollment info=none seen=-5m\nreport -1m", kNoon, "nothing");
  CheckPlan(
      "enrollment info=none\nreport -1s\nintent DeviceInformation sent -5s\nenrollment pushed=-5s",
      kNoon, "nothing");
  CheckPlan("enrollment info=none security=none\nreport -1s", kNoon,
            "DeviceInformation; SecurityInfo; push");
  CheckPlan("enrollment info=none security=none\nreport -7h", kNoon,
            "DeviceInformation; SecurityInfo; ProfileList; push");
  CheckPlan("enrollment info=none user\nwant wifi A all\nreport -1s", kNoon,
            "InstallProfile wifi A; ProfileList; push\nwifi in_flight");
}

TEST_CASE("a question that was perhaps never queued is asked once more, not for ever") {
  const std::string world = "want wifi A all\nreport -7h wifi=A\n";
  CheckPlan(world + "intent ProfileList unknown -1m", kNoon, "ProfileList; push\nwifi verified");
  CheckPlan(world + "intent ProfileList unknown -2m\nintent ProfileList sent -1m", kNoon,
            "push\nwifi verified");
  CheckPlan(world + "intent ProfileList unknown -2m\nintent ProfileList unknown -1m", kNoon,
            "push\nwifi verified");
}

TEST_CASE("while others are sent as much as may be, nothing goes before the enrollment's turn") {
  const std::string world = R"(
    want wifi A all
    report -1h
    intent InstallProfile vpn A sent -1m
    )";
  const Plan plan = CheckPlan(world + "upstream turn=+9s", kNoon, "nothing\nwifi pending");
  CHECK(plan.due_at == kNow + std::chrono::seconds(9));
  CHECK(plan.items.at(0).reason.find("12:00:09") != std::string::npos);
  CheckPlan(world + "upstream turn=-1s", kNoon,
            "InstallProfile wifi A; ProfileList; push\nwifi in_flight");
}

TEST_CASE("a profile that asks a busy certificate authority waits alone") {
  const std::string world = R"(
    want acme A all ca=acme.example.com
    want scep B all ca=ca.example.com
    want wifi C all
    report -1h
    turn ca.example.com )";
  const Plan plan = CheckPlan(world + "+20s", kNoon, R"(
    InstallProfile acme A; InstallProfile wifi C; ProfileList; push
    acme in_flight
    scep pending
    wifi in_flight)");
  CHECK(plan.due_at == kNow + std::chrono::seconds(20));
  CHECK(plan.items.at(1).reason.find("ca.example.com") != std::string::npos);
  CHECK(plan.commands.at(0).certificate_authority == "acme.example.com");
}

TEST_CASE("a change that waits for its turn asks the device nothing") {
  CheckPlan(R"(
    want scep B all ca=ca.example.com
    report -1h
    turn ca.example.com +20s)",
            kNoon, "nothing\nscep pending");
}

TEST_CASE("a question about the device that it refuses waits for a quarter of its interval") {
  CheckPlan(
      "enrollment security=none\nreport -1s\n"
      "intent SecurityInfo failed -5h answered=-5h error=Not_allowed.",
      kNoon, "nothing");
  CheckPlan(
      "enrollment security=none\nreport -1s\n"
      "intent SecurityInfo failed -7h answered=-7h error=Not_allowed.",
      kNoon, "SecurityInfo; push\nclosed c1 failed");
  // What never reached the device is no refusal.
  CheckPlan(
      "enrollment security=none\nreport -1s\n"
      "intent SecurityInfo not_sent -2m answered=-2m error=Down.",
      kNoon, "SecurityInfo; push\nclosed c1 not_sent");
}

TEST_CASE("an answer from another time is no reason to wait") {
  CheckPlan("enrollment security=+9m\nreport -1s", kNoon, "nothing");
  CheckPlan("enrollment security=+3h\nreport -1s", kNoon, "SecurityInfo; push");
}

TEST_CASE("a question that shall never be asked is not asked") {
  Snapshot snapshot = test::ReadWorld("enrollment security=none info=none\nreport -1s", kNow);
  Settings settings;
  settings.inventory_interval[InventoryKind::kSecurityInfo] = Duration::zero();
  const Plan plan = Reconcile(snapshot, settings, kNow);
  REQUIRE(plan.commands.size() == 1);
  CHECK(plan.commands[0].request_type == "DeviceInformation");
}

TEST_CASE("the same question is asked at other times on each device") {
  Settings settings;
  std::set<Timestamp> asked_at;
  for (int device = 0; device < 50; ++device) {
    Snapshot snapshot = test::ReadWorld("report -1s", kNow);
    snapshot.enrollment.channel.enrollment_id = EnrollmentId(fmt::format("UD{}", device));
    for (Timestamp now = kNow; now < kNow + 2 * kDay; now += std::chrono::minutes(10)) {
      snapshot.enrollment.last_seen_at = now;
      snapshot.profile_list->reported_at = now;
      const Plan plan = Reconcile(snapshot, settings, now);
      const bool asks = std::any_of(
          plan.commands.begin(), plan.commands.end(),
          [](const PlannedCommand& command) { return command.request_type == "SecurityInfo"; });
      if (!asks) continue;
      asked_at.insert(now);
      break;
    }
  }
  CHECK(asked_at.size() >= 25);
  CHECK(*asked_at.rbegin() - *asked_at.begin() >= std::chrono::hours(8));
}

}  // namespace
}  // namespace director::reconciler_question_test
