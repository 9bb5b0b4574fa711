// Enrollments as their events make them: how they begin and end, and when a device was heard.
#include <chrono>
#include <string>
#include <vector>

#include "tests/support/catch.h"
#include "tests/support/observe_parts.h"

namespace director::reconciler_observe_test {
namespace {

using namespace observe_test;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

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

TEST_CASE("each step of an enrollment is missing until it is done") {
  const auto missing = [](const Observation& seen) {
    CHECK(seen.enrollment.missing_since.has_value() ==
          (seen.enrollment.missing_step != EnrollmentStep::kNone));
    return EnrollmentStepName(seen.enrollment.missing_step);
  };
  const Observation began = See({}, Authenticate());
  CHECK(missing(began) == "token_update");
  CHECK(began.enrollment.missing_since == kNow);
  const Observation token = See(began.enrollment, TokenUpdateEvent{});
  CHECK(missing(token) == "first_answer");
  CHECK(missing(See(token.enrollment, IdleEvent{})) == "first_answer");
  CHECK(missing(See(token.enrollment, Answer(CommandStatus::kNotNow))) == "first_answer");
  const Observation answered = See(token.enrollment, Answer(CommandStatus::kError));
  CHECK(missing(answered) == "profile_list");
  ResultEvent list = Answer(CommandStatus::kAcknowledged);
  list.profile_list.emplace();
  const Observation whole = See(answered.enrollment, list);
  CHECK(missing(whole) == "");
  CHECK(missing(See(token.enrollment, list)) == "");
  CHECK(missing(See(whole.enrollment, TokenUpdateEvent{})) == "");
  CHECK(missing(See(whole.enrollment, Authenticate(), kNow + seconds(1))) == "token_update");
  CHECK(missing(See(answered.enrollment, CheckOutEvent{}, kNow + seconds(1))) == "");
  CHECK(missing(See(answered.enrollment, Authenticate("C02B"), kNow + seconds(1))) == "");
}

TEST_CASE("a user channel, which comes and goes, is never a half enrollment") {
  MdmEvent event = Event(TokenUpdateEvent{});
  event.channel.type = ChannelType::kUser;
  const Observation seen = Observe({}, {}, event, kNow);
  CHECK(seen.enrollment.missing_step == EnrollmentStep::kNone);
}

TEST_CASE(
    "a device that comes into Setup Assistant was wiped, also when its Authenticate got lost") {
  Enrollment known = Known();
  known.inventory_at[InventoryKind::kSecurityInfo] = kNow - hours(1);
  const Observation wiped = See(known, TokenUpdateEvent{true, {}});
  CHECK(wiped.enrollment.epoch == known.epoch + 1);
  CHECK(wiped.queue_lost);
  CHECK_FALSE(wiped.enrollment.ask_first);
  CHECK_FALSE(wiped.enrollment.inventory_at[InventoryKind::kSecurityInfo]);
  // Said again, or from before the last TokenUpdate: nothing new.
  CHECK(See(wiped.enrollment, TokenUpdateEvent{true, {}}).enrollment.epoch == known.epoch + 1);
  CHECK(See(known, TokenUpdateEvent{true, {}}, *known.enrolled_at).enrollment.epoch == known.epoch);
  CHECK(See(known, TokenUpdateEvent{}).enrollment.epoch == known.epoch);
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

TEST_CASE("a poll revives pushes, for the TokenUpdate may have been lost") {
  // Found by simulation, seed 322: a Mac that polled now and then was not pushed for a week.
  Enrollment known = Known();
  known.push_unregistered = true;
  const Observation poll = See(known, IdleEvent{});
  CHECK_FALSE(poll.enrollment.push_unregistered);
  CHECK(poll.enrollment_changed);
  CHECK(poll.due);
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

}  // namespace
}  // namespace director::reconciler_observe_test
