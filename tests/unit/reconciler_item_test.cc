#include "reconciler/plan.h"
#include "tests/support/check_plan.h"

namespace director::reconciler_item_test {
namespace {

using test::CheckPlan;
using test::ItemOf;

const std::string kNoon = "2026-11-22T12:00:00Z";
const Timestamp kNow = *ParseTime("2026-11-22T12:00:00Z");

TEST_CASE("NotNow for hours on end is lost, answered or not") {
  CheckPlan(R"(
    enrollment seen=-31s
    want wifi A all
    report -7h
    intent InstallProfile wifi A not_now -8h not_now=1@-7h)",
            kNoon, R"(
    ProfileList; push
    wifi pending
    closed c1 lost)");
}

TEST_CASE("a failed command is classed") {
  const auto failed = [](const std::string& error_class, const std::string& attempts) {
    return R"(
    enrollment build=22A1
    want wifi A all
    report -2m
    item wifi A in_flight attempts=)" +
           attempts + R"(
    intent InstallProfile wifi A failed -1m answered=-1s error=The_host_is_unreachable. class=)" +
           error_class;
  };
  const auto wait = [&](const std::string& error_class, const std::string& attempts) {
    const Plan plan = CheckPlan(failed(error_class, attempts), kNoon,
                                "nothing\nwifi backing_off\nclosed c1 failed");
    const ItemRecord item = ItemOf(plan, "wifi");
    REQUIRE(item.next_attempt_at);
    CHECK(item.due_at == item.next_attempt_at);
    CHECK(plan.due_at <= *item.next_attempt_at);
    return std::chrono::round<std::chrono::minutes>(*item.next_attempt_at - kNow).count();
  };
  SECTION("transient doubles") {
    CHECK(wait("transient", "0") == 1);
    CHECK(wait("transient", "4") >= 12);
    CHECK(wait("transient", "4") <= 20);
    CHECK(wait("transient", "30") >= 288);
    CHECK(wait("transient", "30") <= 432);
  }
  SECTION("server starts slowly") { CHECK(wait("server", "0") >= 12); }
  SECTION("unknown waits longer, then parks") {
    CHECK(wait("unknown", "0") == 1);
    CHECK(wait("unknown", "1") >= 48);
    const Plan plan =
        CheckPlan(failed("unknown", "2"), kNoon, "nothing\nwifi parked\nclosed c1 failed");
    CHECK(ItemOf(plan, "wifi").reason ==
          "Parked after 3 failed attempts: The host is unreachable. It is tried again with a new "
          "revision, a new OS build, a new enrollment, or when an operator asks.");
  }
  SECTION("permanent and user park at once") {
    for (const std::string error_class : {"permanent", "user"}) {
      const Plan plan =
          CheckPlan(failed(error_class, "0"), kNoon, "nothing\nwifi parked\nclosed c1 failed");
      CHECK(ItemOf(plan, "wifi").parked_build == "22A1");
      CHECK(ItemOf(plan, "wifi").reason.starts_with("Parked after 1 failed attempt: The host"));
    }
  }
  SECTION("done is as good as acknowledged") {
    CheckPlan(failed("done", "0"), kNoon, "ProfileList; push\nwifi acknowledged\nclosed c1 failed");
  }
}

TEST_CASE("the next attempt comes by itself, after one look when no report says what is there") {
  CheckPlan(R"(
    want wifi A all
    report -30s
    item wifi A backing_off attempts=1 next=+1m settled=-1m error=No.)",
            kNoon, "nothing\nwifi backing_off");
  CheckPlan(R"(
    want wifi A all
    report -30s
    item wifi A backing_off attempts=1 next=-1s settled=-1m error=No.)",
            kNoon, "InstallProfile wifi A; ProfileList; push\nwifi in_flight");
  CheckPlan(R"(
    want wifi A all
    report -2m
    item wifi A backing_off attempts=1 next=-1s settled=-1m error=No.)",
            kNoon, "ProfileList; push\nwifi pending");
  CheckPlan(R"(
    want wifi A all
    item wifi A backing_off attempts=1 next=-1s settled=-1m error=No.)",
            kNoon, "ProfileList; push\nwifi pending");
}

