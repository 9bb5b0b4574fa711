#include "director/demo.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "director/api_client.h"
#include "director/app.h"
#include "director/files.h"
#include "director/http_server.h"
#include "mdm/profile.h"
#include "signing/device_identity.h"
#include "simulator/fleet.h"
#include "simulator/mdm_server.h"

namespace director {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

constexpr Duration kLookInterval = std::chrono::milliseconds(500);
constexpr std::size_t kExamplesMax = 50;
constexpr std::size_t kDeletionsMax = 5;
constexpr int kBarWidth = 40;

/// A folder of its own that goes when the demo ends.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string pattern = (fs::temp_directory_path() / "director-demo-XXXXXX").string();
    if (mkdtemp(pattern.data()) != nullptr) path_ = pattern;
  }
  ~ScratchFolder() {
    std::error_code ignored;  // a scratch file that stays harms nobody
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// Times short enough to watch.
Settings DemoSettings() {
  Settings settings;
  settings.awake_window = std::chrono::seconds(10);
  settings.token_update_wait = std::chrono::seconds(10);
  settings.profile_list_interval = std::chrono::seconds(10);
  settings.removal_evidence_age_max = std::chrono::seconds(15);
  settings.question_delay_min = std::chrono::seconds(1);
  settings.answer_time_max = std::chrono::seconds(5);
  settings.retry_delay_min = std::chrono::seconds(2);
  settings.server_retry_delay_min = std::chrono::seconds(5);
  settings.push_delay_min = std::chrono::seconds(3);
  settings.push_delay_max = std::chrono::seconds(12);
  settings.not_now_push_delay_min = std::chrono::seconds(3);
  settings.lost_after = std::chrono::seconds(30);
  settings.not_now_lost_after = std::chrono::minutes(2);
  return settings;
}

/// Every tenth Mac sleeps, every tenth says NotNow for a while, every twentieth fails an install
/// twice.
FleetSettings DemoFleet(const DemoOptions& options) {
  FleetSettings settings;
  settings.device_count = options.devices;
  settings.iphone_share = 0;
  settings.seed = options.seed;
  settings.thread_count = 4;
  settings.enroll_within = std::chrono::seconds(3);
  settings.poll_interval = std::chrono::minutes(2);
  settings.adjust = [](std::size_t index, Timestamp start, DeviceBehaviour& behaviour) {
    if (index % 10 == 3) {
      behaviour.wake = {std::chrono::seconds(5), std::chrono::seconds(9),
                        start.time_since_epoch() % std::chrono::seconds(14)};
    }
    if (index % 10 == 6) {
      behaviour.not_now.push_back(
          {start, start + std::chrono::seconds(8), 1.0, NotNowScope::kChanges});
    }
    if (index % 20 == 9) {
      InstallFailure failure;
      failure.times = 2;
      failure.error_chain =
          InstallFailedChain("MCSCEPErrorDomain", 22005, "The SCEP server could not be reached.");
      behaviour.install_failures.push_back(std::move(failure));
    }
  };
  return settings;
}

Result<Config> DemoConfig(const ScratchFolder& scratch, const DemoOptions& options, int port,
                          const std::string& mdm_url, const std::string& token) {
  Config config;
  config.listen_host = "127.0.0.1";
  config.listen_port = port;
  config.database = options.database.empty() ? scratch.path() + "/demo.db" : options.database;
  config.api_token = SecretSource::FromValue(Secret(token));
  UpstreamConfig server;
  server.name = UpstreamName("nanomdm");
  server.url = mdm_url;
  server.api_key = SecretSource::FromValue(Secret(token));
  server.webhook.hmac_key = SecretSource::FromValue(Secret(token));
  config.upstreams.push_back(server);
  config.settings = DemoSettings();

  const Timestamp now = SystemClock().Now();
  const Result<PemIdentity> authority = MakeAuthority("Director demo CA", now, 2);
  if (!authority) return Fail(authority.error());
  const Result<PemIdentity> identity = IssueIdentity(*authority, "Director demo signer", now, 2);
  if (!identity) return Fail(identity.error());
  config.signing_certificate_file = scratch.path() + "/signer.pem";
  config.signing_key_file = config.signing_certificate_file;
  std::ofstream(config.signing_certificate_file) << identity->certificate_pem << identity->key_pem;
  return config;
}

using Deletions = std::vector<std::pair<EnrollmentId, PayloadIdentifier>>;

bool Has(const FleetDevice& device, const PayloadIdentifier& item) {
  return std::find(device.profiles.begin(), device.profiles.end(), item) != device.profiles.end();
}

/// True when every Mac that lost a profile has it again.
bool AllBack(const std::vector<FleetDevice>& devices, const Deletions& deleted) {
  return std::none_of(devices.begin(), devices.end(), [&](const FleetDevice& device) {
    return std::any_of(deleted.begin(), deleted.end(), [&](const auto& deletion) {
      return deletion.first == device.enrollment_id && !Has(device, deletion.second);
    });
  });
}

/// Everything that runs in the demo, and what it shows.
class Demo {
 public:
  explicit Demo(const DemoOptions& options) : options_(options) {}
  ~Demo() {
    if (mdm_) mdm_->SetPushListener({});
    if (fleet_) fleet_->Stop();
  }
  Demo(const Demo&) = delete;
  Demo& operator=(const Demo&) = delete;

  Status Start();
  Status AssignExamples();
  Status Converge(const std::string& what);
  Status ShowDrift();
  void ShowWhatHappened();
  void StayUp();

 private:
  Result<std::size_t> CountVerified();
  void RememberReasons(const std::string& state);
  Status NameStuckDevices();
  bool WaitForFleet(const std::function<bool(const std::vector<FleetDevice>&)>& done) const;
  void ShowProgress(const std::string& what, std::size_t verified, bool done) const;

  const DemoOptions options_;
  const ScratchFolder scratch_;
  const SystemClock clock_;
  std::string token_;
  Duration timeout_{};
  std::unique_ptr<MdmServer> mdm_;
  std::unique_ptr<App> app_;
  std::unique_ptr<DeviceTransport> transport_;
  std::unique_ptr<Fleet> fleet_;
  std::unique_ptr<ApiClient> api_;
  std::vector<PayloadIdentifier> items_;
  std::map<std::string, Json> reasons_;  // by state: the first device seen in it
};

Status Demo::Start() {
  const Result<Duration> timeout = ParseDuration(options_.timeout);
  if (!timeout) return Fail(ErrorKind::kInvalid, "--timeout: " + timeout.error().message);
  timeout_ = *timeout;
  if (scratch_.path().empty())
    return Fail(ErrorKind::kUnavailable, "no scratch folder can be made");
  SystemRandom random;
  token_ = MakeUuid(random);
  const Result<int> port = FreePort();
  if (!port) return Fail(port.error());

  MdmServerSettings server;
  server.api_key = Secret(token_);
  server.webhook_url = fmt::format("http://127.0.0.1:{}/webhook/nanomdm", *port);
  server.webhook_hmac_key = Secret(token_);
  auto mdm = MdmServer::Start(server, clock_);
  if (!mdm) return Fail(mdm.error());
  mdm_ = std::move(*mdm);
  const Result<Config> config = DemoConfig(scratch_, options_, *port, mdm_->url(), token_);
  if (!config) return Fail(config.error());
  auto app = App::Start(*config, clock_);
  if (!app) return Fail(app.error());
  app_ = std::move(*app);

  transport_ = MakeServerTransport(*mdm_);
  fleet_ = std::make_unique<Fleet>(DemoFleet(options_), *transport_, clock_);
  mdm_->SetPushListener([this](const EnrollmentId& id) { fleet_->Wake(id); });
  ClientOptions client;
  client.url = app_->url();
  client.token = Secret(token_);
  auto api = ApiClient::Connect(client);
  if (!api) return Fail(api.error());
  api_ = std::make_unique<ApiClient>(std::move(*api));
  fmt::print("Director runs at {} beside a NanoMDM stand-in at {}; {} Macs enroll.\n", app_->url(),
             mdm_->url(), options_.devices);
  fleet_->Start();
  return {};
}

Status Demo::AssignExamples() {
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(options_.examples, error)) {
    if (entry.path().extension() == ".mobileconfig") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  if (files.empty() || files.size() > kExamplesMax) {
    return Fail(ErrorKind::kInvalid,
                fmt::format("{} holds {} .mobileconfig files; 1 to {} are needed",
                            options_.examples, files.size(), kExamplesMax));
  }
  for (const fs::path& file : files) {
    const Result<std::string> bytes = ReadSmallFile(file.string(), kProfileSizeMaxBytes);
    if (!bytes) return Fail(bytes.error());
    const Result<Json> stored =
        api_->PostBytes("/profiles?source=demo", *bytes, "application/x-apple-aspen-config");
    if (!stored) return Fail(stored.error());
    const Json& profile = (*stored)["profiles"][0];
    items_.emplace_back(profile["payload_identifier"].get<std::string>());
    const Result<Json> assigned = api_->Post(
        "/assignments",
        {{"payload_identifier", items_.back().value()}, {"target", "all"}, {"source", "demo"}});
    if (!assigned) return Fail(assigned.error());
    fmt::print("  assigned to all: {}\n", profile["display_name"].get<std::string>());
  }
  return {};
}

Result<std::size_t> Demo::CountVerified() {
  const Result<Json> status = api_->Get("/status");
  if (!status) return Fail(status.error());
  return (*status)["item_states"]["verified"].get<std::size_t>();
}

/// Keeps the first device that is seen in a state, with its explanation: the page shows it at the
/// end.
void Demo::RememberReasons(const std::string& state) {
  if (reasons_.contains(state)) return;
  const Result<Json> devices = api_->Get("/devices?limit=1&item_state=" + state);
  if (!devices || (*devices)["devices"].empty()) return;
  const std::string id = (*devices)["devices"][0]["enrollment_id"].get<std::string>();
  const Result<Json> device = api_->Get("/devices/" + EncodePathSegment(id));
  if (!device) return;
  for (const Json& item : (*device)["items"]) {
    if (item["state"] != state) continue;
    reasons_[state] = {{"serial_number", (*device)["serial_number"]},
                       {"enrollment_id", id},
                       {"payload_identifier", item["payload_identifier"]},
                       {"reason", item["reason"]}};
    return;
  }
}

void Demo::ShowProgress(const std::string& what, std::size_t verified, bool done) const {
  const std::size_t wanted = options_.devices * items_.size();
  const bool terminal = isatty(STDOUT_FILENO) != 0;
  if (!terminal && !done) return;
  const auto filled = static_cast<int>(wanted == 0 ? 0 : verified * kBarWidth / wanted);
  fmt::print("{}{} [{}{}] {} of {} items verified{}", terminal ? "\r" : "", what,
             std::string(static_cast<std::size_t>(std::min(filled, kBarWidth)), '#'),
             std::string(static_cast<std::size_t>(std::max(kBarWidth - filled, 0)), '.'), verified,
             wanted, done ? "\n" : "");
  std::fflush(stdout);
}

Status Demo::NameStuckDevices() {
  std::string text = fmt::format("the fleet has not converged within {}; stuck:", options_.timeout);
  std::size_t named = 0;
  const Result<Json> devices = api_->GetAll("/devices", "devices");
  if (!devices) return Fail(devices.error());
  for (const Json& row : *devices) {
    const std::string id = row["enrollment_id"].get<std::string>();
    const Result<Json> device = api_->Get("/devices/" + EncodePathSegment(id));
    if (!device) return Fail(device.error());
    for (const Json& item : (*device)["items"]) {
      if (item["state"] == "verified" || ++named > 50) continue;
      text += fmt::format("\n  {} {}: {}: {}", row["serial_number"].get<std::string>(),
                          item["payload_identifier"].get<std::string>(),
                          item["state"].get<std::string>(), item["reason"].get<std::string>());
    }
  }
  if (devices->size() < options_.devices) {
    text += fmt::format("\n  {} of {} Macs never enrolled", options_.devices - devices->size(),
                        options_.devices);
  }
  return Fail(ErrorKind::kUnavailable, text);
}

Status Demo::Converge(const std::string& what) {
  const std::size_t wanted = options_.devices * items_.size();
  const Timestamp start = clock_.Now();
  while (clock_.Now() < start + timeout_) {
    const Result<std::size_t> verified = CountVerified();
    if (!verified) return Fail(verified.error());
    ShowProgress(what, *verified, *verified >= wanted);
    if (*verified >= wanted) {
      fmt::print("  converged after {}\n", FormatDuration(clock_.Now() - start));
      return {};
    }
    for (const char* state : {"not_now", "backing_off", "pending"}) RememberReasons(state);
    if (WaitForStopSignal(kLookInterval)) return Fail(ErrorKind::kUnavailable, "stopped");
  }
  return NameStuckDevices();
}

/// Waits for the fleet; false when the time is over or somebody stops the demo.
bool Demo::WaitForFleet(const std::function<bool(const std::vector<FleetDevice>&)>& done) const {
  const Timestamp end = clock_.Now() + timeout_;
  while (!fleet_->WaitUntil(done, kLookInterval)) {
    if (clock_.Now() >= end || WaitForStopSignal(Duration::zero())) return false;
  }
  return true;
}

/// Some users delete a profile; the demo goes on when each Mac has noticed, reported and got it
/// back.
Status Demo::ShowDrift() {
  Deletions deleted;
  fmt::print("\nUsers delete a profile:\n");
  for (const FleetDevice& device : fleet_->Snapshot()) {
    if (deleted.size() >= kDeletionsMax || device.profiles.empty()) break;
    const PayloadIdentifier& item = items_[deleted.size() % items_.size()];
    if (!fleet_->DeleteProfile(device.enrollment_id, item)) continue;
    deleted.emplace_back(device.enrollment_id, item);
    fmt::print("  {} loses {}\n", device.facts.serial_number, item.value());
  }
  if (!WaitForFleet([&](const auto& devices) { return !AllBack(devices, deleted); })) {
    return Fail(ErrorKind::kUnavailable, "no profile was deleted");
  }
  if (!WaitForFleet([&](const auto& devices) { return AllBack(devices, deleted); })) {
    return NameStuckDevices();
  }
  if (Status done = Converge("Repair "); !done) return done;
  reasons_["drift"] = {{"enrollment_id", deleted.front().first.value()},
                       {"payload_identifier", deleted.front().second.value()}};
  return {};
}

void Demo::ShowWhatHappened() {
  fmt::print("\nWhat happened, and why:\n");
  const std::vector<std::pair<std::string, std::string>> titles = {
      {"not_now", "A Mac that said NotNow"},
      {"backing_off", "A Mac that failed an install at first"},
      {"pending", "A Mac that had to wait"}};
  for (const auto& [state, title] : titles) {
    const auto found = reasons_.find(state);
    if (found == reasons_.end()) continue;
    const Json& seen = found->second;
    fmt::print("\n  {} ({}, {}):\n    {}\n", title, seen["serial_number"].get<std::string>(),
               seen["payload_identifier"].get<std::string>(), seen["reason"].get<std::string>());
  }
  if (reasons_.contains("drift")) {
    const std::string id = reasons_["drift"]["enrollment_id"].get<std::string>();
    const Result<Json> events = api_->Get("/events?limit=100&device=" + EncodePathSegment(id));
    fmt::print("\n  A Mac whose user deleted {}, newest event first:\n",
               reasons_["drift"]["payload_identifier"].get<std::string>());
    for (std::size_t i = 0; events && i < std::min<std::size_t>((*events)["events"].size(), 6);
         ++i) {
      const Json& event = (*events)["events"][i];
      fmt::print("    {}  {}\n", event["at"].get<std::string>(),
                 Truncate(event["text"].get<std::string>(), 220));
    }
  }
  fmt::print("\n  {} Macs x {} profiles; {} signatures made: one per revision, not one per Mac.\n",
             options_.devices, items_.size(), app_->signatures());
}

void Demo::StayUp() {
  const std::string id = fleet_->Snapshot().front().facts.serial_number;
  fmt::print(
      "\nIt stays up until Ctrl-C. In another terminal:\n"
      "  export DIRECTOR_URL={} DIRECTOR_TOKEN={}\n"
      "  build/release/director status --watch\n"
      "  build/release/director devices\n"
      "  build/release/director explain {} {}\n"
      "  build/release/director events {}\n"
      "  curl -s {}/metrics\n",
      app_->url(), token_, id, items_.front().value(), id, app_->url());
  std::fflush(stdout);
  WaitForStopSignal();
}

}  // namespace

Status RunDemo(const DemoOptions& options) {
  if (options.devices < 1 || options.devices > kFleetDevicesMax) {
    return Fail(ErrorKind::kInvalid,
                fmt::format("--devices must be from 1 to {}", kFleetDevicesMax));
  }
  ConfigureLog(LogLevel::kError, LogFormat::kLogfmt);
  BlockStopSignals();
  Demo demo(options);
  if (Status done = demo.Start(); !done) return done;
  if (Status done = demo.AssignExamples(); !done) return done;
  if (Status done = demo.Converge("Roll-out"); !done) return done;
  if (Status done = demo.ShowDrift(); !done) return done;
  demo.ShowWhatHappened();
  if (!options.once) demo.StayUp();
  return {};
}

}  // namespace director
