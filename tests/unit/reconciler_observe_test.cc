#include "mdm/command.h"
#include "reconciler/observe.h"
#include "tests/support/catch.h"

namespace director::reconciler_observe_test {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

const Timestamp kNow = *ParseTime("2026-11-22T12:00:00Z");

MdmEvent Event(EventBody body, Timestamp created_at = kNow) {
  MdmEvent event;
  event.upstream = UpstreamName("mdm");
  event.created_at = created_at;
  event.channel.enrollment_id = EnrollmentId("UD1");
  event.channel.device_id = EnrollmentId("UD1");
  event.channel.udid = "UD1";
  event.body = std::move(body);
  return event;
}

AuthenticateEvent Authenticate(const std::string& serial = "C02A") {
  AuthenticateEvent event;
  event.serial_number = serial;
  event.os_version = "15.1";
  event.build_version = "24B1";
  event.product_name = "Mac15,3";
  event.model = "Z1";
  event.device_name = "lab";
  return event;
}

Observation See(const std::optional<Enrollment>& known, EventBody body, Timestamp created_at = kNow,
                const std::optional<Intent>& intent = {}) {
  return Observe(known, intent, Event(std::move(body), created_at), kNow);
}

/// Known for long, enrolled, heard from an hour ago.
Enrollment Known() {
  Enrollment enrollment;
  enrollment.channel = Event(IdleEvent{}).channel;
  enrollment.upstream = UpstreamName("mdm");
  enrollment.status = EnrollmentStatus::kEnrolled;
  enrollment.serial_number = "C02A";
  enrollment.build_version = "24A1";
  enrollment.first_seen_at = kNow - hours(100);
  enrollment.last_seen_at = kNow - hours(1);
  enrollment.authenticated_at = kNow - hours(100);
  enrollment.enrolled_at = kNow - hours(100) + seconds(1);
  return enrollment;
}

Enrollment Recent() {
  Enrollment enrollment = Known();
  enrollment.last_seen_at = kNow - minutes(4);
  return enrollment;
}

Intent Sent(std::string_view type = request_type::kInstallProfile) {
  Intent intent;
  intent.command_uuid = CommandUuid("c1");
  intent.request_type = std::string(type);
  if (type == request_type::kInstallProfile) intent.payload_identifier = PayloadIdentifier("wifi");
  intent.epoch = 1;
  intent.state = IntentState::kSent;
  intent.journaled_at = kNow - seconds(5);
  return intent;
}

ResultEvent Answer(CommandStatus status) {
  ResultEvent result;
  result.command_uuid = CommandUuid("c1");
  result.status = status;
  return result;
}

ResultEvent ListOf(const std::string& identifier) {
  ResultEvent result = Answer(CommandStatus::kAcknowledged);
  ReportedProfile profile;
  profile.payload_identifier = PayloadIdentifier(identifier);
  result.profile_list.emplace();
  result.profile_list->push_back(profile);
  return result;
}

ResultEvent FactsOf(const std::string& serial, const std::string& build) {
  ResultEvent result = Answer(CommandStatus::kAcknowledged);
  result.device_information.emplace();
  result.device_information->serial_number = serial;
  result.device_information->build_version = build;
  result.device_information->is_supervised = true;
  result.inventory.emplace();
  return result;
}

TEST_CASE("a first enrollment begins with Authenticate and is complete with TokenUpdate") {
  const Observation began = See({}, Authenticate());
  CHECK(began.enrollment.status == EnrollmentStatus::kAuthenticated);
  CHECK(began.enrollment.epoch == 1);
  CHECK_FALSE(began.enrollment.ask_first);
  CHECK(began.enrollment.serial_number == "C02A");
  CHECK(began.enrollment.build_version == "24B1");
  CHECK(began.enrollment.model_name == "Z1");
  CHECK(began.enrollment.device_name == "lab");
  CHECK(began.enrollment.upstream.value() == "mdm");
  CHECK(began.enrollment.first_seen_at == kNow);
  CHECK(began.enrollment.last_seen_at == kNow);
  CHECK(began.enrollment_changed);
  CHECK(began.due);
  CHECK_FALSE(began.queue_lost);
  CHECK(began.happenings == std::vector<std::string>{"Enrollment began."});

  const Observation done = See(began.enrollment, TokenUpdateEvent{true, "ann"}, kNow + seconds(1));
  CHECK(done.enrollment.status == EnrollmentStatus::kEnrolled);
  CHECK(done.enrollment.awaiting_configuration == true);
  CHECK(done.enrollment.user_short_name == "ann");
  CHECK(done.enrollment.enrolled_at == kNow + seconds(1));
  CHECK(done.due);
  CHECK(done.happenings ==
        std::vector<std::string>{"Held in Setup Assistant: it awaits DeviceConfigured.",
                                 "Enrolled."});
}

TEST_CASE("an enrollment that is met in the middle of its life is asked before anything is sent") {
  const std::vector<EventBody> words = {IdleEvent{}, OtherEvent{"mdm.SetBootstrapToken"},
                                        Answer(CommandStatus::kAcknowledged), TokenUpdateEvent{}};
  for (const EventBody& word : words) {
    INFO(EventName(word));
    const Observation met = See({}, word);
    CHECK(met.enrollment.status == EnrollmentStatus::kEnrolled);
    CHECK(met.enrollment.ask_first);
    CHECK(met.enrollment_changed);
    CHECK(met.due);
  }
  // In Setup Assistant nothing is there to ask about.
  CHECK_FALSE(See({}, TokenUpdateEvent{true, {}}).enrollment.ask_first);
}

TEST_CASE("any word completes a half enrollment, but not a word from before it") {
  Enrollment half = Known();
  half.status = EnrollmentStatus::kAuthenticated;
  half.authenticated_at = kNow - minutes(2);
  CHECK(See(half, IdleEvent{}).enrollment.status == EnrollmentStatus::kEnrolled);
  CHECK(See(half, IdleEvent{}).due);
  const std::vector<EventBody> words = {IdleEvent{}, OtherEvent{"mdm.SetBootstrapToken"},
                                        Answer(CommandStatus::kAcknowledged), TokenUpdateEvent{}};
  for (const EventBody& word : words) {
    INFO(EventName(word));
    CHECK(See(half, word, kNow - minutes(3)).enrollment.status == EnrollmentStatus::kAuthenticated);
  }
}

TEST_CASE("TokenUpdate before its Authenticate") {
  const Observation token = See({}, TokenUpdateEvent{true, {}}, kNow - seconds(1));
  const Observation late = See(token.enrollment, Authenticate(), kNow - seconds(2));
  CHECK(late.enrollment.status == EnrollmentStatus::kEnrolled);
  CHECK(late.enrollment.serial_number == "C02A");
  CHECK(late.enrollment.awaiting_configuration == true);
  CHECK_FALSE(late.enrollment.ask_first);
}

TEST_CASE(
    "an Authenticate of a known enrollment begins an epoch and asks first: it may be a renewal") {
  Enrollment known = Known();
  known.awaiting_configuration = true;
  known.inventory_at[InventoryKind::kDeviceInformation] = kNow - hours(2);
  const Observation again = See(known, Authenticate());
  CHECK(again.enrollment.epoch == 2);
  CHECK(again.enrollment.ask_first);
  CHECK(again.enrollment.status == EnrollmentStatus::kAuthenticated);
  CHECK_FALSE(again.enrollment.awaiting_configuration);
  CHECK_FALSE(again.enrollment.inventory_at[InventoryKind::kDeviceInformation]);
  CHECK(again.enrollment.build_version == "24B1");
  CHECK(again.queue_lost);
  CHECK(again.due);
  CHECK(again.happenings == std::vector<std::string>{"Enrolled again (epoch 2)."});
  SECTION("twice is once") {
    const Observation twice = See(again.enrollment, Authenticate());
    CHECK(twice.enrollment == again.enrollment);
    CHECK_FALSE(twice.queue_lost);
    CHECK(twice.happenings.empty());
  }
  SECTION("an older one changes nothing") {
    const Observation older = See(again.enrollment, Authenticate("C02A"), kNow - hours(1));
    CHECK(older.enrollment.epoch == 2);
    CHECK_FALSE(older.queue_lost);
  }
  SECTION("wiped: awaiting configuration") {
    const Observation token = See(again.enrollment, TokenUpdateEvent{true, {}});
    CHECK_FALSE(token.enrollment.ask_first);
    CHECK(token.enrollment.awaiting_configuration == true);
  }
  SECTION("a TokenUpdate from before it changes nothing") {
    const Observation token = See(again.enrollment, TokenUpdateEvent{true, {}}, kNow - minutes(1));
    CHECK(token.enrollment.status == EnrollmentStatus::kAuthenticated);
    CHECK(token.enrollment.ask_first);
    CHECK_FALSE(token.enrollment.awaiting_configuration);
  }
}

TEST_CASE("AwaitingConfiguration that is absent is not false") {
  Enrollment known = Known();
  known.awaiting_configuration = true;
  CHECK(See(known, TokenUpdateEvent{}).enrollment.awaiting_configuration == true);
  CHECK(See(known, TokenUpdateEvent{false, {}}).enrollment.awaiting_configuration == false);
}

TEST_CASE(
    "a TokenUpdate revives pushes and says nothing new about an enrollment that is complete") {
  Enrollment known = Known();
  known.push_unregistered = true;
  const Observation token = See(known, TokenUpdateEvent{});
  CHECK_FALSE(token.enrollment.push_unregistered);
  CHECK(token.due);
  CHECK(token.happenings.empty());
  CHECK(token.enrollment.epoch == 1);
}

TEST_CASE("CheckOut ends an enrollment") {
  const Observation out = See(Known(), CheckOutEvent{});
  CHECK(out.enrollment.status == EnrollmentStatus::kCheckedOut);
  CHECK(out.queue_lost);
  CHECK(out.due);
  CHECK(out.happenings == std::vector<std::string>{"Checked out of management."});
  SECTION("twice is once") {
    const Observation twice = See(out.enrollment, CheckOutEvent{});
    CHECK(twice.happenings.empty());
    CHECK_FALSE(twice.queue_lost);
  }
  SECTION("what is older does not revive it") {
    const std::vector<EventBody> words = {TokenUpdateEvent{}, Authenticate(), IdleEvent{},
                                          Answer(CommandStatus::kAcknowledged)};
    for (const EventBody& word : words) {
      INFO(EventName(word));
      for (const Timestamp at :
           {kNow - seconds(1), kNow - hours(100), kNow - hours(100) + seconds(1)}) {
        CHECK(See(out.enrollment, word, at).enrollment.status == EnrollmentStatus::kCheckedOut);
      }
    }
  }
  SECTION("a new enrollment does, with nothing on the device") {
    const Observation again = See(out.enrollment, Authenticate(), kNow + seconds(1));
    CHECK(again.enrollment.epoch == 2);
    CHECK_FALSE(again.enrollment.ask_first);
    CHECK(See(again.enrollment, TokenUpdateEvent{}, kNow + seconds(2)).enrollment.status ==
          EnrollmentStatus::kEnrolled);
  }
  SECTION("its TokenUpdate alone does too: the Authenticate got lost, old reports prove nothing") {
    const Observation again = See(out.enrollment, TokenUpdateEvent{}, kNow + seconds(1));
    CHECK(again.enrollment.status == EnrollmentStatus::kEnrolled);
    CHECK(again.enrollment.epoch == 2);
  }
  SECTION("a device that goes on polling is enrolled: both got lost") {
    CHECK(See(out.enrollment, IdleEvent{}, kNow + seconds(2)).enrollment.status ==
          EnrollmentStatus::kCheckedOut);
    const Observation polls =
        Observe(out.enrollment, {}, Event(IdleEvent{}, kNow + minutes(2)), kNow + minutes(2));
    CHECK(polls.enrollment.status == EnrollmentStatus::kEnrolled);
    CHECK(polls.enrollment.epoch == 2);
    CHECK(polls.enrollment.ask_first);
    CHECK(polls.due);
  }
}

TEST_CASE("a CheckOut from before the enrollment changes nothing") {
  const Observation late = See(Known(), CheckOutEvent{}, kNow - hours(101));
  CHECK(late.enrollment.status == EnrollmentStatus::kEnrolled);
  CHECK_FALSE(late.queue_lost);
  Enrollment half = Known();
  half.status = EnrollmentStatus::kAuthenticated;
  half.authenticated_at = kNow - minutes(2);
  CHECK(See(half, CheckOutEvent{}, kNow - minutes(3)).enrollment.status ==
        EnrollmentStatus::kAuthenticated);
}

TEST_CASE("another serial number quarantines, once, and everything in flight is decided again") {
  const Observation seen = See(Known(), Authenticate("C02B"));
  CHECK(seen.enrollment.status == EnrollmentStatus::kQuarantined);
  CHECK(seen.enrollment.serial_number == "C02A");
  CHECK(seen.enrollment.epoch == 1);
  CHECK(seen.due);
  CHECK(
      seen.enrollment.quarantine_reason ==
      "the UDID belonged to serial number C02A and came with C02B at 2026-11-22T12:00:00Z. Nothing "
      "is sent until an operator releases it.");
  CHECK(seen.happenings.size() == 1);
  CHECK(See(seen.enrollment, Authenticate("C02C"), kNow + seconds(1)).happenings.empty());
  const std::vector<EventBody> words = {Authenticate("C02A"), TokenUpdateEvent{}, CheckOutEvent{},
                                        IdleEvent{}, FactsOf("C02A", "24B1")};
  for (const EventBody& word : words) {
    INFO(EventName(word));
    CHECK(See(seen.enrollment, word, kNow + seconds(1)).enrollment.status ==
          EnrollmentStatus::kQuarantined);
  }
  // Which of the two devices speaks is not known: no evidence.
  CHECK_FALSE(See(seen.enrollment, ListOf("wifi")).report);
}

TEST_CASE("another serial number in the facts quarantines too") {
  const Observation seen = See(Known(), FactsOf("C02B", "24B1"));
  CHECK(seen.enrollment.status == EnrollmentStatus::kQuarantined);
  CHECK(seen.enrollment.build_version == "24A1");
  CHECK(seen.due);
}

TEST_CASE("the poll of an idle device is written down every five minutes") {
  const Observation idle = See(Recent(), IdleEvent{});
  CHECK_FALSE(idle.enrollment_changed);
  CHECK_FALSE(idle.due);
  Enrollment old = Known();
  old.last_seen_at = kNow - minutes(5);
  const Observation written = See(old, IdleEvent{});
  CHECK(written.enrollment_changed);
  CHECK(written.enrollment.last_seen_at == kNow);
  CHECK_FALSE(written.due);
}

TEST_CASE("a poll that changes wait for is written down and due at once") {
  Enrollment waits = Recent();
  waits.wants_wake = true;
  const Observation idle = See(waits, IdleEvent{});
  CHECK(idle.enrollment_changed);
  CHECK(idle.due);
  CHECK(idle.enrollment.last_seen_at == kNow);
}

TEST_CASE("a device that polls on and on does not put off what is decided when it falls silent") {
  Enrollment waits = Known();
  waits.wants_wake = true;
  waits.last_seen_at = kNow - seconds(5);
  const Observation idle = See(waits, IdleEvent{});
  CHECK(idle.due);
  CHECK(idle.enrollment.last_seen_at == kNow - seconds(5));
}

TEST_CASE("a word ends the back-off of pushes") {
  Enrollment pushed = Recent();
  pushed.push_count = 3;
  pushed.pushed_at = kNow - minutes(2);
  const Observation idle = See(pushed, IdleEvent{});
  CHECK(idle.enrollment.push_count == 0);
  CHECK(idle.enrollment_changed);
}

TEST_CASE(
    "an answer proves that the device was awake after it was asked, whatever the clocks say") {
  // Found by simulation: with the MDM server's clock behind ours no device ever looked awake, so no
  // change ever went out.
  ResultEvent result;
  result.command_uuid = CommandUuid("c1");
  const Observation answered = See(Known(), result, kNow - hours(2), Sent());
  CHECK(answered.enrollment.last_seen_at == kNow - seconds(5));
  const Observation foreign = See(Known(), result, kNow - minutes(30));
  CHECK(foreign.enrollment.last_seen_at == kNow - minutes(30));
}

TEST_CASE("a clock that was set back does not keep a device awake for hours") {
  Enrollment enrollment = Known();
  enrollment.last_seen_at = kNow + hours(4);
  CHECK(See(enrollment, IdleEvent{}).enrollment.last_seen_at == kNow);
  enrollment.last_seen_at = kNow + seconds(30);  // another machine's clock is a little ahead
  CHECK(See(enrollment, TokenUpdateEvent{}).enrollment.last_seen_at == kNow + seconds(30));
}

TEST_CASE("a late event does not prove that the device is awake") {
  const Observation late = See(Known(), IdleEvent{}, kNow - minutes(30));
  CHECK(late.enrollment.last_seen_at == kNow - minutes(30));
  CHECK(See(Known(), IdleEvent{}, kNow - hours(2)).enrollment.last_seen_at == kNow - hours(1));
  CHECK(See(Known(), IdleEvent{}, kNow - seconds(60)).enrollment.last_seen_at == kNow);
}

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

}  // namespace
}  // namespace director::reconciler_observe_test
