#include <algorithm>
#include <chrono>
#include <string>

#include "reconciler/plan.h"
#include "tests/support/check_plan.h"

namespace director::reconciler_plan_test {
namespace {

using test::CheckPlan;
using test::ItemOf;

const std::string kNoon = "2026-11-22T12:00:00Z";
const Timestamp kNow = *ParseTime("2026-11-22T12:00:00Z");

TEST_CASE("nothing wanted, nothing known: only the question") {
  CheckPlan("enrollment seen=-10s enrolled", kNoon, "ProfileList; push");
}

TEST_CASE("nothing to do until the next periodic question") {
  const Plan plan = CheckPlan(R"(
    enrollment seen=-1h
    want wifi A all
    report -1h wifi=A
    item wifi A verified verified=-3h)",
                              kNoon, R"(nothing
    wifi verified)");
  CHECK(plan.due_at > kNow + std::chrono::minutes(180));
  CHECK(plan.due_at < kNow + std::chrono::minutes(390));
  CHECK_FALSE(plan.wants_wake);
}

TEST_CASE("a first enrollment gets everything at once, the question last") {
  CheckPlan(R"(
    enrollment seen=-10s enrolled info=none
    want wifi A all
    want vpn B device=C02A
    want old absent all)",
            kNoon, R"(
    InstallProfile vpn B; InstallProfile wifi A; DeviceInformation; ProfileList; push
    old pending
    vpn in_flight
    wifi in_flight)");
}

TEST_CASE("an enrollment that may have everything is asked first") {
  CheckPlan(R"(
    enrollment seen=-10s enrolled ask_first
    want wifi A all)",
            kNoon, R"(
    ProfileList; push
    wifi pending)");
  CheckPlan(R"(
    enrollment seen=-10s enrolled ask_first epoch=2
    want wifi A all
    report -5s wifi=A)",
            kNoon, R"(
    nothing
    wifi verified)");
}

TEST_CASE("a report of an earlier epoch proves nothing") {
  CheckPlan(R"(
    enrollment seen=-10s enrolled epoch=2
    want wifi A all
    report -5s epoch=1 wifi=A
    item wifi A verified verified=-3h epoch=1)",
            kNoon, R"(
    InstallProfile wifi A; ProfileList; push
    wifi in_flight)");
  CheckPlan(R"(
    enrollment seen=-10s enrolled epoch=2 ask_first
    want wifi absent all known=A
    report -5s epoch=1 wifi=A)",
            kNoon, R"(
    ProfileList; push
    wifi pending)");
}

TEST_CASE("a sleeping device gets one question and no change") {
  const std::string world = R"(
    enrollment seen=-3m product=Mac15,3
    want wifi A all
    report -1h wifi=B)";
  const Plan plan = CheckPlan(world, kNoon, R"(
    ProfileList; push
    wifi pending)");
  CHECK(plan.wants_wake);
  CHECK(ItemOf(plan, "wifi").reason ==
        "The Mac reported another revision (B) at 2026-11-22T11:00:00Z; the desired one is "
        "installed. The Mac was last heard from at 2026-11-22T11:57:00Z. One question has been "
        "waiting for it since 2026-11-22T12:00:00Z; changes go when it polls. It is pushed now.");
  const Plan later = CheckPlan(world + R"(
    enrollment pushed=-1m pushes=1
    intent ProfileList sent -1m)",
                               kNoon, R"(
    nothing
    wifi pending)");
  CHECK(later.wants_wake);
}

TEST_CASE("awake ends with the window, not after it") {
  const std::string rest = "\nwant wifi A all\nreport -1h vpn=B";
  CheckPlan("enrollment seen=-119s" + rest, kNoon,
            "InstallProfile wifi A; ProfileList; push\nwifi in_flight");
  CheckPlan("enrollment seen=-120s" + rest, kNoon, "ProfileList; push\nwifi pending");
}

TEST_CASE("a device that was heard from in the future is not awake") {
  // Found by simulation: the clock had been set back, and changes went to sleeping devices.
  CheckPlan("enrollment seen=+4h\nwant wifi A all\nreport -5m", kNoon,
            "ProfileList; push\nwifi pending");
  CheckPlan("enrollment seen=+10s\nwant wifi A all\nreport -5m", kNoon,
            "InstallProfile wifi A; ProfileList; push\nwifi in_flight");
}

