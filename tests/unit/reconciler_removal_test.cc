#include "reconciler/plan.h"
#include "tests/support/check_plan.h"

namespace director::reconciler_removal_test {
namespace {

using test::CheckPlan;
using test::ItemOf;

const std::string kNoon = "2026-11-22T12:00:00Z";

TEST_CASE("what shall be absent is removed only when it is ours or adopted by name") {
  const Plan stranger =
      CheckPlan("want wifi absent all\nreport -1s wifi=X", kNoon, "nothing\nwifi blocked");
  CHECK(ItemOf(stranger, "wifi").reason ==
        "The device has this profile with PayloadUUID X, which Director never sent. It is removed "
        "only when the assignment says adopt.");
  const std::string removed = "RemoveProfile wifi; ProfileList; push\nwifi in_flight";
  const Plan ours =
      CheckPlan("want wifi absent device=C02A by=ops known=A,B\nreport -1s wifi=b", kNoon, removed);
  CHECK(ItemOf(ours, "wifi").reason ==
        "The device reported the profile at 2026-11-22T11:59:59Z; it is removed because it is "
        "assigned to device C02A by ops as absent.");
  CheckPlan("want wifi absent all adopt\nreport -1s wifi=X", kNoon, removed);
  CheckPlan("want wifi absent all adopt\nreport -1s hidden wifi=X", kNoon, "nothing\nwifi blocked");
  CheckPlan("want wifi absent all known=A\nreport -1s hidden wifi=A", kNoon, removed);
  const Plan gone =
      CheckPlan("want wifi absent all\nreport -1s vpn=X", kNoon, "nothing\nwifi verified");
  CHECK(ItemOf(gone, "wifi").reason ==
        "The device reported at 2026-11-22T11:59:59Z that it does not have it.");
}

TEST_CASE("one of two profiles of the same name being a stranger's protects both") {
  CheckPlan("want wifi absent all known=A\nreport -1s wifi=A wifi=X", kNoon,
            "nothing\nwifi blocked");
  CheckPlan("want wifi absent all adopt\nreport -1s wifi=A wifi=B!mdm", kNoon,
            "nothing\nwifi blocked");
  CheckPlan("want wifi A all\nreport -1s wifi=A wifi=B!mdm", kNoon, "nothing\nwifi blocked");
}

TEST_CASE("nothing is removed without a fresh report") {
  const std::string want = "want wifi absent all adopt\n";
  SECTION("none at all") {
    const Plan plan = CheckPlan(want, kNoon, "ProfileList; push\nwifi pending");
    CHECK(ItemOf(plan, "wifi").reason ==
          "The device is asked what it has before anything is removed.");
  }
  SECTION("of another epoch") {
    CheckPlan(want + "enrollment epoch=2\nreport -1s epoch=1 wifi=A", kNoon,
              "ProfileList; push\nwifi pending");
  }
  SECTION("older than the last answer") {
    CheckPlan(want + "report -1m wifi=A\nitem wifi absent pending settled=-30s", kNoon,
              "ProfileList; push\nwifi pending");
  }
  SECTION("too old") {
    CheckPlan(want + "report -15m wifi=A", kNoon,
              "RemoveProfile wifi; ProfileList; push\nwifi in_flight");
    const Plan plan =
        CheckPlan(want + "report -16m wifi=A", kNoon, "ProfileList; push\nwifi pending");
    CHECK(ItemOf(plan, "wifi").reason ==
          "The device is asked again before the removal: its last report is of "
          "2026-11-22T11:44:00Z.");
  }
  SECTION("too old and being asked") {
    CheckPlan(
        want + "report -16m wifi=A\nintent ProfileList sent -5s\nenrollment pushed=-5s pushes=1",
        kNoon, "nothing\nwifi pending");
  }
  SECTION("an MDM server whose clock is late does not prevent it for ever") {
    CheckPlan(want + "report -30m asked=-2m wifi=A", kNoon,
              "RemoveProfile wifi; ProfileList; push\nwifi in_flight");
  }
}

TEST_CASE("a removal is acknowledged, then verified") {
  CheckPlan(R"(
    want wifi absent all known=A
    report -1m wifi=A
    item wifi absent in_flight
    intent RemoveProfile wifi acknowledged -30s answered=-10s)",
            kNoon, "ProfileList; push\nwifi acknowledged\nclosed c1 acknowledged");
  CheckPlan(R"(
    want wifi absent all known=A
    report -9s asked=-30s
    item wifi absent acknowledged ack=-10s settled=-10s)",
            kNoon, "nothing\nwifi verified");
  // "Not found" is what was wanted.
  CheckPlan(R"(
    want wifi absent all known=A
    report -1m wifi=A
    item wifi absent in_flight
    intent RemoveProfile wifi failed -30s answered=-10s class=done error=Not_found.)",
            kNoon, "ProfileList; push\nwifi acknowledged\nclosed c1 failed");
  CheckPlan(R"(
    want wifi absent all known=A
    report -9s wifi=A
    item wifi absent acknowledged ack=-10s settled=-10s attempts=2)",
            kNoon, "nothing\nwifi parked");
  CheckPlan(R"(
    want wifi absent all known=A
    report -9s
    item wifi absent in_flight
    intent RemoveProfile wifi sent -30s)",
            kNoon, "push\nwifi in_flight");
  CheckPlan(R"(
    want wifi absent all known=A
    report -9s asked=-30s
    item wifi absent in_flight
    intent RemoveProfile wifi sent -30s)",
            kNoon, "nothing\nwifi verified\nclosed c1 acknowledged");
}

