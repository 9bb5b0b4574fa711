#include "tests/simulation/scenario.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <initializer_list>

#include "simulator/device_identity.h"
#include "tests/simulation/catalogue.h"

namespace director::simulation {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

/// A fault that the seed switches on or off; when on, up to `most`.
double Chance(RandomSource& random, double most) {
  const bool on = random.Below(2) == 0;
  const double weight = random.Fraction();
  return on ? most * weight : 0;
}

Faults RandomFaults(RandomSource& random) {
  Faults faults;
  faults.webhook_lost = Chance(random, 0.2);
  faults.webhook_doubled = Chance(random, 0.2);
  faults.webhook_late = Chance(random, 0.2);
  faults.webhook_garbage = Chance(random, 0.1);
  faults.request_refused = Chance(random, 0.1);
  faults.request_timeout_before = Chance(random, 0.1);
  faults.request_timeout_after = Chance(random, 0.1);
  faults.request_error_after = Chance(random, 0.1);
  faults.request_html = Chance(random, 0.1);
  faults.store_unavailable = Chance(random, 0.02);
  faults.store_rolled_back = Chance(random, 0.02);
  faults.death_before_commit = Chance(random, 0.01);
  faults.death_after_commit = Chance(random, 0.01);
  faults.death_around_request = Chance(random, 0.05);
  faults.device_request_lost = Chance(random, 0.05);
  faults.push_lost = Chance(random, 0.4);
  faults.queue_lost = Chance(random, 0.5);
  faults.token_dead = Chance(random, 0.3);
  faults.user_deletes = Chance(random, 2.0);
  faults.not_now = Chance(random, 1.0);
  faults.os_update = Chance(random, 0.3);
  faults.renewal = Chance(random, 0.3);
  faults.wipe = Chance(random, 0.3);
  faults.check_out = Chance(random, 0.3);
  faults.install_fails = Chance(random, 0.8);
  faults.goes_dark = Chance(random, 0.2);
  faults.foreign_profile = Chance(random, 0.5);
  faults.twin = Chance(random, 0.3);
  faults.server_down = Chance(random, 1.0);
  faults.clock_jump = Chance(random, 1.0);
  return faults;
}

ServerKind RandomServer(RandomSource& random) {
  switch (random.Below(4)) {
    case 0:
      return ServerKind::kNanoMdmKeyValue;
    case 1:
      return ServerKind::kNanoMdmSql;
    case 2:
      return ServerKind::kMicroMdmBuiltin;
    default:
      return ServerKind::kMicroMdmInMemory;
  }
}

/// Half of the small worlds have limits that are hit all the time.
Settings RandomSettings(RandomSource& random) {
  Settings settings;
  if (random.Below(2) == 0) return settings;
  settings.commands_per_session_max = static_cast<int>(1 + random.Below(4));
  settings.sends_per_day_max = static_cast<int>(2 + random.Below(6));
  settings.unknown_attempts_max = static_cast<int>(1 + random.Below(4));
  settings.profile_list_interval = hours(1 + random.Below(12));
  settings.removal_evidence_age_max = minutes(2 + random.Below(30));
  settings.push_delay_max = hours(1 + random.Below(24));
  settings.lost_after = minutes(3 + random.Below(20));
  return settings;
}

/// A third of the small worlds are sent so little that turns are waited for all the time. Drawn
/// apart, so that the other worlds stay what they were.
void SetPace(Scenario& scenario) {
  SeededRandom random(scenario.seed ^ StableHash("pace"));
  if (random.Below(3) != 0) return;
  scenario.rates.commands_per_second = 0.01 + 0.2 * random.Fraction();
  scenario.rates.pushes_per_second = 0.01 + 0.2 * random.Fraction();
  scenario.certificates_per_minute = 0.5 + 5 * random.Fraction();
}

/// Half of the worlds have an administrator who locks, erases and restarts devices. Drawn apart as
/// above.
void SetProposals(Scenario& scenario) {
  SeededRandom random(scenario.seed ^ StableHash("proposals"));
  if (random.Below(2) != 0) return;
  scenario.proposals_per_day = 0.2 + 3 * random.Fraction();
  scenario.faults.escrow_fails = Chance(random, 0.6);
  scenario.proposals_per_hour_max = static_cast<int>(1 + random.Below(3));
}

/// In a quarter of the small worlds nobody keeps the clocks together. Drawn apart as above.
void SetClock(Scenario& scenario) {
  SeededRandom random(scenario.seed ^ StableHash("clock"));
  if (random.Below(4) != 0) return;
  scenario.clock_ahead = minutes(static_cast<std::int64_t>(random.Below(12 * 60)) - 6 * 60);
}

/// A quarter of the small worlds have apps and accounts. Drawn apart as above.
void SetApps(Scenario& scenario) {
  SeededRandom random(scenario.seed ^ StableHash("apps"));
  if (random.Below(4) != 0) return;
  scenario.apps = 1 + random.Below(kCatalogueSize);
  scenario.app_changes_per_day = 3 * random.Fraction();
  scenario.accounts = random.Below(2) == 0;
  scenario.setup_apps = random.Below(2) == 0 ? random.Below(scenario.apps + 1) : 0;
  scenario.setup_profile = random.Below(2) == 0;
  scenario.faults.app_fails = Chance(random, 0.6);
  scenario.faults.app_is_slow = Chance(random, 0.4);
  scenario.faults.app_deleted = Chance(random, 1.0);
  scenario.faults.app_updated = Chance(random, 1.0);
  Settings& settings = scenario.settings;
  // Otherwise nobody would notice within days that an app was deleted.
  settings.inventory_interval[InventoryKind::kInstalledApplicationList] =
      hours(20 + random.Below(16));
  if (random.Below(2) == 0) return;
  settings.app_install_time_max = minutes(5 + random.Below(120));
  settings.app_retry_delay = hours(1 + random.Below(24));
  settings.app_attempts_max = static_cast<int>(1 + random.Below(3));
}

/// In a quarter of the small worlds profiles are installed again after OS updates. Drawn apart as
/// above.
void SetReinstall(Scenario& scenario) {
  SeededRandom random(scenario.seed ^ StableHash("reinstall"));
  if (random.Below(4) != 0) return;
  Settings& settings = scenario.settings;
  settings.reinstall_all = random.Below(2) == 0;
  settings.reinstall_named = {PayloadIdentifier("com.example.item0")};
  settings.reinstall_spread = minutes(random.Below(6 * 60));
  scenario.faults.os_update = 0.2 + 0.8 * random.Fraction();
  scenario.faults.odd_builds = Chance(random, 1.0);
}

/// In a quarter of the small worlds identities end within days, and there is a webhook for
/// enrollment profiles. Drawn apart as above.
void SetIdentities(Scenario& scenario) {
  SeededRandom random(scenario.seed ^ StableHash("identities"));
  if (random.Below(4) != 0) return;
  scenario.identity_lifetime = hours(24 * 10);
  scenario.identities_end_after = hours(24 * 4);
  scenario.identities_end_within = hours(24 * 6);
  scenario.faults.no_enrollment_profile = Chance(random, 0.3);
  scenario.faults.wrong_enrollment_profile = Chance(random, 0.3);
  if (random.Below(2) == 0) scenario.renewals_per_hour = 1 + random.Below(10);
  RenewalSettings& renewal = scenario.settings.renewal;
  renewal.issuers = {std::string(kSimulatorIssuer)};
  renewal.has_profiles = true;
  renewal.renew_before = hours(24 * 5);
}

}  // namespace

