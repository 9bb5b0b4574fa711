#include <chrono>
#include <string>

#include "reconciler/plan.h"
#include "tests/support/check_plan.h"

namespace director::reconciler_app_test {
namespace {

using test::CheckPlan;
using test::ItemOf;

const std::string kNoon = "2026-11-22T12:00:00Z";
const Timestamp kNow = *ParseTime("2026-11-22T12:00:00Z");
const std::string kAgent = "app:com.ex.agent";

/// A device whose profiles are as they should be, and one app that it should have.
std::string Wanted(const std::string& rest) {
  return "enrollment\nreport -1m\nwant app:com.ex.agent A all version=1.2\n" + rest;
}

TEST_CASE("a device that has just enrolled gets its apps at once, with everything else") {
  CheckPlan("enrollment\nwant app:com.ex.agent A all version=1.2\nwant wifi B all", kNoon,
            "InstallApplication app:com.ex.agent A; InstallProfile wifi B; ProfileList; push\n"
            "app:com.ex.agent in_flight\nwifi in_flight");
}

TEST_CASE("a device that was here before is asked which apps it has first") {
  CheckPlan(Wanted(""), kNoon, "InstalledApplicationList; push\napp:com.ex.agent pending");
  CheckPlan("enrollment ask_first\nwant app:com.ex.agent A all", kNoon,
            "InstalledApplicationList; ProfileList; push\napp:com.ex.agent pending");
}

TEST_CASE("the device's own list decides: the version, or a newer one") {
  CheckPlan(Wanted("apps -30s com.ex.agent=1.2"), kNoon, "nothing\napp:com.ex.agent verified");
  CheckPlan(Wanted("apps -30s com.ex.agent=1.10"), kNoon, "nothing\napp:com.ex.agent verified");
  CheckPlan(Wanted("apps -30s com.ex.agent=1.1 com.ex.agent=2.0"), kNoon,
            "nothing\napp:com.ex.agent verified");
  const Plan older =
      CheckPlan(Wanted("apps -30s com.ex.agent=1.1"), kNoon,
                "InstallApplication app:com.ex.agent A; push\napp:com.ex.agent in_flight");
  CHECK(ItemOf(older, kAgent).reason ==
        "The device reported version 1.1 at 2026-11-22T11:59:30Z; 1.2 is installed.");
  CheckPlan(Wanted("apps -30s com.ex.agent.helper=9"), kNoon,
            "InstallApplication app:com.ex.agent A; push\napp:com.ex.agent in_flight");
}

TEST_CASE("an app of which any version will do is never replaced") {
  CheckPlan("enrollment\nreport -1m\nwant app:com.ex.agent A all\napps -30s com.ex.agent=0.1",
            kNoon, "nothing\napp:com.ex.agent verified");
}

TEST_CASE("acknowledged is not installed: the list is asked for less and less often") {
  const Plan fresh = CheckPlan(
      Wanted("apps -5m com.ex.other=1\nintent InstallApplication app:com.ex.agent A acknowledged "
             "-30s answered=-20s"),
      kNoon, "nothing\napp:com.ex.agent acknowledged\nclosed c1 acknowledged");
  CHECK(fresh.due_at <= kNow + std::chrono::minutes(2));
  const std::string acknowledged =
      "item app:com.ex.agent A acknowledged ack=-10m settled=-10m "
      "since=-10m\n";
  CheckPlan(Wanted(acknowledged), kNoon,
            "InstalledApplicationList; ManagedApplicationList; push\n"
            "app:com.ex.agent acknowledged");
  const Plan looked = CheckPlan(Wanted(acknowledged + "apps -2m asked=-2m com.ex.other=1"), kNoon,
                                "nothing\napp:com.ex.agent acknowledged");
  CHECK(looked.due_at <= kNow + std::chrono::minutes(6));
  CHECK(looked.due_at > kNow + std::chrono::minutes(5));
}

TEST_CASE("an app that never shows counts as a failed attempt, and parks after three") {
  const std::string item = "item app:com.ex.agent A acknowledged ack=-70m settled=-70m since=-70m ";
  const std::string list = "\napps -1m asked=-1m com.ex.other=1";
  const Plan once = CheckPlan(Wanted(item + list), kNoon, "nothing\napp:com.ex.agent backing_off");
  const ItemRecord record = ItemOf(once, kAgent);
  CHECK(record.attempts == 1);
  REQUIRE(record.next_attempt_at);
  CHECK(*record.next_attempt_at > kNow + std::chrono::hours(19));
  CHECK(*record.next_attempt_at < kNow + std::chrono::hours(29));
  const Plan thrice =
      CheckPlan(Wanted(item + "attempts=2" + list), kNoon, "nothing\napp:com.ex.agent parked");
  CHECK_FALSE(ItemOf(thrice, kAgent).last_error.empty());
}

TEST_CASE("a refused app is tried again after a day; what lasts parks at once") {
  const auto failed = [](const std::string& error_class) {
    return Wanted(
        "apps -5m com.ex.other=1\nintent InstallApplication app:com.ex.agent A failed -30s "
        "answered=-20s error=Download_failed. class=" +
        error_class);
  };
  const Plan passing = CheckPlan(failed("transient"), kNoon,
                                 "nothing\napp:com.ex.agent backing_off\nclosed c1 failed");
  CHECK(*ItemOf(passing, kAgent).next_attempt_at > kNow + std::chrono::hours(19));
  CheckPlan(failed("permanent"), kNoon, "nothing\napp:com.ex.agent parked\nclosed c1 failed");
}

TEST_CASE("an app that is lost later is installed again, which is no failure") {
  const Plan plan = CheckPlan(
      Wanted("item app:com.ex.agent A verified ack=-3h settled=-3h verified=-2h\napps -1m "
             "com.ex.other=1"),
      kNoon, "InstallApplication app:com.ex.agent A; push\napp:com.ex.agent in_flight");
  CHECK(ItemOf(plan, kAgent).attempts == 0);
}

TEST_CASE("a sleeping device is woken by one harmless question") {
  CheckPlan("enrollment seen=-1h\nreport -1h\nwant app:com.ex.agent A all", kNoon,
            "ProfileList; push\napp:com.ex.agent pending");
  CheckPlan("enrollment seen=-1h\nreport -1h\nwant app:com.ex.agent A all\napps -1h com.ex.x=1",
            kNoon, "ProfileList; push\napp:com.ex.agent pending");
}

TEST_CASE("an app is removed by name, when a fresh list shows it, and gone when a list says so") {
  const std::string absent = "enrollment\nreport -1m\nwant app:com.ex.agent absent all\n";
  CheckPlan(absent, kNoon, "InstalledApplicationList; push\napp:com.ex.agent pending");
  CheckPlan(absent + "apps -1m com.ex.agent=1", kNoon,
            "RemoveApplication app:com.ex.agent; push\napp:com.ex.agent in_flight");
  CheckPlan(absent + "apps -1h com.ex.agent=1", kNoon,
            "InstalledApplicationList; push\napp:com.ex.agent pending");
  CheckPlan(absent + "apps -1m com.ex.other=1", kNoon, "nothing\napp:com.ex.agent verified");
  CheckPlan(absent +
                "apps -1m com.ex.agent=1\nintent RemoveApplication app:com.ex.agent "
                "acknowledged -30s answered=-20s",
            kNoon, "nothing\napp:com.ex.agent acknowledged\nclosed c1 acknowledged");
}

TEST_CASE("a list of an earlier epoch, or older than the last answer, proves nothing") {
  CheckPlan(
      "enrollment epoch=2 ask_first\nreport -1m\nwant app:com.ex.agent A all\n"
      "apps -1m epoch=1 com.ex.agent=1",
      kNoon, "InstalledApplicationList; push\napp:com.ex.agent pending");
  CheckPlan(Wanted("item app:com.ex.agent A pending settled=-1m\napps -2m com.ex.agent=1.2"), kNoon,
            "InstalledApplicationList; push\napp:com.ex.agent pending");
}

TEST_CASE("without a bundle identifier an app is sent once in an enrollment") {
  const std::string world = "enrollment\nreport -1m\nwant app:https://repo.ex/a.plist A all\n";
  CheckPlan(world, kNoon,
            "InstallApplication app:https://repo.ex/a.plist A; push\n"
            "app:https://repo.ex/a.plist in_flight");
  CheckPlan(world +
                "intent InstallApplication app:https://repo.ex/a.plist A acknowledged -30s "
                "answered=-20s",
            kNoon, "nothing\napp:https://repo.ex/a.plist acknowledged\nclosed c1 acknowledged");
  CheckPlan(world + "item app:https://repo.ex/a.plist A acknowledged ack=-3d settled=-3d", kNoon,
            "nothing\napp:https://repo.ex/a.plist acknowledged");
}

TEST_CASE("an app for enrollment only goes to devices that enroll after it was assigned") {
  const std::string rest = "\nreport -1m\nwant app:com.ex.agent A all at_enrollment_only\n";
  CheckPlan("enrollment" + rest + "apps -1m com.ex.other=1", kNoon, "nothing");
  CheckPlan("enrollment began=-5m" + rest + "apps -1m com.ex.other=1", kNoon,
            "InstallApplication app:com.ex.agent A; push\napp:com.ex.agent in_flight");
  CheckPlan("enrollment began=-5m" + rest +
                "item app:com.ex.agent A verified verified=-2m\napps -1m com.ex.other=1",
            kNoon, "nothing\napp:com.ex.agent verified");
}

TEST_CASE("a list that the device refuses is not asked for again at once, and the notes say so") {
  const Plan plan =
      CheckPlan(Wanted("intent InstalledApplicationList failed -1m answered=-50s error=No_right."),
                kNoon, "nothing\napp:com.ex.agent pending");
  REQUIRE_FALSE(plan.notes.empty());
  CHECK(plan.notes.back() ==
        "InstalledApplicationList failed at 2026-11-22T11:59:10Z: No right. It is asked again "
        "later.");
}

TEST_CASE("a list that is no news is not asked for again within a minute") {
  // Found by simulation: after the clock was set back every list was older than the last answer to
  // a command, and the device was asked every few seconds.
  const std::string item = "item app:com.ex.agent A pending settled=+4h since=-1m\n";
  const Plan plan = CheckPlan(Wanted(item + "apps -10s asked=-11s com.ex.other=1"), kNoon,
                              "nothing\napp:com.ex.agent pending");
  CHECK(plan.due_at == kNow + std::chrono::seconds(49));
  CheckPlan(Wanted(item + "apps -60s asked=-61s com.ex.other=1"), kNoon,
            "InstalledApplicationList; push\napp:com.ex.agent pending");
}

TEST_CASE("our clock was set back: the wait for an app begins anew and is not endless") {
  CheckPlan(Wanted("item app:com.ex.agent A acknowledged ack=-1m settled=-1m since=+5d\n"
                   "apps -30s asked=-30s com.ex.other=1"),
            kNoon, "nothing\napp:com.ex.agent acknowledged");
}

TEST_CASE("a later acknowledgement begins the wait for an app anew") {
  const Plan plan =
      CheckPlan(Wanted("item app:com.ex.agent A acknowledged ack=-1m settled=-1m since=-70m\n"
                       "apps -5m asked=-5m com.ex.other=1"),
                kNoon, "nothing\napp:com.ex.agent acknowledged");
  CHECK(plan.due_at == kNow + std::chrono::minutes(2));
  CheckPlan(Wanted("item app:com.ex.agent A acknowledged ack=-1m settled=-1m since=-70m parked\n"
                   "apps -5m asked=-5m com.ex.other=1"),
            kNoon, "nothing\napp:com.ex.agent acknowledged");
}

TEST_CASE("nothing is installed by an old list, and nothing into a running install") {
  CheckPlan(Wanted("apps -3h com.ex.agent=1.1"), kNoon,
            "InstalledApplicationList; push\napp:com.ex.agent pending");
  CheckPlan(Wanted("apps +5d com.ex.agent=1.1"), kNoon,
            "InstalledApplicationList; push\napp:com.ex.agent pending");
  const Plan busy = CheckPlan(Wanted("apps -30s com.ex.agent=1.2!installing"), kNoon,
                              "nothing\napp:com.ex.agent pending");
  CHECK(busy.due_at <= kNow + std::chrono::minutes(2));
  CheckPlan(Wanted("apps -3m com.ex.agent=1.2!installing"), kNoon,
            "InstalledApplicationList; push\napp:com.ex.agent pending");
  CheckPlan(
      "enrollment\nreport -1m\nwant app:com.ex.agent absent all\n"
      "apps -30s com.ex.agent=1!installing",
      kNoon, "nothing\napp:com.ex.agent pending");
}

TEST_CASE("another revision of what is for enrollment only changes nothing where it was brought") {
  const std::string world =
      "enrollment began=-30m\nreport -1m\nwant app:com.ex.agent B all version=2 "
      "at_enrollment_only\n";
  const Plan kept = CheckPlan(world +
                                  "item app:com.ex.agent A verified verified=-20m\n"
                                  "apps -1m com.ex.agent=1",
                              kNoon, "nothing\napp:com.ex.agent verified");
  CHECK(ItemOf(kept, kAgent).payload_uuid == PayloadUuid("B"));
  CheckPlan(world + "item app:com.ex.agent A backing_off attempts=1 next=+5h\napps -1m com.ex.x=1",
            kNoon, "InstallApplication app:com.ex.agent B; push\napp:com.ex.agent in_flight");
}

}  // namespace
}  // namespace director::reconciler_app_test