TEST_CASE("a removal that failed is held like an install") {
  CheckPlan(R"(
    want wifi absent all known=A
    item wifi absent backing_off attempts=1 next=+5m settled=-1m error=No.)",
            kNoon, "ProfileList; push\nwifi backing_off");
  CheckPlan(R"(
    want wifi absent all known=A
    report -9s wifi=A
    item wifi absent parked attempts=1 parked= error=No.)",
            kNoon, "nothing\nwifi parked");
}

TEST_CASE("an answer to a removal is nothing to an item that is wanted again") {
  CheckPlan(R"(
    want wifi A all
    report -1m wifi=A
    item wifi absent in_flight
    intent RemoveProfile wifi acknowledged -30s answered=-10s)",
            kNoon, "ProfileList; push\nwifi pending\nclosed c1 acknowledged");
}

TEST_CASE("the enrollment profile and what declarative management owns are left alone") {
  const Plan mdm = CheckPlan("want wifi absent all adopt\nreport -1s wifi=X!mdm", kNoon,
                             "nothing\nwifi blocked");
  CHECK(ItemOf(mdm, "wifi").reason == "This is the enrollment profile; it is never removed.");
  const Plan ddm = CheckPlan("want wifi absent all adopt\nreport -1s wifi=X!ddm", kNoon,
                             "nothing\nwifi blocked");
  CHECK(ItemOf(ddm, "wifi").reason ==
        "Declarative management owns the profile on this device; commands cannot remove it.");
  CheckPlan("want wifi A all\nreport -1s wifi=X!mdm", kNoon, "nothing\nwifi blocked");
  CheckPlan("want wifi A all\nreport -1s wifi=X!ddm", kNoon, "nothing\nwifi blocked");
}

TEST_CASE("what nobody assigns any more is neither removed nor remembered") {
  CheckPlan(R"(
    report -1s wifi=A
    item wifi A verified verified=-3h
    intent InstallProfile wifi A acknowledged -2m answered=-1m)",
            kNoon, "nothing\nclosed c1 acknowledged");
  CheckPlan("report -1s\nintent InstallProfile wifi A sent -1m\nenrollment pushed=-1m", kNoon,
            "nothing");
}

TEST_CASE("a report of a time that our clock has not reached again is no fresh evidence") {
  // Found by simulation: the clock had been set back by two hours.
  CheckPlan("want wifi absent device=C02A known=A\nreport -10m asked=+2h wifi=A", kNoon,
            "ProfileList; push\nwifi pending");
}

}  // namespace
}  // namespace director::reconciler_removal_test
