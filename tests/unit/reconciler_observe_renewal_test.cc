// Which Authenticate begins an enrollment, and which belongs to a renewal of the device's identity.
#include "tests/support/catch.h"
#include "tests/support/observe_parts.h"

namespace director::reconciler_observe_renewal_test {
namespace {

using namespace observe_test;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

Enrollment Renewing() {
  Enrollment enrollment = Recent();
  enrollment.epoch = 3;
  enrollment.topic = "com.apple.mgmt.External.one";
  enrollment.identity = MdmIdentity{"CN=CA", kNow - hours(8000), kNow + hours(500)};
  enrollment.identity_asked_at = kNow - minutes(5);
  enrollment.renewal = IdentityRenewal{kNow - seconds(20), kNow + hours(500), {}, {}};
  return enrollment;
}

TokenUpdateEvent Token(std::optional<bool> awaiting = {}) {
  TokenUpdateEvent event;
  event.awaiting_configuration = awaiting;
  return event;
}

TEST_CASE("an Authenticate while a renewal is under way is no new enrollment") {
  const Observation seen = See(Renewing(), Authenticate());
  CHECK(seen.enrollment.epoch == 3);
  CHECK(seen.enrollment.identity);
  CHECK(seen.enrollment.status == EnrollmentStatus::kAuthenticated);
  CHECK(seen.enrollment.renewal->authenticated_at == kNow);
  CHECK(seen.enrollment.report_wanted_at == kNow);
  CHECK(seen.queue_lost);
  CHECK(seen.due);
  const Observation whole = See(seen.enrollment, Token(), kNow + seconds(1));
  CHECK(whole.enrollment.status == EnrollmentStatus::kEnrolled);
  CHECK(whole.enrollment.epoch == 3);
}

TEST_CASE("without a renewal, long after one, and with another serial number it is what it was") {
  Enrollment never = Renewing();
  never.renewal.reset();
  CHECK(See(never, Authenticate()).enrollment.epoch == 4);
  Enrollment ended = Renewing();
  ended.renewal->ended_at = kNow - seconds(1);
  const Observation anew = See(ended, Authenticate());
  CHECK(anew.enrollment.epoch == 4);
  CHECK_FALSE(anew.enrollment.renewal);
  CHECK_FALSE(anew.enrollment.identity);
  CHECK_FALSE(anew.enrollment.identity_asked_at);
  Enrollment old = Renewing();
  old.renewal->began_at = kNow - kRenewalMax;
  CHECK(See(old, Authenticate()).enrollment.epoch == 4);
  Enrollment left = Renewing();
  left.status = EnrollmentStatus::kCheckedOut;
  CHECK(See(left, Authenticate()).enrollment.epoch == 4);
  CHECK(See(Renewing(), Authenticate("OTHER")).enrollment.status == EnrollmentStatus::kQuarantined);
}

TEST_CASE("one that comes late, after the proof, belongs to the renewal all the same") {
  Enrollment ended = Renewing();
  ended.renewal->ended_at = kNow - seconds(1);
  CHECK(See(ended, Authenticate(), kNow - seconds(2)).enrollment.epoch == 3);
}

TEST_CASE("a device that comes out of Setup Assistant was wiped, renewal or not") {
  const Observation seen = See(Renewing(), Authenticate());
  const Observation wiped = See(seen.enrollment, Token(true), kNow + seconds(1));
  CHECK(wiped.enrollment.epoch == 4);
  CHECK_FALSE(wiped.enrollment.renewal);
}

TEST_CASE("the identity is that of the list that we asked for") {
  ResultEvent list = Answer(CommandStatus::kAcknowledged);
  list.inventory.emplace();
  list.inventory->kind = InventoryKind::kCertificateList;
  list.inventory->answer = PlistValue(PlistArray());
  list.identity = MdmIdentity{"CN=CA", kNow, kNow + hours(9000)};
  const Intent ours = Sent(request_type::kCertificateList);
  const Observation seen = See(Renewing(), list, kNow, ours);
  CHECK(seen.enrollment.identity == list.identity);
  CHECK(seen.enrollment.identity_asked_at == ours.journaled_at);
  CHECK(See(Renewing(), list).enrollment.identity == Renewing().identity);
  list.identity.reset();
  CHECK_FALSE(See(Renewing(), list, kNow, ours).enrollment.identity);
}

TEST_CASE("the topic is the one of the last check-in that tells it") {
  AuthenticateEvent authenticate = Authenticate();
  authenticate.topic = "com.apple.mgmt.External.two";
  CHECK(See(Renewing(), authenticate).enrollment.topic == "com.apple.mgmt.External.two");
  TokenUpdateEvent token = Token();
  CHECK(See(Renewing(), token).enrollment.topic == "com.apple.mgmt.External.one");
  token.topic = "com.apple.mgmt.External.three";
  CHECK(See(Renewing(), token).enrollment.topic == "com.apple.mgmt.External.three");
}

}  // namespace
}  // namespace director::reconciler_observe_renewal_test
