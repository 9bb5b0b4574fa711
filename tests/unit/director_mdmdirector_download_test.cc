// What MDMDirector's NanoMDM branch adds: profiles to download behind an authentication proxy, and
// declarations, which are not built.
#include <map>
#include <string>

#include "base/text.h"
#include "signing/cms.h"
#include "tests/support/catch.h"
#include "tests/support/mdmdirector_service.h"

namespace director::director_mdmdirector_download_test {
namespace {

using director_test::ApiAnswer;
using director_test::CompatibleConfig;
using director_test::MakeMobileconfig;
using director_test::MakePem;
using Json = nlohmann::ordered_json;

const std::string kWifi = "com.example.wifi";

Config DownloadConfig() {
  Config config = CompatibleConfig();
  config.profile_download = true;
  return config;
}

struct DownloadService : director_test::CompatibleService {
  explicit DownloadService(const Config& config = DownloadConfig()) : CompatibleService(config) {}

  ApiAnswer Get(const std::string& path, const std::string& enrollment_id) {
    return service.Send("GET", path, "", "",
                        {{"Authorization", "none"}, {"X-Enrollment-ID", enrollment_id}});
  }
  ApiAnswer Download(const std::string& identifier = kWifi) {
    return Get("/profiledownload/" + udid() + "/" + identifier, udid());
  }
  void Post(const Json& target, const std::string& organization = "Example") {
    REQUIRE(PostProfile(target, MakeMobileconfig(kWifi, organization)).status == 200);
  }
  void Remove(const Json& target) {
    Json body = target;
    body["profiles"] = {{{"payload_identifier", kWifi}}};
    REQUIRE(Send("DELETE", "/profile", body).status == 200);
  }
  bool Has(const ApiAnswer& answer, const std::string& organization) {
    return answer.status == 200 && answer.body.find(organization) != std::string::npos;
  }
};

void CheckRefused(const ApiAnswer& answer, int status, const std::string& body) {
  CHECK(answer.status == status);
  CHECK(answer.body == body);
  CHECK(answer.content_type == "text/plain; charset=utf-8");
}

TEST_CASE("a device downloads what is assigned to it, else what is assigned to all") {
  DownloadService world;
  CheckRefused(world.Download(), 404, "Not Found\n");
  world.Post({{"udids", {"*"}}}, "Everybody");
  const ApiAnswer shared = world.Download();
  CHECK(world.Has(shared, "Everybody"));
  CHECK(shared.content_type == "application/x-apple-aspen-config");
  world.Post(world.ToMac(), "Just me");
  CHECK(world.Has(world.Download(), "Just me"));
  CheckRefused(world.Download("com.example.other"), 404, "Not Found\n");
}

TEST_CASE("what shall be absent is not handed out, and stands above what is for all") {
  DownloadService world;
  world.Post({{"udids", {"*"}}});
  world.Remove(world.ToMac());
  CheckRefused(world.Download(), 404, "Not Found\n");
}

TEST_CASE("only who is named by the proxy gets a profile") {
  DownloadService world;
  world.Post({{"udids", {"*"}}});
  const std::string path = "/profiledownload/" + world.udid() + "/" + kWifi;
  for (const std::string& id : {std::string(), world.other.facts().udid, std::string("x")}) {
    CheckRefused(world.Get(path, id), 401, "Unauthorized\n");
  }
  CheckRefused(world.service.Send("GET", path, "", "", {{"Authorization", "none"}}), 401,
               "Unauthorized\n");
  CHECK(world.Get(path, world.udid()).status == 200);
  CheckRefused(world.Get("/profiledownload/nobody/" + kWifi, "nobody"), 404, "Not Found\n");
}

TEST_CASE("a device that has left, is in quarantine or still enrolls downloads nothing") {
  const EnrollmentStatus status =
      GENERATE(EnrollmentStatus::kAuthenticated, EnrollmentStatus::kCheckedOut,
               EnrollmentStatus::kQuarantined);
  DownloadService world;
  world.Post(world.ToMac());
  REQUIRE(world.Download().status == 200);
  director_test::WriteTo(world.service.store(), [&](StoreWriter& writer) -> Status {
    auto found = writer.LoadEnrollments({world.mac.enrollment_id()});
    REQUIRE(found);
    found->front().status = status;
    return writer.SaveEnrollments(*found);
  });
  CheckRefused(world.Download(), 404, "Not Found\n");
}

TEST_CASE("a download is signed when Director signs") {
  const SystemClock clock;
  const director_test::TempFolder folder;
  Config config = DownloadConfig();
  config.signing_certificate_file = folder.Write("id.pem", MakePem("One", clock.Now()));
  config.signing_key_file = config.signing_certificate_file;
  DownloadService world(config);
  world.Post(world.ToMac());
  const ApiAnswer answer = world.Download();
  REQUIRE(answer.status == 200);
  const Result<std::string> content = UnwrapSignedData(answer.body);
  REQUIRE(content);
  CHECK(content->find(kWifi) != std::string::npos);
}

TEST_CASE("without profile_download nothing is handed out to anybody") {
  DownloadService world(CompatibleConfig());
  world.Post(world.ToMac());
  CheckRefused(world.Download(), 404, "Not Found: profile_download is not set\n");
}

TEST_CASE("the paths for declarations say that they are not built") {
  DownloadService world;
  const std::string ddm = "/device/" + world.udid() + "/ddm";
  for (const auto& [method, path] : std::map<std::string, std::string>{
           {"POST", ddm}, {"DELETE", ddm}, {"GET", ddm + "/status"}}) {
    const ApiAnswer answer = world.Send(method, path);
    CHECK(answer.status == 501);
    CHECK(answer.body.find("declarative management is not built") != std::string::npos);
  }
  CHECK(world.Send("POST", ddm + "/activate").status == 501);
  CHECK(world.service.Send("POST", ddm, "", "", {{"Authorization", "none"}}).status == 401);
}

}  // namespace
}  // namespace director::director_mdmdirector_download_test