TEST_CASE("the explanation of a back-off has times and the device's words") {
  const Plan plan = CheckPlan(R"(
    want wifi A all
    report -30s
    item wifi A backing_off attempts=2 next=+30m settled=-1m error=The_profile_is_locked.)",
                              kNoon, "nothing\nwifi backing_off");
  CHECK(ItemOf(plan, "wifi").reason ==
        "Attempt 2 failed at 2026-11-22T11:59:00Z: The profile is locked. Next attempt at "
        "2026-11-22T12:30:00Z.");
}

TEST_CASE("parked: only a change unparks") {
  const std::string parked = "\nreport -30s\nitem wifi A parked attempts=1 error=No. parked=22A1";
  CheckPlan("enrollment build=22A1\nwant wifi A all" + parked, kNoon, "nothing\nwifi parked");
  CheckPlan("want wifi A all" + parked, kNoon, "nothing\nwifi parked");  // build unknown
  const std::string sent = "InstallProfile wifi B; ProfileList; push\nwifi in_flight";
  SECTION("a new build") {
    const Plan plan = CheckPlan("enrollment build=22B1\nwant wifi A all" + parked, kNoon,
                                "InstallProfile wifi A; ProfileList; push\nwifi in_flight");
    CHECK(ItemOf(plan, "wifi").attempts == 0);
    CHECK_FALSE(ItemOf(plan, "wifi").parked);
  }
  SECTION("a new revision") {
    CheckPlan("enrollment build=22A1\nwant wifi B all" + parked, kNoon, sent);
  }
  SECTION("a new epoch") {
    CheckPlan(R"(
      enrollment epoch=2 build=22A1
      want wifi B all
      item wifi B parked attempts=1 error=No. parked=22A1 epoch=1)",
              kNoon, sent);
  }
  SECTION("the profile being there after all") {
    CheckPlan(R"(
      enrollment build=22A1
      want wifi A all
      report -30s wifi=A
      item wifi A parked attempts=1 error=No. parked=22A1)",
              kNoon, "nothing\nwifi verified");
  }
}

TEST_CASE("a revision superseded in flight waits for the answer, then goes") {
  const Plan plan = CheckPlan(R"(
    want wifi B all
    report -5m
    item wifi A in_flight
    intent InstallProfile wifi A sent -30s
    intent ProfileList sent -30s)",
                              kNoon, "push\nwifi in_flight");
  CHECK(ItemOf(plan, "wifi").reason ==
        "InstallProfile was sent at 2026-11-22T11:59:30Z for an earlier revision; the answer is "
        "awaited before the new one goes.");
  // Its failure is not the new revision's.
  const Plan failed = CheckPlan(R"(
    want wifi B all
    report -1s asked=-30s
    item wifi B in_flight
    intent InstallProfile wifi A failed -30s answered=-2s class=permanent error=No.)",
                                kNoon, R"(InstallProfile wifi B; ProfileList; push
    wifi in_flight
    closed c1 failed)");
  CHECK(ItemOf(failed, "wifi").attempts == 0);
  CHECK(ItemOf(failed, "wifi").last_error.empty());
  // The old one is shown: its answer is not needed any more.
  CheckPlan(R"(
    want wifi B all
    report -1s asked=-30s wifi=A
    item wifi B in_flight
    intent InstallProfile wifi A sent -30s)",
            kNoon, R"(InstallProfile wifi B; ProfileList; push
    wifi in_flight
    closed c1 acknowledged)");
}

TEST_CASE("acknowledged is not installed: only a newer report verifies") {
  const Plan plan = CheckPlan(R"(
    enrollment product=iPad13,1
    want wifi A all
    report -5m
    item wifi A in_flight
    intent InstallProfile wifi A acknowledged -1m answered=-30s
    intent ProfileList sent -1m)",
                              kNoon, R"(push
    wifi acknowledged
    closed c1 acknowledged)");
  CHECK(ItemOf(plan, "wifi").reason ==
        "The iPad acknowledged it at 2026-11-22T11:59:30Z; its own report is awaited.");
  // A report from before the answer proves nothing, though it shows another revision.
  CheckPlan(R"(
    want wifi A all
    report -31s wifi=B
    item wifi A acknowledged ack=-30s settled=-30s)",
            kNoon, "ProfileList; push\nwifi acknowledged");
  const Plan verified = CheckPlan(R"(
    want wifi A all
    report -29s wifi=a
    item wifi A acknowledged ack=-30s settled=-30s attempts=2 error=No.)",
                                  kNoon, "nothing\nwifi verified");
  const ItemRecord item = ItemOf(verified, "wifi");
  CHECK(item.reason == "The device reported it at 2026-11-22T11:59:31Z.");
  CHECK(item.verified_at == kNow - std::chrono::seconds(29));
  CHECK(item.attempts == 0);
  CHECK(item.last_error.empty());
  CHECK(item.state_since == kNow);
}

