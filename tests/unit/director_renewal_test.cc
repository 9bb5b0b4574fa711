// The identity of a device, from its list of certificates to a new one.
#include <chrono>
#include <string>
#include <vector>

#include "director/enrollment_profile_file.h"
#include "director/enrollment_profile_pin.h"
#include "director/identity.h"
#include "director/metrics.h"
#include "director/renewals.h"
#include "mdm/item_definition.h"
#include "signing/certificate.h"
#include "signing/cms.h"
#include "simulator/device_profile.h"
#include "tests/support/catch.h"
#include "tests/support/director_world.h"
#include "tests/support/pem.h"

namespace director::director_renewal_test {
namespace {

using director_test::kServer;
using director_test::SnapshotOf;
using director_test::TempFolder;
using director_test::World;
using director_test::WriteTo;
using std::chrono::hours;
using std::chrono::minutes;

const std::string kWifi = "com.example.wifi";
const PayloadIdentifier kEnrollment("com.example.simulator.enrollment");

/// Hands out what a test says.
class FakeProfiles final : public EnrollmentProfileSource {
 public:
  Result<std::string> FetchEnrollmentProfile(std::string_view machine_info) override {
    ++asked;
    last_machine_info = std::string(machine_info);
    return answer;
  }

  Result<std::string> answer = MakeEnrollmentMobileconfig(SimulatorManagement());
  int asked = 0;
  std::string last_machine_info;
};

/// Macs whose identities end in so many days, enrolled one after the other and settled.
struct Renewing : World {
  explicit Renewing(EnrollmentProfilesFrom from = EnrollmentProfilesFrom::kFile,
                    const std::vector<int>& days_left = {20}, double renewals_per_hour = 0)
      : World(0, director_test::OpenStore(), {}, 0, renewals_per_hour) {
    settings.renewal.issuers = {std::string(kSimulatorIssuer)};
    settings.renewal.has_profiles = true;
    auto made = std::make_unique<FakeProfiles>();
    profiles = made.get();
    renewals = std::make_unique<Renewals>(*store, std::move(made), from, nullptr, clock);
    for (std::size_t i = 0; i < days_left.size(); ++i) {
      DeviceBehaviour behaviour;
      behaviour.identity_lifetime = 365 * kDay;
      behaviour.identity_ends_at = clock.Now() + days_left[i] * kDay;
      AddMac(i, behaviour);
    }
    Restart();
    Assign(kWifi);
    SessionOfEach();
  }

  std::vector<std::string> Happenings() {
    std::vector<std::string> texts;
    for (const Happening& happening : director_test::ReadFrom(*store, [](StoreReader& reader) {
           return reader.ListHappenings({}, {"", 1000});
         })) {
      texts.push_back(happening.text);
    }
    return texts;
  }
  bool Happened(const std::string& part) {
    for (const std::string& text : Happenings()) {
      if (text.find(part) != std::string::npos) return true;
    }
    return false;
  }
  const VirtualDevice& mac() const { return devices.front(); }