TEST_CASE("a batch is in the order of the identifiers and bounded") {
  Settings settings;
  settings.commands_per_session_max = 2;
  const std::string world = R"(
    want d A all
    want b A all
    want c A all
    want a A all
    report -1m)";
  const Plan plan = CheckPlan(world, kNoon, R"(
    InstallProfile a A; InstallProfile b A; ProfileList; push
    a in_flight
    b in_flight
    c pending
    d pending)",
                              settings);
  CHECK(ItemOf(plan, "c").reason ==
        "The device did not report the profile at 2026-11-22T11:59:00Z: it is installed. It waits "
        "until the commands under way are answered.");
  CheckPlan(world + R"(
    intent InstallProfile gone A sent -1m
    intent InstallProfile a A sent -1m)",
            kNoon, R"(
    push
    a in_flight
    b pending
    c pending
    d pending)",
            settings);
}

TEST_CASE("NotNow waits, is no attempt, and other items go on") {
  const Plan plan = CheckPlan(R"(
    enrollment seen=-10s product=iPhone16,2 pushed=-1m
    want wifi A all
    want vpn B all
    report -1m
    item wifi A in_flight attempts=1
    intent InstallProfile wifi A not_now -2m not_now=2@-30s)",
                              kNoon, R"(
    InstallProfile vpn B; ProfileList; push
    vpn in_flight
    wifi not_now)");
  CHECK(ItemOf(plan, "wifi").attempts == 1);
  CHECK(ItemOf(plan, "wifi").reason ==
        "The iPhone said NotNow to InstallProfile 2 times, last at 2026-11-22T11:59:30Z; the "
        "command waits in the MDM's queue until it can be done.");
}

TEST_CASE("after NotNow pushes are far apart") {
  const std::string world = R"(
    enrollment seen=-14m pushed=-14m
    want wifi A all
    report -14m
    intent InstallProfile wifi A not_now -14m not_now=1@)";
  const Plan waits = CheckPlan(world + "-5m", kNoon, "nothing\nwifi not_now");
  CHECK(waits.due_at > kNow + std::chrono::minutes(6));
  CHECK(waits.due_at < kNow + std::chrono::minutes(14));
  CheckPlan(world + "-20m", kNoon, "push\nwifi not_now");
}

TEST_CASE("while the MDM server is out of reach nothing is sent and everything says so") {
  const Plan plan = CheckPlan(R"(
    upstream down=+5m problem=connection_refused
    want wifi A all
    want vpn B all
    report -1m vpn=B
    intent RemoveProfile old sent -1h)",
                              kNoon, R"(nothing
    vpn verified
    wifi pending)");
  CHECK(ItemOf(plan, "wifi").reason ==
        "The device did not report the profile at 2026-11-22T11:59:00Z: it is installed. The MDM "
        "server cannot be reached (connection refused); it is tried again at "
        "2026-11-22T12:05:00Z.");
  CHECK(plan.notes ==
        std::vector<std::string>{
            "The MDM server cannot be reached (connection refused); it is tried again "
            "at 2026-11-22T12:05:00Z."});
  CHECK(plan.due_at <= kNow + std::chrono::minutes(5));
  CheckPlan("upstream down=-0s\nreport -7h", kNoon, "ProfileList; push");
}

TEST_CASE("a long absence of the MDM server spreads the looks at the fleet over an hour") {
  Snapshot snapshot =
      test::ReadWorld("upstream down=+5m away=-8h problem=x\nwant wifi A all\nreport -1m", kNow);
  Timestamp earliest = Timestamp::max();
  Timestamp latest = Timestamp::min();
  for (int i = 0; i < 200; ++i) {
    snapshot.enrollment.channel.enrollment_id = EnrollmentId("D" + std::to_string(i));
    const Plan plan = test::DecideChecked(snapshot, kNow);
    earliest = std::min(earliest, plan.due_at);
    latest = std::max(latest, plan.due_at);
  }
  CHECK(earliest >= kNow + std::chrono::minutes(5));
  CHECK(earliest < kNow + std::chrono::minutes(10));
  CHECK(latest > kNow + std::chrono::minutes(60));
  CHECK(latest <= kNow + std::chrono::minutes(65));
}