// Found by simulation: no report counted until the clock had caught up, for which each device was
// asked once a minute.
TEST_CASE("after a clock was set back the next report counts, and none that is here already") {
  const auto plan_with = [](const std::string& report) {
    return CheckPlan(
        "want wifi A all\n" + report + "\nitem wifi A acknowledged ack=+4h settled=+4h", kNoon,
        "ProfileList; push\nwifi acknowledged");
  };
  const Timestamp later = kNow + std::chrono::hours(4);
  const auto settled_at = [&](const std::string& report) {
    const ItemRecord item = ItemOf(plan_with(report), "wifi");
    CHECK(item.acknowledged_at == item.settled_at);
    return item.settled_at;
  };
  CHECK(settled_at("") == kNow);
  CHECK(settled_at("report -1s") == kNow);
  CHECK(settled_at("report +5m") == kNow + std::chrono::minutes(5));
  INFO("one by the earlier clock, which the next one replaces");
  CHECK(settled_at("report +3h") == later);
}

TEST_CASE("a verified item is left alone by an unchanged report") {
  const Plan plan = CheckPlan(R"(
    want wifi A all
    report -1s wifi=A
    item wifi A verified verified=-3h)",
                              kNoon, "nothing\nwifi verified");
  CHECK(ItemOf(plan, "wifi").reason == "As it was.");
  CHECK(ItemOf(plan, "wifi").verified_at == kNow - std::chrono::hours(3));
}

TEST_CASE("identifiers differ by letter case, revisions do not") {
  CheckPlan("want wifi A all\nreport -1s WIFI=A", kNoon,
            "InstallProfile wifi A; ProfileList; push\nwifi in_flight");
  CheckPlan("want wifi ABC all\nreport -1s wifi=abc", kNoon, "nothing\nwifi verified");
}

TEST_CASE("acknowledged but never reported: three tries, then parked") {
  const auto world = [](const std::string& attempts) {
    return R"(
    want wifi A all
    report -10s
    item wifi A acknowledged ack=-30s settled=-30s attempts=)" +
           attempts;
  };
  const ItemRecord first =
      ItemOf(CheckPlan(world("0"), kNoon, "nothing\nwifi backing_off"), "wifi");
  CHECK(first.attempts == 1);
  CHECK_FALSE(first.acknowledged_at);
  CHECK(
      first.reason.starts_with("Attempt 1 failed at 2026-11-22T11:59:50Z: The device acknowledged "
                               "the command, but its report of 2026-11-22T11:59:50Z says "
                               "otherwise. Next attempt at 2026-11-22T12:0"));
  CheckPlan(world("1"), kNoon, "nothing\nwifi backing_off");
  CheckPlan(world("2"), kNoon, "nothing\nwifi parked");
}

TEST_CASE("drift is repaired at once and is no failure") {
  const Plan plan = CheckPlan(R"(
    enrollment product=iMac21,1
    want wifi A all
    report -1s
    item wifi A verified ack=-5h settled=-5h verified=-4h)",
                              kNoon, "InstallProfile wifi A; ProfileList; push\nwifi in_flight");
  CHECK(ItemOf(plan, "wifi").attempts == 0);
  CHECK(ItemOf(plan, "wifi").reason ==
        "The Mac has had the profile since 2026-11-22T08:00:00Z and did not report it at "
        "2026-11-22T11:59:59Z: it is installed again.");
  CHECK(plan.commands[0].reason == ItemOf(plan, "wifi").reason);
}

