#include <fmt/core.h>

#include <cstdio>
#include <fstream>
#include <sstream>
#include <utility>

#include "base/clock.h"
#include "director/cli_parts.h"
#include "director/files.h"
#include "signing/device_identity.h"
#include "simulator/device_profile.h"
#include "simulator/fleet.h"
#include "simulator/transport.h"

namespace director {
namespace {

constexpr int kAuthorityDays = 30;
constexpr std::size_t kAuthorityMaxBytes = 64 * 1024;
constexpr std::size_t kOsUpdateMaxBytes = 1024;
constexpr Duration kOsUpdateInterval = std::chrono::seconds(1);
constexpr Duration kReportInterval = std::chrono::seconds(10);

Status WriteFile(const std::string& path, const std::string& content) {
  std::ofstream out(path, std::ios::trunc);
  out << content;
  out.close();
  if (!out) return Fail(ErrorKind::kInvalid, "cannot write " + path);
  return {};
}

Status WriteAuthority(const std::string& path) {
  const Result<PemIdentity> authority =
      MakeAuthority("Director simulator throw-away CA", SystemClock().Now(), kAuthorityDays);
  if (!authority) return Fail(authority.error());
  return WriteFile(path, authority->certificate_pem + authority->key_pem);
}

/// A certificate and a key in one PEM file.
Result<PemIdentity> LoadAuthority(const std::string& path) {
  const Result<std::string> pem = ReadSmallFile(path, kAuthorityMaxBytes);
  if (!pem) return Fail(pem.error());
  return PemIdentity{*pem, *pem};
}

Status ReadDuration(const std::string& name, const std::string& text, Duration& duration) {
  const Result<Duration> parsed = ParseDuration(text);
  if (!parsed)
    return Fail(ErrorKind::kInvalid, fmt::format("{}: {}", name, parsed.error().message));
  duration = *parsed;
  return {};
}

Result<FleetSettings> ToFleetSettings(const SimulateOptions& options) {
  FleetSettings settings;
  settings.device_count = options.devices;
  settings.seed = options.seed;
  settings.iphone_share = options.iphone_share;
  settings.user_channel_share = options.user_channel_share;
  settings.not_now_share = options.not_now_share;
  settings.setup_share = options.setup_share;
  settings.deleting_share = options.deleting_share;
  settings.time_scale = options.time_scale;
  settings.thread_count = 4;
  for (const Status& read :
       {ReadDuration("--poll-interval", options.poll_interval, settings.poll_interval),
        ReadDuration("--awake-for", options.awake_for, settings.awake_for),
        ReadDuration("--asleep-for", options.asleep_for, settings.asleep_for),
        ReadDuration("--delete-every", options.delete_every, settings.delete_every),
        ReadDuration("--identity-lifetime", options.identity_lifetime, settings.identity_lifetime),
        ReadDuration("--identity-ends-in", options.identity_ends_in, settings.identity_ends_in)}) {
    if (!read) return Fail(read.error());
  }
  if (settings.identity_lifetime % kDay != Duration::zero()) {
    return Fail(ErrorKind::kInvalid, "--identity-lifetime must be whole days");
  }
  if (settings.identity_ends_in > settings.identity_lifetime) {
    return Fail(ErrorKind::kInvalid, "--identity-ends-in is more than --identity-lifetime");
  }
  settings.enroll_within = settings.poll_interval;
  return settings;
}

Result<std::unique_ptr<DeviceTransport>> ConnectDevices(const SimulateOptions& options) {
  HttpTransportSettings transport;
  transport.endpoint.url = options.mdm_url;
  transport.now = SystemClock().Now();
  if (options.protocol == "micromdm") {
    transport.protocol = DeviceProtocol::kMicroMdm;
  } else if (options.protocol != "nanomdm") {
    return Fail(ErrorKind::kInvalid, "--protocol must be nanomdm or micromdm");
  }
  if (!options.authority_file.empty()) {
    Result<PemIdentity> authority = LoadAuthority(options.authority_file);
    if (!authority) return Fail(authority.error());
    transport.authority = std::move(*authority);
  }
  return MakeHttpTransport(transport);
}

void Report(const Fleet& fleet) {
  const FleetCounters counters = fleet.counters();
  std::size_t installed = 0;
  std::size_t asleep = 0;
  std::uint64_t installs = 0;
  int renewals = 0;
  int os_updates = 0;
  for (const FleetDevice& device : fleet.Snapshot()) {
    installed += device.profiles.size();
    asleep += device.is_asleep ? 1 : 0;
    installs += device.installs;
    renewals += device.renewals;
    os_updates += device.os_updates;
  }
  fmt::print(
      "sessions={} messages={} unanswered={} profiles_installed={} asleep={} installs={} "
      "renewals={} os_updates={}\n",
      counters.sessions, counters.messages, counters.unanswered, installed, asleep, installs,
      renewals, os_updates);
  std::fflush(stdout);
}

/// Tells the fleet what a file says about its OS, whenever that has changed.
class OsUpdateFile {
 public:
  explicit OsUpdateFile(std::string path) : path_(std::move(path)) {}

  void Apply(Fleet& fleet) {
    const Result<std::string> text = ReadSmallFile(path_, kOsUpdateMaxBytes);
    if (!text || *text == applied_) return;  // there need be none yet
    applied_ = *text;
    std::istringstream words(*text);
    std::string os_version;
    std::string build_version;
    if (words >> os_version >> build_version) {
      fleet.UpdateOs(os_version, build_version);
    } else {
      fmt::print(stderr, "director: {} does not say VERSION BUILD\n", path_);
    }
  }

 private:
  const std::string path_;
  std::string applied_;
};

/// Until a signal to stop comes.
void RunFleet(Fleet& fleet, OsUpdateFile& os_updates) {
  Duration since_report{};
  while (!WaitForStopSignal(kOsUpdateInterval)) {
    os_updates.Apply(fleet);
    since_report += kOsUpdateInterval;
    if (since_report < kReportInterval) continue;
    Report(fleet);
    since_report = {};
  }
}

}  // namespace

Status RunSimulate(const SimulateOptions& options) {
  if (!options.make_authority.empty()) return WriteAuthority(options.make_authority);
  if (!options.make_enrollment_profile.empty()) {
    return WriteFile(options.make_enrollment_profile,
                     MakeEnrollmentMobileconfig(SimulatorManagement()));
  }
  if (options.mdm_url.empty()) return Fail(ErrorKind::kInvalid, "--mdm-url is needed");
  const Result<FleetSettings> settings = ToFleetSettings(options);
  if (!settings) return Fail(settings.error());
  BlockStopSignals();
  const Result<std::unique_ptr<DeviceTransport>> transport = ConnectDevices(options);
  if (!transport) return Fail(transport.error());
  const SystemClock clock;
  Fleet fleet(*settings, **transport, clock);
  OsUpdateFile os_updates(options.os_update_file);
  fleet.Start();
  RunFleet(fleet, os_updates);
  fleet.Stop();
  Report(fleet);
  return {};
}

}  // namespace director
