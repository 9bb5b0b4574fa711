// What a device answers: to a command, about its profiles, about itself, in Setup Assistant.
#include <chrono>
#include <string>
#include <vector>

#include "tests/support/catch.h"
#include "tests/support/observe_parts.h"

namespace director::reconciler_observe_answers_test {
namespace {

using namespace observe_test;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

TEST_CASE("an answer closes the intent with its time") {
  const Observation seen =
      See(Recent(), Answer(CommandStatus::kAcknowledged), kNow - seconds(1), Sent());
  REQUIRE(seen.intent);
  CHECK(seen.intent->state == IntentState::kAcknowledged);
  CHECK(seen.intent->answered_at == kNow - seconds(1));
  CHECK(seen.due);
  CHECK(seen.happenings.empty());
}

TEST_CASE("an error is classed and told in Apple's words") {
  ResultEvent result = Answer(CommandStatus::kError);
  result.error_chain = {
      {4001, "MCInstallationErrorDomain", "", "The profile could not be installed"},
      {4009, "MCInstallationErrorDomain", "Das Gerät ist gesperrt", ""}};
  const Observation seen = See(Recent(), result, kNow, Sent());
  REQUIRE(seen.intent);
  CHECK(seen.intent->state == IntentState::kFailed);
  CHECK(seen.intent->error_class == ErrorClass::kTransient);
  CHECK(seen.intent->error ==
        "Das Gerät ist gesperrt. (MCInstallationErrorDomain 4009: device is locked)");
  CHECK(seen.happenings ==
        std::vector<std::string>{"InstallProfile wifi failed: Das Gerät ist gesperrt. "
                                 "(MCInstallationErrorDomain 4009: device is locked)"});
}

TEST_CASE("an error without a chain is unknown, a malformed command is permanent") {
  const Observation bare = See(Recent(), Answer(CommandStatus::kError), kNow, Sent());
  CHECK(bare.intent->error_class == ErrorClass::kUnknown);
  CHECK(bare.intent->error == "no description.");
  const Observation malformed =
      See(Recent(), Answer(CommandStatus::kCommandFormatError), kNow, Sent());
  CHECK(malformed.intent->error_class == ErrorClass::kPermanent);
  CHECK(malformed.intent->answered_at == kNow);
}

TEST_CASE("NotNow is counted once for each time it is said") {
  const Observation first =
      See(Recent(), Answer(CommandStatus::kNotNow), kNow - seconds(2), Sent());
  REQUIRE(first.intent);
  CHECK(first.intent->state == IntentState::kNotNow);
  CHECK(first.intent->not_now_count == 1);
  CHECK(first.intent->not_now_at == kNow - seconds(2));
  CHECK_FALSE(first.intent->answered_at);
  CHECK_FALSE(
      See(Recent(), Answer(CommandStatus::kNotNow), kNow - seconds(2), first.intent).intent);
  CHECK_FALSE(
      See(Recent(), Answer(CommandStatus::kNotNow), kNow - seconds(3), first.intent).intent);
  CHECK(See(Recent(), Answer(CommandStatus::kNotNow), kNow, first.intent).intent->not_now_count ==
        2);
  CHECK(See(Recent(), Answer(CommandStatus::kAcknowledged), kNow, first.intent).intent->state ==
        IntentState::kAcknowledged);
}

TEST_CASE("a second answer changes nothing") {
  Intent done = Sent();
  done.state = IntentState::kAcknowledged;
  for (const CommandStatus status :
       {CommandStatus::kNotNow, CommandStatus::kError, CommandStatus::kAcknowledged,
        CommandStatus::kCommandFormatError}) {
    const Observation seen = See(Recent(), Answer(status), kNow, done);
    CHECK_FALSE(seen.intent);
    CHECK_FALSE(seen.due);
    CHECK(seen.happenings.empty());
  }
}

TEST_CASE("an answer to somebody else's command changes nothing but when the device was heard") {
  const Observation seen = See(Known(), Answer(CommandStatus::kError));
  CHECK_FALSE(seen.intent);
  CHECK_FALSE(seen.report);
  CHECK_FALSE(seen.due);
  CHECK(seen.enrollment.last_seen_at == kNow);
}

TEST_CASE("a report is kept with the times of question and answer") {
  const Intent question = Sent(request_type::kProfileList);
  const Observation seen = See(Recent(), ListOf("wifi"), kNow - seconds(1), question);
  REQUIRE(seen.report);
  CHECK(seen.report->epoch == 1);
  CHECK(seen.report->reported_at == kNow - seconds(1));
  CHECK(seen.report->asked_at == question.journaled_at);
  CHECK(seen.report->profiles.size() == 1);
  CHECK(seen.due);
  CHECK_FALSE(See(Recent(), ListOf("wifi")).report->asked_at);
  ResultEvent empty = Answer(CommandStatus::kAcknowledged);
  empty.profile_list.emplace();
  CHECK(See(Recent(), empty).report->profiles.empty());
}

TEST_CASE("a list in an answer that is no success is no report") {
  for (const CommandStatus status : {CommandStatus::kError, CommandStatus::kNotNow}) {
    ResultEvent result = ListOf("wifi");
    result.status = status;
    CHECK_FALSE(See(Recent(), result).report);
  }
}

TEST_CASE("answers from before the last Authenticate prove nothing") {
  Enrollment again = Recent();
  again.authenticated_at = kNow - seconds(10);
  const Observation seen =
      See(again, ListOf("wifi"), kNow - seconds(11), Sent(request_type::kProfileList));
  CHECK_FALSE(seen.report);
  CHECK_FALSE(seen.intent);
}

TEST_CASE("facts are taken from the newest answer only") {
  Enrollment known = Recent();
  known.inventory_at[InventoryKind::kDeviceInformation] = kNow - minutes(1);
  const Observation older = See(known, FactsOf("C02A", "23Z9"), kNow - minutes(2));
  CHECK(older.enrollment.build_version == "24A1");
  CHECK(older.enrollment.inventory_at[InventoryKind::kDeviceInformation] == kNow - minutes(1));
  const Observation newer = See(known, FactsOf("", "24C1"), kNow);
  CHECK(newer.enrollment.build_version == "24C1");
  CHECK(newer.enrollment.serial_number == "C02A");
  CHECK(newer.enrollment.is_supervised == true);
  CHECK(newer.enrollment.inventory_at[InventoryKind::kDeviceInformation] == kNow);
  CHECK(newer.due);
}

TEST_CASE("an answer about the device is kept until a newer one comes") {
  Enrollment known = Recent();
  ResultEvent result = Answer(CommandStatus::kAcknowledged);
  result.inventory = InventoryReport{InventoryKind::kSecurityInfo, PlistDict{}};
  const Observation first = See(known, result, kNow - minutes(2));
  REQUIRE(first.inventory);
  CHECK(first.inventory->kind == InventoryKind::kSecurityInfo);
  CHECK(first.enrollment.inventory_at[InventoryKind::kSecurityInfo] == kNow - minutes(2));
  CHECK(first.due);
  CHECK_FALSE(See(first.enrollment, result, kNow - minutes(3)).inventory);
  CHECK(See(first.enrollment, result, kNow - minutes(1)).inventory);
  // Kept before our clock was set back: it looks newer than it is.
  known.inventory_at[InventoryKind::kSecurityInfo] = kNow + hours(5);
  CHECK(See(known, result, kNow).inventory);
  known.status = EnrollmentStatus::kQuarantined;
  CHECK_FALSE(See(known, result, kNow).inventory);
}

TEST_CASE("what managed apps are said to be counts when we asked, in this epoch") {
  ResultEvent result = Answer(CommandStatus::kAcknowledged);
  PlistDict entry;
  entry.Set("Status", "UserRejected");
  PlistDict list;
  list.Set("com.ex.agent", std::move(entry));
  result.inventory = InventoryReport{InventoryKind::kManagedApplicationList, std::move(list)};
  const Observation ours =
      See(Recent(), result, kNow - seconds(1), Sent(request_type::kManagedApplicationList));
  REQUIRE(ours.managed_app_list);
  CHECK(ours.managed_app_list->epoch == Recent().epoch);
  CHECK(ours.managed_app_list->reported_at == kNow - seconds(1));
  CHECK(ours.managed_app_list->asked_at ==
        Sent(request_type::kManagedApplicationList).journaled_at);
  CHECK(ours.managed_app_list->apps ==
        std::vector<ReportedManagedApp>{{"com.ex.agent", "UserRejected"}});
  CHECK_FALSE(ours.app_list);
  CHECK(ours.due);
  // Somebody else may have asked for a part; the answer is kept for show.
  const Observation others = See(Recent(), result, kNow);
  CHECK_FALSE(others.managed_app_list);
  CHECK(others.inventory);
  Enrollment again = Recent();
  again.authenticated_at = kNow + seconds(1);
  CHECK_FALSE(
      See(again, result, kNow, Sent(request_type::kManagedApplicationList)).managed_app_list);
}

TEST_CASE("nothing about the device is answered before it was asked, whatever the clocks say") {
  // Found by simulation: with Director's clock ten hours ahead, every answer looked old, and the
  // device was asked over and over.
  const Intent question = Sent(request_type::kSecurityInfo);
  ResultEvent result = Answer(CommandStatus::kAcknowledged);
  result.inventory = InventoryReport{InventoryKind::kSecurityInfo, PlistDict{}};
  const Observation first = See(Recent(), result, kNow - hours(10), question);
  CHECK(first.enrollment.inventory_at[InventoryKind::kSecurityInfo] == question.journaled_at);
  Intent next = question;
  next.journaled_at = kNow;
  CHECK(See(first.enrollment, result, kNow - hours(10), next).inventory);
  next.journaled_at = question.journaled_at - minutes(1);
  CHECK_FALSE(See(first.enrollment, result, kNow - hours(9), next).inventory);
}

TEST_CASE("Setup Assistant lasts from the first word about it until the device was let go") {
  Enrollment known = Recent();
  const Observation began = See(known, TokenUpdateEvent{true, {}});
  CHECK(began.enrollment.awaiting_since == kNow);
  known = began.enrollment;
  // A second TokenUpdate does not begin it anew.
  CHECK(See(known, TokenUpdateEvent{true, {}}, kNow + seconds(9)).enrollment.awaiting_since ==
        kNow);
  CHECK(See(known, TokenUpdateEvent{}, kNow + seconds(9)).enrollment.awaiting_since == kNow);
  CHECK_FALSE(See(known, TokenUpdateEvent{false, {}}, kNow + seconds(9)).enrollment.awaiting_since);
  const auto configured = Sent(request_type::kDeviceConfigured);
  const Observation put_off = See(known, Answer(CommandStatus::kNotNow), kNow, configured);
  CHECK(put_off.enrollment.awaiting_since == kNow);
  const Observation done = See(known, Answer(CommandStatus::kAcknowledged), kNow, configured);
  CHECK_FALSE(done.enrollment.awaiting_since);
  CHECK(done.enrollment.awaiting_configuration == false);
}

TEST_CASE("a device that enrolls again within Setup Assistant is asked what it has") {
  // Otherwise what it got there would be installed a second time.
  Enrollment known = Recent();
  known.awaiting_configuration = true;
  known.awaiting_since = kNow - minutes(5);
  const Observation began = See(known, Authenticate());
  CHECK(began.enrollment.ask_first);
  CHECK(began.enrollment.awaiting_since == kNow);
  const Observation done = See(began.enrollment, TokenUpdateEvent{true, {}}, kNow + seconds(1));
  CHECK(done.enrollment.ask_first);
  CHECK(done.enrollment.awaiting_since == kNow);
}

TEST_CASE("a device that refuses to be let go is asked whether it waits at all") {
  Enrollment known = Recent();
  known.awaiting_since = kNow - minutes(5);
  known.inventory_at[InventoryKind::kDeviceInformation] = kNow - minutes(4);
  const Observation refused =
      See(known, Answer(CommandStatus::kError), kNow, Sent(request_type::kDeviceConfigured));
  CHECK(refused.enrollment.awaiting_since == known.awaiting_since);
  CHECK_FALSE(refused.enrollment.inventory_at[InventoryKind::kDeviceInformation]);
  ResultEvent facts = FactsOf("C02A", "24A1");
  facts.device_information->awaiting_configuration = false;
  CHECK_FALSE(See(refused.enrollment, facts, kNow + seconds(1)).enrollment.awaiting_since);
  // The TokenUpdate that said so may have got lost.
  facts.device_information->awaiting_configuration = true;
  CHECK(See(Recent(), facts).enrollment.awaiting_since == kNow);
}

TEST_CASE("a new epoch knows nothing of what the device said before") {
  Enrollment known = Recent();
  for (const InventoryKind kind : kInventoryKinds) known.inventory_at[kind] = kNow - hours(1);
  const Observation again = See(known, Authenticate());
  for (const InventoryKind kind : kInventoryKinds) CHECK_FALSE(again.enrollment.inventory_at[kind]);
}

TEST_CASE("only a clear word about a recovery lock password proves anything") {
  const auto seen = [](const ResultEvent& result) {
    const Observation observation =
        See(Recent(), result, kNow, Sent(request_type::kVerifyRecoveryLock));
    REQUIRE(observation.intent);
    return observation.intent->state;
  };
  ResultEvent result = Answer(CommandStatus::kAcknowledged);
  CHECK(seen(result) == IntentState::kFailed);
  result.password_verified = true;
  CHECK(seen(result) == IntentState::kAcknowledged);
  result.password_verified = false;
  CHECK(seen(result) == IntentState::kDenied);
  ResultEvent refused = Answer(CommandStatus::kError);
  CHECK(seen(refused) == IntentState::kFailed);
  refused.error_chain = {{8, "ROSLockoutServiceDaemonErrorDomain", "", "Validation failed"}};
  CHECK(seen(refused) == IntentState::kDenied);
  // Only an error says so.
  ResultEvent busy = refused;
  busy.status = CommandStatus::kNotNow;
  CHECK(seen(busy) == IntentState::kNotNow);
  busy.status = CommandStatus::kCommandFormatError;
  CHECK(seen(busy) == IntentState::kFailed);
  // To another command the same words are an error.
  CHECK(See(Recent(), refused, kNow, Sent(request_type::kSetRecoveryLock)).intent->state ==
        IntentState::kFailed);
  CHECK(See(Recent(), result, kNow, Sent()).intent->state == IntentState::kAcknowledged);
}

}  // namespace
}  // namespace director::reconciler_observe_answers_test
