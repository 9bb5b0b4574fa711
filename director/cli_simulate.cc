#include <fmt/core.h>

#include <cstdio>
#include <fstream>

#include "base/clock.h"
#include "director/cli_parts.h"
#include "director/files.h"
#include "signing/device_identity.h"
#include "simulator/fleet.h"
#include "simulator/transport.h"

namespace director {
namespace {

constexpr int kAuthorityDays = 30;
constexpr std::size_t kAuthorityMaxBytes = 64 * 1024;
constexpr Duration kReportInterval = std::chrono::seconds(10);

Status WriteAuthority(const std::string& path) {
  const Result<PemIdentity> authority =
      MakeAuthority("Director simulator throw-away CA", SystemClock().Now(), kAuthorityDays);
  if (!authority) return Fail(authority.error());
  std::ofstream out(path, std::ios::trunc);
  out << authority->certificate_pem << authority->key_pem;
  out.close();
  if (!out) return Fail(ErrorKind::kInvalid, "cannot write " + path);
  return {};
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
        ReadDuration("--delete-every", options.delete_every, settings.delete_every)}) {
    if (!read) return Fail(read.error());
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
  for (const FleetDevice& device : fleet.Snapshot()) {
    installed += device.profiles.size();
    asleep += device.is_asleep ? 1 : 0;
  }
  fmt::print("sessions={} messages={} unanswered={} profiles_installed={} asleep={}\n",
             counters.sessions, counters.messages, counters.unanswered, installed, asleep);
  std::fflush(stdout);
}

}  // namespace

Status RunSimulate(const SimulateOptions& options) {
  if (!options.make_authority.empty()) return WriteAuthority(options.make_authority);
  if (options.mdm_url.empty()) return Fail(ErrorKind::kInvalid, "--mdm-url is needed");
  const Result<FleetSettings> settings = ToFleetSettings(options);
  if (!settings) return Fail(settings.error());
  BlockStopSignals();
  const Result<std::unique_ptr<DeviceTransport>> transport = ConnectDevices(options);
  if (!transport) return Fail(transport.error());
  const SystemClock clock;
  Fleet fleet(*settings, **transport, clock);
  fleet.Start();
  while (!WaitForStopSignal(kReportInterval)) Report(fleet);
  fleet.Stop();
  Report(fleet);
  return {};
}

}  // namespace director