  FakeProfiles* profiles = nullptr;
};

/// The page of metrics as it stands now.
std::string MetricsOf(Renewing& world) {
  const Ingest ingest(*world.store, [] {});
  const WebhookCounts webhooks;
  const SecretSource password;
  Metrics metrics({*world.store, world.upstreams, *world.executor, *world.payloads, ingest,
                   webhooks, nullptr, password});
  const Result<std::string> page = metrics.Render(world.clock.Now());
  REQUIRE(page);
  return *page;
}

bool Tells(const std::string& metrics, const std::string& line) {
  UNSCOPED_INFO(metrics);
  return metrics.find(line + "\n") != std::string::npos;
}

TEST_CASE("a Mac whose identity ends gets a new one and keeps what it has") {
  Renewing world;
  world.Settle();
  CHECK(Tells(MetricsOf(world), R"(director_identities{ends="unknown"} 1)"));
  world.Run(hours(3));
  CHECK(world.mac().renewals() == 1);
  CHECK(world.mac().epoch() == 1);
  const Snapshot snapshot = SnapshotOf(*world.store, world.id(0));
  CHECK(snapshot.enrollment.epoch == 1);
  CHECK(snapshot.enrollment.status == EnrollmentStatus::kEnrolled);
  CHECK(snapshot.enrollment.missing_step == EnrollmentStep::kNone);
  // Certificates tell seconds.
  const Duration off = *world.mac().identity().ends_at() - snapshot.enrollment.identity->not_after;
  CHECK(off >= Duration::zero());
  CHECK(off < std::chrono::seconds(1));
  CHECK(world.IsVerified(0, "identity:MDM"));
  CHECK(world.IsVerified(0, kWifi));
  int wifi = 0;
  int enrollment = 0;
  for (const auto& call : world.Enqueued("InstallProfile")) {
    const Result<ReceivedCommand> command = DecodeCommand(call.body);
    const std::string payload = command->body.Find("Payload")->AsData()->bytes;
    ++(payload.find("com.apple.mdm<") == std::string::npos ? wifi : enrollment);
  }
  CHECK(wifi == 1);
  CHECK(enrollment == 1);
  const auto pin = director_test::ReadFrom(
      *world.store, [](StoreReader& reader) { return reader.LoadPin(kServer, kEnrollment); });
  REQUIRE(pin);
  CHECK(pin->is_proven);
  CHECK(world.Happened("Its identity was renewed"));
  CHECK(world.Happened("Authenticates anew"));
  CHECK(Tells(MetricsOf(world), R"(director_identities{ends="later"} 1)"));
  CHECK(Tells(MetricsOf(world), "director_renewals_refused_total 0"));
  world.Run(hours(200));
  CHECK(world.mac().renewals() == 1);
}

TEST_CASE("an identity that ends within days does not wait behind those that end later") {
  constexpr double kPerHour = 1;
  Renewing world(EnrollmentProfilesFrom::kFile, {20, 20, 20, 20, 20, 4, 5}, kPerHour);
  const auto renewals = [&](std::size_t first, std::size_t last) {
    int count = 0;
    for (std::size_t i = first; i <= last; ++i) count += world.devices[i].renewals();
    return count;
  };
  world.Run(minutes(30));
  CHECK(renewals(0, 4) == 1);
  CHECK(renewals(5, 6) == 1);
  CHECK(
      Tells(MetricsOf(world), R"(director_paced_enrollments{limit="certificates",upstream=""} 5)"));
  // They have a pace of their own, which is bounded, too.
  world.Run(hours(1));
  CHECK(renewals(0, 4) == 2);
  CHECK(renewals(5, 6) == 2);
  world.Run(hours(5));
  CHECK(renewals(0, 4) == 5);
}

TEST_CASE("a renewal that comes to be urgent keeps the turn that it had among the others") {
  constexpr double kPerHour = 1.0 / 12;
  Renewing world(EnrollmentProfilesFrom::kFile, {20, 20, 20, 8, 4, 4, 4, 4, 4}, kPerHour);
  world.Run(hours(23));
  CHECK(world.devices[3].renewals() == 0);
  // With a week left it is urgent, after five others; its own turn comes first.
  world.Run(hours(16));
  CHECK(world.devices[3].renewals() == 1);
  world.Run(hours(12));
  CHECK(world.devices[8].renewals() == 1);
  CHECK(
      Tells(MetricsOf(world), R"(director_paced_enrollments{limit="certificates",upstream=""} 0)"));
}

TEST_CASE("an enrollment profile of another server is refused, and the list of events says why") {
  Renewing world;
  ManagementKeys other = SimulatorManagement();
  other.topic = "com.apple.mgmt.External.other";
  world.profiles->answer = MakeEnrollmentMobileconfig(other);
  world.Run(hours(5));
  CHECK(world.mac().renewals() == 0);
  CHECK(Tells(MetricsOf(world), "director_renewals_refused_total 1"));
  CHECK(Tells(MetricsOf(world), R"(director_identities{ends="30d"} 1)"));
  CHECK(world.Happened("another Topic"));
  const ItemRecord item = world.Item(0, "identity:MDM");
  CHECK(item.state == ItemState::kBackingOff);
  CHECK(item.attempts == 0);
  world.profiles->answer = MakeEnrollmentMobileconfig(SimulatorManagement());
  world.Run(hours(12));
  CHECK(world.mac().renewals() == 1);
}

TEST_CASE("what devices took once is what the next profile must keep") {
  Renewing world;
  Renewals& renewals = *world.renewals;
  world.Run(minutes(1));
  const EnrollmentId id = world.id(0);
  REQUIRE(renewals.MakePayload(id));
  WriteTo(*world.store, [&](StoreWriter& writer) {
    return writer.ProvePin(kServer, kEnrollment, world.clock.Now());
  });
  struct Case {
    std::string_view key;
    ManagementKeys management;
  };
  const ManagementKeys good = SimulatorManagement();
  for (const Case& one : {Case{"ServerURL", {good.topic, good.server_url + "x", "", 8191}},
                          Case{"CheckInURL", {good.topic, good.server_url, "https://x.y/z", 8191}},
                          Case{"more AccessRights", {good.topic, good.server_url, "", 16383}},
                          Case{"fewer AccessRights", {good.topic, good.server_url, "", 8190}}}) {
    world.profiles->answer = MakeEnrollmentMobileconfig(one.management);
    const Result<std::string> refused = renewals.MakePayload(id);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == ErrorKind::kRejected);
    CHECK(refused.error().message.find(one.key) != std::string::npos);
    CHECK(refused.error().message.find("://") == std::string::npos);
  }
  world.profiles->answer = MakeEnrollmentMobileconfig(good);
  CHECK(renewals.MakePayload(id));
  WriteTo(*world.store,
          [](StoreWriter& writer) { return writer.DeletePins(kServer, kEnrollment); });
  world.profiles->answer = MakeEnrollmentMobileconfig({good.topic, good.server_url, "", 8190});
  CHECK(renewals.MakePayload(id));
}

/// The device reports this enrollment profile from now on, and the profiles that are handed out are
/// of that kind.
void BringProfile(Renewing& world, const PayloadIdentifier& identifier,
                  const ManagementKeys& management) {
  ProfileListReport report = *SnapshotOf(*world.store, world.id(0)).profile_list;
  report.reported_at = world.clock.Now();
  for (ReportedProfile& profile : report.profiles) {
    if (profile.has_mdm_payload) profile.payload_identifier = identifier;
  }
  WriteTo(*world.store, [&](StoreWriter& writer) {
    return writer.SaveReports({{world.id(0), report}}, world.clock.Now());
  });
  std::string profile = MakeEnrollmentMobileconfig(management);
  const std::string& known = kEnrollment.value();
  for (std::size_t at = profile.find(known); at != std::string::npos;
       at = profile.find(known, at + identifier.value().size())) {
    profile.replace(at, known.size(), identifier.value());
  }
  world.profiles->answer = profile;
}

TEST_CASE("two kinds of enrollment profiles of one server are each held against their own kind") {
  Renewing world;
  world.Run(minutes(1));
  const EnrollmentId id = world.id(0);
  const PayloadIdentifier other("com.example.kiosk");
  ManagementKeys management = SimulatorManagement();
  REQUIRE(world.renewals->MakePayload(id));
  WriteTo(*world.store, [&](StoreWriter& writer) {
    return writer.ProvePin(kServer, kEnrollment, world.clock.Now());
  });
  management.access_rights = 8190;
  BringProfile(world, other, management);
  CHECK(world.renewals->MakePayload(id));
  WriteTo(*world.store,
          [&](StoreWriter& writer) { return writer.ProvePin(kServer, other, world.clock.Now()); });
  BringProfile(world, other, SimulatorManagement());
  CHECK(world.renewals->MakePayload(id).error().message.find("AccessRights") != std::string::npos);
  BringProfile(world, kEnrollment, SimulatorManagement());
  CHECK(world.renewals->MakePayload(id));
}

TEST_CASE("a webhook's profiles may have URLs with a token for each device") {
  Renewing world(EnrollmentProfilesFrom::kWebhook);
  world.Run(minutes(1));
  ManagementKeys management = SimulatorManagement();
  const std::string url = management.server_url;
  management.server_url = url + "?token=1";
  world.profiles->answer = MakeEnrollmentMobileconfig(management);
  REQUIRE(world.renewals->MakePayload(world.id(0)));
  WriteTo(*world.store, [&](StoreWriter& writer) {
    return writer.ProvePin(kServer, kEnrollment, world.clock.Now());
  });
  management.server_url = url + "?token=2";
  world.profiles->answer = MakeEnrollmentMobileconfig(management);
  CHECK(world.renewals->MakePayload(world.id(0)));
  management.server_url = "https://mdm.example.org/mdm?token=2";
  world.profiles->answer = MakeEnrollmentMobileconfig(management);
  CHECK_FALSE(world.renewals->MakePayload(world.id(0)));
  CHECK(world.profiles->last_machine_info.find(world.mac().facts().serial_number) !=
        std::string::npos);
}

TEST_CASE("who is not there is left alone for a minute; what is no enrollment profile is refused") {
  Renewing world;
  world.Run(minutes(1));
  world.profiles->answer = Fail(ErrorKind::kUnavailable, "timed out");
  world.profiles->asked = 0;
  for (int i = 0; i < 5; ++i) {
    CHECK(world.renewals->MakePayload(world.id(0)).error().kind == ErrorKind::kUnavailable);
  }
  CHECK(world.profiles->asked == 1);
  world.clock.Advance(minutes(2));
  for (const std::string& bytes :
       {std::string("<html>"), director_test::MakeMobileconfig("com.example.other")}) {
    world.profiles->answer = bytes;
    CHECK(world.renewals->MakePayload(world.id(0)).error().kind == ErrorKind::kRejected);
  }
}

TEST_CASE("a signed profile goes as it is while its certificates are in date") {
  Renewing world;
  world.Run(minutes(1));
  const TempFolder folder;
  SigningFiles files;
  files.certificate_file =
      folder.Write("id.pem", director_test::MakePem("One", world.clock.Now(), 1));
  files.key_file = files.certificate_file;
  const auto signer = LoadSigner(files, world.clock.Now());
  REQUIRE(signer);
  const auto bytes = (*signer)->Sign(MakeEnrollmentMobileconfig(SimulatorManagement()));
  REQUIRE(bytes);
  REQUIRE(ReadSignedDataCertificates(*bytes)->size() == 1);
  CHECK_FALSE(ReadSignedDataCertificates("nothing"));
  world.profiles->answer = *bytes;
  CHECK(*world.renewals->MakePayload(world.id(0)) == *bytes);
  world.clock.Advance(2 * kDay);
  const Result<std::string> late = world.renewals->MakePayload(world.id(0));
  REQUIRE_FALSE(late);
  CHECK(late.error().message.find("certificate of its signature") != std::string::npos);
}

TEST_CASE("the file is read at each use") {
  const TempFolder folder;
  const std::string path = folder.Write("enroll.mobileconfig", "one");
  const auto file = MakeEnrollmentProfileFile(path);
  CHECK(*file->FetchEnrollmentProfile("") == "one");
  folder.Write("enroll.mobileconfig", "two");
  CHECK(*file->FetchEnrollmentProfile("") == "two");
  folder.Write("enroll.mobileconfig", "");
  CHECK(file->FetchEnrollmentProfile("").error().kind == ErrorKind::kUnavailable);
  CHECK(MakeEnrollmentProfileFile("/nowhere")->FetchEnrollmentProfile("").error().kind ==
        ErrorKind::kUnavailable);
}

PlistDict Listed(const std::string& der, const PlistValue& is_identity) {
  PlistDict listed;
  listed.Set("CommonName", "x");
  listed.Set("IsIdentity", is_identity);
  listed.Set("Data", PlistData{der});
  return listed;
}

TEST_CASE("of several identities of the issuers the one that ends last counts; garbage none") {
  const Timestamp now = director_test::At(0);
  const auto authority = MakeAuthority("CA", now, 3650);
  const auto other = MakeAuthority("Other", now, 3650);
  REQUIRE(authority);
  REQUIRE(other);
  const auto issue = [&](const PemIdentity& by, Timestamp from, int days) {
    const auto issued = IssueIdentity(by, "x", from, days);
    REQUIRE(issued);
    return test::DerOf(issued->certificate_pem);
  };
  const PlistValue yes(true);
  const std::string old = issue(*authority, now, 10);
  const std::string young = issue(*authority, now, 20);
  PlistArray list{Listed(young, yes),
                  Listed(old, PlistValue(PlistInteger::FromSigned(1))),
                  Listed(issue(*other, now, 900), yes),
                  Listed(issue(*authority, now, 800), PlistValue(false)),
                  Listed("garbage", yes),
                  PlistValue("text"),
                  Listed(old.substr(0, 50), yes)};
  const auto found = FindIdentity(list, {"CN=CA"});
  REQUIRE(found);
  CHECK(found->issuer == "CN=CA");
  CHECK(found->not_after == now + 20 * kDay);
  CHECK(FindIdentity(list, {"CN=CA", "CN=Other"})->issuer == "CN=Other");
  CHECK_FALSE(FindIdentity(list, {"cn=ca"}));
  CHECK_FALSE(FindIdentity(list, {}));
  const Timestamp y2100 = *ParseTime("2100-01-01T00:00:00Z");
  CHECK(FindIdentity({Listed(issue(*authority, Timestamp(), 1), yes)}, {"CN=CA"})->not_after ==
        Timestamp() + kDay);
  CHECK(FindIdentity({Listed(issue(*authority, y2100, 1), yes)}, {"CN=CA"})->not_after ==
        y2100 + kDay);
}

TEST_CASE("a pin comes back as it was, and anything else is corrupt") {
  EnrollmentProfile profile;
  profile.topic = "t";
  profile.server_url = "https://a/b?c";
  profile.check_in_url = "https://a/c?d";
  profile.access_rights = 8191;
  profile.assigned_managed_apple_id = "a@b";
  profile.enrollment_mode = "ADDE";
  profile.required_app_id_for_mdm = "1";
  profile.has_per_user_connections = true;
  CHECK(*DecodePin(EncodePin(profile)) == profile);
  profile.access_rights.reset();
  CHECK(*DecodePin(EncodePin(profile)) == profile);
  CHECK(WithoutDevice(profile).server_url == "https://a/b");
  CHECK(DecodePin("{}").error().kind == ErrorKind::kCorrupt);
  CHECK(DecodePin("x").error().kind == ErrorKind::kCorrupt);
}

}  // namespace
}  // namespace director::director_renewal_test