TEST_CASE("pushes to a silent device back off from minutes to a day and never stop") {
  const auto world = [](const std::string& pushed, const std::string& pushes) {
    return "enrollment seen=-40h pushed=" + pushed + " pushes=" + pushes +
           "\nintent ProfileList sent -40h";
  };
  CheckPlan(world("-7m", "1"), kNoon, "nothing");
  CheckPlan(world("-13m", "1"), kNoon, "push");
  CheckPlan(world("-40m", "2"), kNoon, "nothing");
  CheckPlan(world("-73m", "2"), kNoon, "push");
  CheckPlan(world("-18h", "50"), kNoon, "nothing");
  CheckPlan(world("-29h", "50"), kNoon, "push");
  // New work does not hurry a device that stays silent.
  CheckPlan("enrollment seen=-40h pushed=-7m pushes=1\nreport -8h", kNoon, "ProfileList");
}

TEST_CASE("the time of the next push is kept although the push is only now") {
  const Plan plan =
      CheckPlan("enrollment seen=-40h\nwant wifi A all", kNoon, "ProfileList; push\nwifi pending");
  CHECK(plan.due_at <= kNow + std::chrono::minutes(12));
}

TEST_CASE("changes beyond the bound follow together when half of what was sent is answered") {
  // Found by the enrollment bench: each answer of each Mac was followed by one command for it.
  Settings settings;
  settings.commands_per_session_max = 4;
  const std::string wanted = R"(
    enrollment seen=-1s pushed=-10s
    want a A all
    want b A all
    want c A all
    want d A all
    want e A all
    want f A all
    report -1h
    intent ProfileList sent -11s
    intent InstallProfile c A sent -11s
    intent InstallProfile d A sent -11s
    intent InstallProfile a A acknowledged -11s answered=-2s)";
  CheckPlan(wanted + "\nintent InstallProfile b A sent -11s", kNoon,
            "nothing\na acknowledged\nb in_flight\nc in_flight\nd in_flight\ne pending\nf pending\n"
            "closed c4 acknowledged",
            settings);
  CheckPlan(wanted + "\nintent InstallProfile b A acknowledged -11s answered=-1s", kNoon,
            "InstallProfile e A; InstallProfile f A\na acknowledged\nb acknowledged\nc in_flight\n"
            "d in_flight\ne in_flight\nf in_flight\nclosed c4 acknowledged\nclosed c5 acknowledged",
            settings);
}

TEST_CASE("what is sent during a session needs no push of its own") {
  // Found by counting: an enrollment with 35 items took a push for each of those beyond the first
  // twenty, in one session.
  Settings settings;
  settings.commands_per_session_max = 1;
  const std::string wanted = R"(
    want vpn B all
    want wifi A all
    report -1h
    )";
  const Plan along = CheckPlan("enrollment seen=-1s pushed=-10s" + wanted + R"(
    intent InstallProfile vpn B acknowledged -11s answered=-1s
    intent ProfileList sent -11s)",
                               kNoon,
                               "InstallProfile wifi A\nvpn acknowledged\nwifi in_flight\n"
                               "closed c1 acknowledged",
                               settings);
  CHECK(along.due_at == kNow + std::chrono::seconds(30));
  const std::string last = R"(
    intent InstallProfile vpn B acknowledged -11s answered=-1s)";
  CheckPlan("enrollment seen=-1s pushed=-10s" + wanted + last, kNoon,
            "InstallProfile wifi A; ProfileList; push\nvpn acknowledged\nwifi in_flight\n"
            "closed c1 acknowledged",
            settings);
  const std::string came_along = "\n    intent InstallProfile wifi A sent -31s";
  CheckPlan("enrollment seen=-30s pushed=-50s\nwant wifi A all\nreport -1h" + came_along, kNoon,
            "push\nwifi in_flight");
}

TEST_CASE("a push that the MDM server sends by itself with a command is not sent again") {
  // MicroMDM: what came along in a session was pushed for once more two seconds later.
  const Plan along = CheckPlan(R"(
    upstream pushes
    enrollment seen=-1s pushed=-10s
    want wifi A all
    report -1h
    intent ProfileList sent -11s)",
                               kNoon, "InstallProfile wifi A; push\nwifi in_flight");
  CHECK(along.due_at > kNow + std::chrono::minutes(1));
  // A silent device is not hurried by new work, but such a server does it.
  const std::string silent = R"(
    enrollment seen=-3h pushed=-10s pushes=2
    want wifi A all
    report -2h)";
  CheckPlan(silent, kNoon, "ProfileList\nwifi pending");
  CheckPlan("upstream pushes" + silent, kNoon, "ProfileList; push\nwifi pending");
}