TEST_CASE("an item is sent a bounded number of times a day") {
  const Plan plan = CheckPlan(R"(
    want wifi A all
    report -1s
    item wifi A pending sends=12@-23h)",
                              kNoon, "nothing\nwifi backing_off");
  CHECK(ItemOf(plan, "wifi").reason ==
        "Sent 12 times since 2026-11-21T13:00:00Z, the most in one day; next attempt at "
        "2026-11-22T13:00:00Z.");
  CHECK(plan.due_at == kNow + std::chrono::hours(1));
  const Plan next_day =
      CheckPlan(R"(
    want wifi A all
    report -1s
    item wifi A pending sends=12@-24h)",
                kNoon, "InstallProfile wifi A; ProfileList; push\nwifi in_flight");
  CHECK(ItemOf(next_day, "wifi").sends == 1);
  // A new revision does not reset the count.
  CheckPlan("want wifi B all\nreport -1s\nitem wifi A pending sends=12@-23h", kNoon,
            "nothing\nwifi backing_off");
}

TEST_CASE("the narrowest assignment wins; a tie that disagrees is a conflict") {
  CheckPlan("want wifi A all\nwant wifi B device=C02A\nreport -1s wifi=A", kNoon,
            "InstallProfile wifi B; ProfileList; push\nwifi in_flight");
  CheckPlan("want wifi absent all adopt\nwant wifi B device=C02A\nreport -1s wifi=B", kNoon,
            "nothing\nwifi verified");
  CheckPlan("want wifi A device=UD1\nwant wifi A device=C02A\nreport -1s wifi=A", kNoon,
            "nothing\nwifi verified");
  const Plan plan = CheckPlan(R"(
    want wifi A device=UD1 by=ci
    want wifi absent device=C02A by=puppet adopt
    want vpn B all
    report -1s wifi=X)",
                              kNoon, R"(InstallProfile vpn B; ProfileList; push
    vpn in_flight
    wifi blocked)");
  CHECK(ItemOf(plan, "wifi").reason ==
        "Two assignments contradict each other: present for device UD1 by ci, absent for device "
        "C02A by puppet. Nothing is done until one is withdrawn.");
}

TEST_CASE(
    "a command without an answer is lost once the device has spoken long after it and fallen "
    "silent") {
  const auto world = [](const std::string& seen) {
    return "enrollment seen=" + seen + R"( pushed=-1m
    want wifi A all
    report -2h
    item wifi A in_flight
    intent InstallProfile wifi A sent -20m
    intent ProfileList sent -20m)";
  };
  CheckPlan(world("-11m"), kNoon, "nothing\nwifi in_flight");
  const Plan lost = CheckPlan(world("-1m"), kNoon,
                              "ProfileList; push\nwifi pending\nclosed c1 lost\nclosed c2 lost");
  CHECK(lost.closed[0].reason == "InstallProfile got no answer; it is taken as lost.");
  // Its next report counts, by its own clock. Found by simulation: with ours hours ahead of the MDM
  // server's no report counted for hours, and the device was asked every minute.
  CHECK(ItemOf(lost, "wifi").settled_at == kNow - std::chrono::hours(2));
}

TEST_CASE("the poll that fetches what waited for a sleeping device does not make it lost") {
  const Plan plan = CheckPlan(R"(
    enrollment seen=-0s pushed=-5m
    want wifi A all
    report -9h wifi=A
    item wifi A verified verified=-3h
    intent ProfileList sent -3h)",
                              kNoon, "nothing\nwifi verified");
  CHECK(plan.due_at <= kNow + std::chrono::minutes(1));
}

TEST_CASE("a command of unknown outcome is looked into, never blindly repeated") {
  const std::string world = R"(
    want wifi A all
    item wifi A in_flight
    intent InstallProfile wifi A unknown -30s
    )";
  const Plan plan = CheckPlan(world + "report -5m", kNoon, "push\nwifi in_flight");
  CHECK(ItemOf(plan, "wifi").reason ==
        "InstallProfile may have been queued at 2026-11-22T11:59:30Z; the answer is awaited.");
  CheckPlan(world + "report -5s asked=-30s wifi=A", kNoon,
            "nothing\nwifi verified\nclosed c1 acknowledged");
  CheckPlan(world + "report -5s asked=-29s", kNoon, "nothing\nwifi pending\nclosed c1 lost");
  CheckPlan(R"(
    want wifi A all
    report -50s asked=-1m
    item wifi A in_flight
    intent InstallProfile wifi A unknown -2m)",
            kNoon, "ProfileList; push\nwifi pending\nclosed c1 lost");
  // A report from before the command says nothing about it.
  CheckPlan(world + "report -5s asked=-31s wifi=A", kNoon, "push\nwifi in_flight");
  // Somebody else's question neither.
  CheckPlan(world + "report -5s", kNoon, "push\nwifi in_flight");
}

