// What a device says of the apps that it is at.
#include <chrono>
#include <string>

#include "reconciler/managed_app.h"
#include "reconciler/plan.h"
#include "tests/support/check_plan.h"

namespace director::reconciler_managed_app_test {
namespace {

using std::chrono::hours;
using test::CheckPlan;
using test::ItemOf;

const std::string kNoon = "2026-11-22T12:00:00Z";
const Timestamp kNow = *ParseTime("2026-11-22T12:00:00Z");
const std::string kAgent = "app:com.ex.agent";
const std::string kAtWork = "nothing\napp:com.ex.agent acknowledged";
const std::string kEnded = "nothing\napp:com.ex.agent backing_off";

/// An iPhone that acknowledged the install of an app 10 minutes ago.
std::string Begun(const std::string& rest, const std::string& enrollment = "product=iPhone17,1") {
  return "enrollment " + enrollment +
         "\nreport -1m\nwant app:com.ex.agent A all version=1.2\n"
         "item app:com.ex.agent A acknowledged ack=-10m settled=-10m since=-10m\n" +
         rest;
}

TEST_CASE("while an install is under way, both lists are asked for together") {
  const std::string both =
      "InstalledApplicationList; ManagedApplicationList; push\napp:com.ex.agent acknowledged";
  CheckPlan(Begun(""), kNoon, both);
  CheckPlan(Begun("apps -6m asked=-6m com.ex.x=1\nmanaged -6m asked=-6m com.ex.agent=Prompting"),
            kNoon, both);
  CheckPlan(Begun("apps -2m asked=-2m com.ex.x=1\nmanaged -2m asked=-2m com.ex.agent=Prompting"),
            kNoon, kAtWork);
}

TEST_CASE("the list of managed apps is asked for at its own pace, whatever the other one does") {
  // The list of apps is refused, so that it is due all the time.
  CheckPlan(Begun("managed -2m asked=-2m\nintent InstalledApplicationList failed -3m answered=-3m "
                  "error=No."),
            kNoon, kAtWork);
}

TEST_CASE("nothing is asked about apps that nobody waits for") {
  const std::string device = "enrollment\nreport -1m\n";
  CheckPlan(device + "want app:com.ex.agent A all version=1.2", kNoon,
            "InstalledApplicationList; push\napp:com.ex.agent pending");
  CheckPlan(device +
                "want app:com.ex.agent A all version=1.2\napps -30s com.ex.agent=1.2\n"
                "item app:com.ex.agent A verified ack=-3h settled=-3h verified=-2h",
            kNoon, "nothing\napp:com.ex.agent verified");
  // Apple's words are about installs alone.
  CheckPlan(device +
                "want app:com.ex.agent absent all\n"
                "item app:com.ex.agent absent acknowledged ack=-10m settled=-10m since=-10m",
            kNoon, "InstalledApplicationList; push\napp:com.ex.agent acknowledged");
}

TEST_CASE("a Mac before macOS 11 does not know the question and is not asked it") {
  const std::string alone = "InstalledApplicationList; push\napp:com.ex.agent acknowledged";
  const std::string both =
      "InstalledApplicationList; ManagedApplicationList; push\napp:com.ex.agent acknowledged";
  CheckPlan(Begun("", "product=Mac15,3 os=10.15.7"), kNoon, alone);
  CheckPlan(Begun("", "product=Mac15,3 os=11.0"), kNoon, both);
  CheckPlan(Begun("", "product=Mac15,3"), kNoon, both);
  CheckPlan(Begun("", "product=AppleTV14,1 os=10.2"), kNoon, both);
}

TEST_CASE("a device that refuses the question is asked for its list of apps alone, for a day") {
  const std::string alone = "InstalledApplicationList; push\napp:com.ex.agent acknowledged";
  const Plan plan =
      CheckPlan(Begun("intent ManagedApplicationList failed -23h answered=-23h error=No_right."),
                kNoon, alone);
  REQUIRE_FALSE(plan.notes.empty());
  CHECK(plan.notes.back() ==
        "ManagedApplicationList failed at 2026-11-21T13:00:00Z: No right. It is asked again "
        "later.");
  CheckPlan(Begun("intent ManagedApplicationList refused -1h error=Unknown."), kNoon, alone);
  // One that never answers does not hold the other list up.
  CheckPlan(Begun("intent ManagedApplicationList not_now -5m not_now=1@-4m"), kNoon, alone);
  CheckPlan(Begun("intent ManagedApplicationList failed -25h answered=-25h error=No_right."), kNoon,
            "InstalledApplicationList; ManagedApplicationList; push\n"
            "app:com.ex.agent acknowledged\nclosed c1 failed");
}

TEST_CASE("what an install waits for stands in the item's reason") {
  const Plan plan = CheckPlan(
      Begun("apps -2m asked=-2m com.ex.x=1\nmanaged -2m asked=-2m com.ex.agent=PromptingForLogin"),
      kNoon, kAtWork);
  const ItemRecord record = ItemOf(plan, kAgent);
  CHECK(record.reason ==
        "The iPhone acknowledged it at 2026-11-22T11:50:00Z and may be at it until "
        "2026-11-22T12:50:00Z. The iPhone reported at 2026-11-22T11:58:00Z: PromptingForLogin, "
        "its user is asked to log in to the App Store.");
  CHECK(record.attempts == 0);
}

TEST_CASE("a word that ends the install is a failed attempt with that word as its reason") {
  const std::string lists = "apps -2m asked=-2m com.ex.x=1\nmanaged -2m asked=-2m com.ex.agent=";
  const Plan plan = CheckPlan(Begun(lists + "UserRejected"), kNoon, kEnded);
  const ItemRecord record = ItemOf(plan, kAgent);
  CHECK(record.attempts == 1);
  CHECK(record.last_error ==
        "The iPhone reported at 2026-11-22T11:58:00Z: UserRejected, its user refused to install "
        "it.");
  REQUIRE(record.next_attempt_at);
  CHECK(*record.next_attempt_at > kNow + hours(19));
  for (const char* word : {"UpdateRejected", "ManagementRejected", "Failed"}) {
    CheckPlan(Begun(lists + word), kNoon, kEnded);
  }
  // Also when the list of apps was not answered yet, or never is.
  CheckPlan(Begun("managed -2m asked=-2m com.ex.agent=Failed"), kNoon, kEnded);
}

TEST_CASE("words that wait burn no attempt, known or not") {
  for (const char* word : {"Queued", "NeedsRedemption", "Prompting", "Installing", "Unknown",
                           "UserInstalledApp", "ManagedButUninstalled", "SomethingNew"}) {
    CheckPlan(Begun(std::string("apps -2m asked=-2m com.ex.x=1\nmanaged -2m asked=-2m "
                                "com.ex.agent=") +
                    word),
              kNoon, kAtWork);
  }
}

TEST_CASE("Managed tells no version and proves nothing") {
  const std::string managed = "\nmanaged -2m asked=-2m com.ex.agent=Managed";
  CheckPlan(Begun("apps -2m asked=-2m com.ex.agent=1.1" + managed), kNoon, kAtWork);
  CheckPlan(Begun("apps -2m asked=-2m com.ex.agent=1.2" + managed), kNoon,
            "nothing\napp:com.ex.agent verified");
}

TEST_CASE("the list of apps is right when both say different things") {
  CheckPlan(Begun("apps -2m asked=-2m com.ex.agent=1.2\n"
                  "managed -2m asked=-2m com.ex.agent=ManagementRejected"),
            kNoon, "nothing\napp:com.ex.agent verified");
}

TEST_CASE("a list of managed apps that is not about this install says nothing") {
  const std::string apps = "apps -2m asked=-2m com.ex.x=1\n";
  for (const char* managed :
       {"managed -10m asked=-2m com.ex.agent=Failed", "managed -11m com.ex.agent=Failed",
        "managed -2m epoch=7 com.ex.agent=Failed", "managed +3d com.ex.agent=Failed",
        "managed -2m com.ex.agent.helper=Failed", "managed -2m"}) {
    const Plan plan = CheckPlan(Begun(apps + managed), kNoon, kAtWork);
    CHECK(ItemOf(plan, kAgent).reason.find("reported") == std::string::npos);
  }
}

TEST_CASE("when the time is over, the last word stands beside the failure") {
  const Plan plan = CheckPlan(
      "enrollment product=iPhone17,1\nreport -1m\nwant app:com.ex.agent A all version=1.2\n"
      "item app:com.ex.agent A acknowledged ack=-70m settled=-70m since=-70m\n"
      "apps -1m asked=-1m com.ex.other=1\nmanaged -1m asked=-1m com.ex.agent=Prompting",
      kNoon, kEnded);
  CHECK(ItemOf(plan, kAgent).last_error ==
        "The iPhone acknowledged the command, but its report of 2026-11-22T11:59:00Z says "
        "otherwise. The iPhone reported at 2026-11-22T11:59:00Z: Prompting, its user is asked "
        "whether to install it.");
}

TEST_CASE("a word is counted once: the next attempt comes a day later and parks after three") {
  const std::string world =
      "enrollment\nreport -1m\nwant app:com.ex.agent A all version=1.2\n"
      "apps -1m asked=-1m com.ex.x=1\nmanaged -2m asked=-2m com.ex.agent=Failed\n";
  const Plan later = CheckPlan(
      world + "item app:com.ex.agent A backing_off settled=-10m attempts=1 next=+5h error=No.",
      kNoon, kEnded);
  CHECK(ItemOf(later, kAgent).attempts == 1);
  CheckPlan(
      world + "item app:com.ex.agent A acknowledged ack=-10m settled=-10m since=-10m attempts=2",
      kNoon, "nothing\napp:com.ex.agent parked");
}

}  // namespace
}  // namespace director::reconciler_managed_app_test