std::string_view ServerKindName(ServerKind kind) {
  switch (kind) {
    case ServerKind::kNanoMdmKeyValue:
      return "NanoMDM with a key-value store";
    case ServerKind::kNanoMdmSql:
      return "NanoMDM with SQL";
    case ServerKind::kMicroMdmBuiltin:
      return "MicroMDM with builtin queues";
    case ServerKind::kMicroMdmInMemory:
      return "MicroMDM with inmem queues";
  }
  return "";
}

Scenario MakeSmallWorld(std::uint64_t seed) {
  SeededRandom random(seed ^ StableHash("small world"));
  Scenario scenario;
  scenario.seed = seed;
  scenario.server = RandomServer(random);
  scenario.devices = 1 + random.Below(5);
  scenario.items = 1 + random.Below(5);
  scenario.faults_for = hours(12 + random.Below(84));
  scenario.changes_per_day = 1 + 5 * random.Fraction();
  scenario.user_channels = random.Below(3) == 0 ? 0.5 : 0;
  scenario.sleepers = random.Fraction();
  scenario.faults = RandomFaults(random);
  scenario.settings = RandomSettings(random);
  SetPace(scenario);
  SetProposals(scenario);
  SetClock(scenario);
  SetApps(scenario);
  SetReinstall(scenario);
  SetIdentities(scenario);
  return scenario;
}