TEST_CASE("a report of an earlier epoch answers no command of this one") {
  CheckPlan(R"(
    enrollment epoch=2 pushed=-5s
    want wifi A all
    report -5s asked=-5s epoch=1 wifi=A
    intent InstallProfile wifi A sent -5s
    intent ProfileList sent -5s)",
            kNoon, "nothing\nwifi in_flight");
}

TEST_CASE("commands of an earlier epoch are done with") {
  CheckPlan(R"(
    enrollment epoch=2
    want wifi A all
    report -1s wifi=A
    intent InstallProfile wifi A sent -1m epoch=1
    intent InstallProfile wifi A failed -1m answered=-30s class=permanent error=No. epoch=1
    intent ProfileList failed -1m answered=-30s error=No. epoch=1)",
            kNoon, "nothing\nwifi verified\nclosed c1 lost\nclosed c2 failed\nclosed c3 failed");
}

TEST_CASE("what was not sent is sent again soon and costs no attempt") {
  const Plan plan = CheckPlan(R"(
    want wifi A all
    report -1m
    item wifi A in_flight sends=3@-1h
    intent InstallProfile wifi A not_sent -5s answered=-5s error=connection_refused)",
                              kNoon, "nothing\nwifi backing_off\nclosed c1 not_sent");
  const ItemRecord item = ItemOf(plan, "wifi");
  CHECK(item.attempts == 0);
  CHECK(item.sends == 2);
  CHECK(plan.due_at == kNow + std::chrono::seconds(55));
  CHECK(item.reason ==
        "It could not be sent at 2026-11-22T11:59:55Z: connection refused. Next attempt at "
        "2026-11-22T12:00:55Z.");
}

TEST_CASE("what the MDM server refuses is tried three times") {
  const std::string world = R"(
    want wifi A all
    report -1s
    intent InstallProfile wifi A refused -5s answered=-5s error=no_such_device
    item wifi A in_flight attempts=)";
  const Plan plan = CheckPlan(world + "0", kNoon, "nothing\nwifi backing_off\nclosed c1 refused");
  CHECK(ItemOf(plan, "wifi")
            .reason.starts_with(
                "Attempt 1 failed at 2026-11-22T11:59:55Z: no such device. Next attempt at "));
  CheckPlan(world + "2", kNoon, "nothing\nwifi parked\nclosed c1 refused");
}

TEST_CASE("a command without an answer before the first report goes again, as at the enrollment") {
  CheckPlan(R"(
    enrollment seen=-31s
    want wifi A all
    intent InstallProfile wifi A sent -1h
    item wifi A in_flight sends=1@-1h)",
            kNoon, "InstallProfile wifi A; ProfileList; push\nwifi in_flight\nclosed c1 lost");
}

TEST_CASE("a device's words that end by themselves get no full stop") {
  const Plan plan = CheckPlan(R"(
    want wifi A all
    report -1h
    intent InstallProfile wifi A failed -1s answered=-1s class=permanent error=Never!)",
                              kNoon, "nothing\nwifi parked\nclosed c1 failed");
  CHECK(plan.items.at(0).reason.find("Never!") != std::string::npos);
  CHECK(plan.items.at(0).reason.find("Never!.") == std::string::npos);
}

TEST_CASE("when the OS build has grown, a profile is installed again, once and at its own time") {
  Settings settings;
  settings.reinstall_all = true;
  settings.reinstall_spread = std::chrono::hours(6);
  const std::string world = "want wifi A all\nreport -1m wifi=A\nenrollment build=22B90\n";
  const std::string item = world + "item wifi A verified verified=-1d build=22A100 ";
  const Plan noticed = CheckPlan(item, kNoon, "nothing\nwifi verified", settings);
  const auto at = ItemOf(noticed, "wifi").reinstall_at;
  REQUIRE(at);
  CHECK(*at <= test::MustParseTime(kNoon) + std::chrono::hours(6));
  CHECK(noticed.due_at <= *at);
  CheckPlan(item + "reinstall=+1h", kNoon, "nothing\nwifi verified", settings);
  CheckPlan(item + "reinstall=-1s", kNoon,
            "InstallProfile wifi A; ProfileList; push\nwifi in_flight", settings);
  const Plan answered =
      CheckPlan(item +
                    "reinstall=-1s\nintent InstallProfile wifi A failed -2s answered=-1s "
                    "class=permanent error=No.",
                kNoon, "nothing\nwifi parked\nclosed c1 failed", settings);
  CHECK(ItemOf(answered, "wifi").installed_build == "22B90");
  CHECK_FALSE(ItemOf(answered, "wifi").reinstall_at);
}