TEST_CASE("what came along too late for a session is pushed for within seconds") {
  // Found by the enrollment bench: 200 Macs out of the box took a minute, as each batch but the
  // first came when the session before was over.
  const std::string rest = "\nwant wifi A all\nreport -1h\nintent InstallProfile wifi A sent ";
  const auto due_in = [&](const std::string& enrollment, const std::string& intents) {
    return CheckPlan(enrollment + rest + intents, kNoon, "nothing\nwifi in_flight").due_at - kNow;
  };
  using std::chrono::seconds;
  CHECK(due_in("enrollment seen=-1s pushed=-10s", "-1s") == seconds(1));
  CheckPlan("enrollment seen=-2s pushed=-10s" + rest + "-2s", kNoon, "push\nwifi in_flight");
  // It has spoken long after that was sent, or is at what it was pushed for.
  CHECK(due_in("enrollment seen=-1s pushed=-10s", "-4s") == seconds(29));
  CHECK(due_in("enrollment seen=-1s pushed=-10s", "-1s\nintent DeviceInformation sent -11s") ==
        seconds(29));
}

TEST_CASE("a dead push token stops pushes, not questions") {
  const Plan plan = CheckPlan("enrollment seen=-40h unregistered\nwant wifi A all", kNoon,
                              "ProfileList\nwifi pending");
  CHECK(plan.notes ==
        std::vector<std::string>{
            "Apple says that the push token is dead; pushes stop until the device polls."});
  CHECK(ItemOf(plan, "wifi").reason.ends_with("It cannot be pushed until it polls."));
}

TEST_CASE("an enrollment that takes no commands says why") {
  const std::string rest = "\nwant wifi A all\nwant vpn absent all adopt\nreport -1s vpn=X";
  const auto reason = [&](const std::string& enrollment) {
    const Plan plan = CheckPlan(enrollment + rest, kNoon, "nothing\nvpn blocked\nwifi blocked");
    CHECK(plan.notes == std::vector<std::string>{ItemOf(plan, "wifi").reason});
    return ItemOf(plan, "vpn").reason;
  };
  CHECK(reason("enrollment authenticated") ==
        "The enrollment has begun and is not finished: its TokenUpdate is awaited.");
  CHECK(reason("enrollment checked_out") ==
        "The device has checked out of management; it is sent nothing until it enrolls again.");
  CHECK(reason("enrollment quarantined reason=two_devices_share_it.") ==
        "Quarantined: two devices share it.");
}

TEST_CASE(
    "an enrollment whose TokenUpdate never came is asked all the same, and sent nothing else") {
  const std::string rest = "\nwant wifi A all\nreport -1h vpn=X";
  const Plan waits =
      CheckPlan("enrollment authenticated seen=-599s" + rest, kNoon, "nothing\nwifi blocked");
  CHECK(waits.due_at == kNow + std::chrono::seconds(1));
  const Plan asks = CheckPlan("enrollment authenticated seen=-10m" + rest, kNoon,
                              "ProfileList; push\nwifi pending");
  CHECK(asks.notes ==
        std::vector<std::string>{"TokenUpdate never came; the device is asked all the same."});
}

TEST_CASE("the nouns of devices") {
  const auto noun = [](const std::string& product) {
    Enrollment enrollment;
    enrollment.product_name = product;
    const Plan plan =
        CheckPlan("enrollment product=" + product + "\nwant wifi A all\nreport -1s wifi=A", kNoon,
                  "nothing\nwifi verified");
    const std::string reason = ItemOf(plan, "wifi").reason;
    return reason.substr(0, reason.find(" reported"));
  };
  CHECK(noun("MacBookPro18,1") == "The Mac");
  CHECK(noun("iMac21,1") == "The Mac");
  CHECK(noun("AppleTV11,1") == "The Apple TV");
  CHECK(noun("Watch6,1") == "The Apple Watch");
  CHECK(noun("RealityDevice14,1") == "The Vision Pro");
  CHECK(noun("Toaster1,1") == "The device");
}

}  // namespace
}  // namespace director::reconciler_plan_test