namespace {

/// Certificates of a year, some of which are renewed each day of the run.
void SetFleetIdentities(Scenario& scenario) {
  scenario.identity_lifetime = hours(24 * 365);
  RenewalSettings& renewal = scenario.settings.renewal;
  renewal.issuers = {std::string(kSimulatorIssuer)};
  renewal.has_profiles = true;
  // Renewals are spread over the first third of that time.
  scenario.identities_end_after = renewal.renew_before * 2 / 3;
  scenario.identities_end_within = renewal.renew_before * 2 / 3;
  scenario.faults.no_enrollment_profile = scenario.faults.wrong_enrollment_profile = 0.01;
}

/// Owners name half of the profiles, and Director hears of a new build within days.
void SetFleetReinstall(Scenario& scenario) {
  for (std::size_t i = 0; i < scenario.items / 2; ++i) {
    const PayloadIdentifier item(fmt::format("com.example.item{}", i));
    scenario.settings.reinstall_named.push_back(item);
  }
  scenario.settings.inventory_interval[InventoryKind::kDeviceInformation] = hours(24 * 2);
}

}  // namespace

Scenario MakeFleet(std::uint64_t seed, std::size_t devices, std::int64_t days) {
  SeededRandom random(seed ^ StableHash("fleet"));
  Scenario scenario;
  scenario.seed = seed;
  scenario.server = RandomServer(random);
  scenario.devices = devices;
  scenario.items = 8;
  scenario.faults_for = hours(24 * days);
  scenario.changes_per_day = 0.5;
  // What is rare comes more often in short runs, so that each of it comes at all.
  const double length = static_cast<double>(std::max<std::int64_t>(days, 1));
  scenario.proposals_per_day = std::max(0.004, 0.15 / length) * static_cast<double>(devices);
  scenario.is_full_day = devices >= 1000;
  scenario.user_channels = 0.1;
  scenario.sleepers = 0.7;
  scenario.settings.profile_list_interval = hours(24);
  for (const InventoryKind kind : kInventoryKinds) {
    Duration& interval = scenario.settings.inventory_interval[kind];
    if (interval > Duration::zero()) interval = hours(24 * 7);
  }
  scenario.apps = 2;
  scenario.app_changes_per_day = 0.1;
  scenario.accounts = true;
  scenario.setup_apps = 1;
  Faults& faults = scenario.faults;
  faults.webhook_lost = faults.webhook_doubled = faults.webhook_late = 0.01;
  faults.webhook_garbage = 0.0001;
  faults.request_refused = faults.request_timeout_before = faults.request_timeout_after = 0.005;
  faults.request_error_after = faults.request_html = 0.005;
  faults.escrow_fails = 0.05;
  faults.store_unavailable = faults.store_rolled_back = 0.0001;
  faults.death_before_commit = faults.death_after_commit = faults.death_around_request = 0.00002;
  faults.device_request_lost = 0.005;
  faults.push_lost = 0.05;
  faults.queue_lost = faults.token_dead = 0.002;
  faults.user_deletes = 0.02;
  faults.not_now = 0.2;
  faults.os_update = std::max(0.03, 0.2 / length);
  faults.renewal = faults.wipe = faults.check_out = 0.005;
  faults.install_fails = 0.1;
  faults.app_fails = 0.02;
  faults.goes_dark = 0.005;
  faults.foreign_profile = 0.1;
  faults.twin = 0.002;
  faults.server_down = 0.1;
  faults.clock_jump = 0.02;
  SetFleetIdentities(scenario);
  SetFleetReinstall(scenario);
  return scenario;
}

std::string Describe(const Scenario& scenario) {
  return fmt::format("seed {}: {} devices, {} items, {}, faults for {}", scenario.seed,
                     scenario.devices, scenario.items, ServerKindName(scenario.server),
                     FormatDuration(scenario.faults_for));
}

}  // namespace director::simulation