TEST_CASE("a report does not answer for a profile that is installed again: it was there before") {
  // A locked iPhone that put the command off was sent another one with each report.
  Settings settings;
  settings.reinstall_all = true;
  CheckPlan(R"(
    enrollment build=22B90 pushed=-5s
    want wifi A all
    report -1s asked=-30s wifi=A
    item wifi A not_now verified=-1d build=22A100 reinstall=-1h
    intent InstallProfile wifi A not_now -30s not_now=1@-2s)",
            kNoon, "nothing\nwifi not_now", settings);
}

TEST_CASE("a profile that a report shows after its install is of the build of that time") {
  // Found by simulation: it was installed once more, under the same build.
  Settings settings;
  settings.reinstall_all = true;
  settings.reinstall_spread = Duration::zero();
  const Plan plan = CheckPlan(R"(
    enrollment build=22B90
    want wifi A all
    report -1s asked=-30s wifi=A
    item wifi A in_flight build=22A100
    intent InstallProfile wifi A sent -30s)",
                              kNoon, "nothing\nwifi verified\nclosed c1 acknowledged", settings);
  CHECK(ItemOf(plan, "wifi").installed_build == "22B90");
}

TEST_CASE("a downgrade, an unknown build, another profile or no policy installs nothing again") {
  Settings settings;
  settings.reinstall_named = {PayloadIdentifier("vpn")};
  settings.reinstall_spread = Duration::zero();
  const auto world = [](const std::string& name, const std::string& from, const std::string& to) {
    return "want " + name + " A all\nreport -1m " + name + "=A\nenrollment build=" + to +
           "\nitem " + name + " A verified verified=-1d build=" + from;
  };
  CheckPlan(world("vpn", "22A100", "22B90"), kNoon,
            "InstallProfile vpn A; ProfileList; push\nvpn in_flight", settings);
  CheckPlan(world("wifi", "22A100", "22B90"), kNoon, "nothing\nwifi verified", settings);
  CheckPlan(world("vpn", "22B90", "22A100"), kNoon, "nothing\nvpn verified", settings);
  CheckPlan(world("vpn", "22B90", "beta"), kNoon, "nothing\nvpn verified", settings);
  CheckPlan(world("vpn", "22A100", "22B90"), kNoon, "nothing\nvpn verified");
  const Plan first = CheckPlan("want vpn A all\nreport -1m vpn=A\nenrollment build=22B90", kNoon,
                               "nothing\nvpn verified", settings);
  CHECK(ItemOf(first, "vpn").installed_build == "22B90");
}

TEST_CASE("a reinstall that is not wanted any more leaves no time to look at") {
  const Plan plan = CheckPlan(
      "want wifi A all\nreport -1m wifi=A\nenrollment build=22B90\nitem wifi A verified "
      "verified=-1d build=22A100 reinstall=-1h due=-1h",
      kNoon, "nothing\nwifi verified");
  CHECK(plan.due_at > test::MustParseTime(kNoon));
}

TEST_CASE("a reinstall that could not be sent waits before it is tried again") {
  Settings settings;
  settings.reinstall_all = true;
  const Plan plan = CheckPlan(
      "want wifi A all\nreport -1m wifi=A\nenrollment build=22B90\nitem wifi A in_flight "
      "verified=-1d build=22A100 reinstall=-1s\nintent InstallProfile wifi A not_sent -2s "
      "answered=-1s error=No_key.",
      kNoon, "nothing\nwifi backing_off\nclosed c1 not_sent", settings);
  CHECK(plan.due_at > test::MustParseTime(kNoon));
  CHECK(ItemOf(plan, "wifi").reinstall_at);
}

}  // namespace
}  // namespace director::reconciler_item_test
