#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/log.h"
#include "director/payloads.h"
#include "director/profile_upload.h"
#include "signing/cms.h"
#include "tests/support/catch.h"
#include "tests/support/director_parts.h"
#include "tests/support/director_service.h"

namespace director::director_payloads_test {
namespace {

using director_test::MakeMobileconfig;
using director_test::MakePem;
using director_test::OpenStore;

/// A store with revisions and a signing identity in one PEM file.
struct Fixture {
  Fixture() {
    config = director_test::MakeTestConfig();
    config.signing_certificate_file = folder.Write("id.pem", MakePem("One", clock.Now()));
    config.signing_key_file = config.signing_certificate_file;
    auto loaded = SigningIdentity::Load(config, clock);
    REQUIRE(loaded);
    identity = std::move(*loaded);
  }
  PayloadUuid Store(const std::string& identifier) {
    const Result<Profile> profile = ParseUploadedProfile(MakeMobileconfig(identifier));
    REQUIRE(profile);
    Revision revision;
    revision.payload_uuid = profile->payload_uuid;
    revision.payload_identifier = profile->payload_identifier;
    revision.source = "test";
    revision.content = profile->mobileconfig;
    director_test::WriteTo(*store, [&](StoreWriter& writer) -> Status {
      const Result<bool> saved = writer.SaveRevision(revision);
      if (!saved) return Fail(saved.error());
      return {};
    });
    return revision.payload_uuid;
  }

  SystemClock clock;
  director_test::TempFolder folder;
  Config config;
  std::unique_ptr<director::Store> store = OpenStore();
  std::unique_ptr<SigningIdentity> identity;
};

TEST_CASE("one signature per revision, however many threads and devices want it") {
  Fixture world;
  const PayloadUuid wifi = world.Store("com.example.wifi");
  const PayloadUuid lock = world.Store("com.example.lock");
  Payloads payloads(*world.store, world.identity.get());
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 50; ++j) {
        if (!payloads.Get(wifi) || !payloads.Get(lock)) ++failures;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(failures == 0);
  CHECK(payloads.signatures() == 2);
  const auto bytes = payloads.Get(wifi);
  REQUIRE(bytes);
  const Result<std::string> content = UnwrapSignedData(**bytes);
  REQUIRE(content);
  CHECK(content->find(wifi.value()) != std::string::npos);
}

TEST_CASE("without an identity profiles go out as they are") {
  Fixture world;
  const PayloadUuid wifi = world.Store("com.example.wifi");
  Payloads payloads(*world.store, nullptr);
  const auto bytes = payloads.Get(wifi);
  REQUIRE(bytes);
  CHECK((*bytes)->starts_with("<?xml"));
  CHECK(payloads.signatures() == 0);
}

TEST_CASE("an unknown revision is not found") {
  Fixture world;
  Payloads payloads(*world.store, world.identity.get());
  const auto bytes = payloads.Get(PayloadUuid("none"));
  REQUIRE_FALSE(bytes);
  CHECK(bytes.error().kind == ErrorKind::kNotFound);
}

TEST_CASE("a changed identity signs anew; a broken one leaves the old one in force") {
  Fixture world;
  const PayloadUuid wifi = world.Store("com.example.wifi");
  Payloads payloads(*world.store, world.identity.get());
  REQUIRE(payloads.Get(wifi));
  const std::string first = world.identity->Current()->CertificateFingerprint();

  world.folder.Write("id.pem", "rubbish");
  CHECK(world.identity->Current()->CertificateFingerprint() == first);
  REQUIRE(payloads.Get(wifi));
  CHECK(payloads.signatures() == 1);

  world.folder.Write("id.pem", MakePem("Two", world.clock.Now()));
  CHECK(world.identity->Current()->CertificateFingerprint() != first);
  CHECK(world.identity->Current()->CertificateSubject().find("Two") != std::string::npos);
  REQUIRE(payloads.Get(wifi));
  CHECK(payloads.signatures() == 2);
}

TEST_CASE("an identity that cannot be used is refused at the start with the file's name") {
  Fixture world;
  world.folder.Write("id.pem", "rubbish");
  const auto refused = SigningIdentity::Load(world.config, world.clock);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::kInvalid);
  CHECK(refused.error().message.find("id.pem") != std::string::npos);
}

TEST_CASE("the profiles in memory have a bound, and what fell out is read again") {
  Fixture world;
  Payloads payloads(*world.store, nullptr);
  const std::size_t size = Payloads::kCacheMaxBytes / 4;
  std::vector<PayloadUuid> uuids;
  for (int i = 0; i < 6; ++i) {
    Revision revision;
    revision.payload_uuid = PayloadUuid("UUID-" + std::to_string(i));
    revision.payload_identifier = PayloadIdentifier("com.example.large");
    revision.source = "test";
    revision.content = std::string(size, static_cast<char>('a' + i));
    director_test::WriteTo(*world.store, [&](StoreWriter& writer) -> Status {
      const Result<bool> saved = writer.SaveRevision(revision);
      if (!saved) return Fail(saved.error());
      return {};
    });
    uuids.push_back(revision.payload_uuid);
  }
  std::vector<std::weak_ptr<const std::string>> seen;
  for (const PayloadUuid& uuid : uuids) {
    const auto payload = payloads.Get(uuid);
    REQUIRE(payload);
    seen.push_back(*payload);
  }
  std::size_t kept = 0;
  for (const auto& payload : seen) kept += payload.expired() ? 0 : size;
  CHECK(kept <= Payloads::kCacheMaxBytes);
  CHECK(seen.front().expired());
  CHECK_FALSE(seen.back().expired());
  const auto again = payloads.Get(uuids.front());
  REQUIRE(again);
  CHECK((*again)->front() == 'a');
}

}  // namespace
}  // namespace director::director_payloads_test
