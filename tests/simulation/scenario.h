#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/random.h"
#include "base/time.h"
#include "director/upstreams.h"
#include "reconciler/state.h"

namespace director::simulation {

enum class ServerKind { kNanoMdmKeyValue, kNanoMdmSql, kMicroMdmBuiltin, kMicroMdmInMemory };
std::string_view ServerKindName(ServerKind kind);

/// What goes wrong in one world, and how often. Probabilities are 0 .. 1 and zero where the seed
/// switched the fault off.
struct Faults {
  // The way from the MDM server to Director.
  double webhook_lost = 0;
  double webhook_doubled = 0;
  double webhook_late = 0;     ///< minutes to hours; overtaken by what came later
  double webhook_garbage = 0;  ///< per webhook: another body that is no event comes too

  // The way from Director to the MDM server, per request.
  double request_refused = 0;         ///< no connection
  double request_timeout_before = 0;  ///< never handled
  double request_timeout_after = 0;   ///< handled, the answer lost
  double request_error_after = 0;     ///< handled, answered 500 with HTML
  double request_html = 0;            ///< not handled, a proxy's page

  double no_enrollment_profile = 0;     ///< per renewal: its webhook does not answer
  double wrong_enrollment_profile = 0;  ///< per renewal: its webhook hands out another server's

  double escrow_fails = 0;  ///< per deposit: before or after the escrow server has taken it

  // Director's own process, per transaction.
  double store_unavailable = 0;
  double store_rolled_back = 0;  ///< the body runs, the commit fails
  double death_before_commit = 0;
  double death_after_commit = 0;
  double death_around_request = 0;

  // Per device and day.
  double device_request_lost = 0;  ///< per message: before or after the server handled it
  double push_lost = 0;            ///< per push
  double queue_lost = 0;
  double token_dead = 0;
  double user_deletes = 0;
  double not_now = 0;
  double os_update = 0;
  double renewal = 0;
  double wipe = 0;
  double check_out = 0;

  double app_deleted = 0;
  double app_updated = 0;  ///< by itself

  // Per device.
  double install_fails = 0;
  double app_fails = 0;    ///< refused, or acknowledged and never there
  double app_is_slow = 0;  ///< takes longer than Director waits
  double odd_builds = 0;   ///< OS updates lead to betas and back to older builds
  double goes_dark = 0;
  double foreign_profile = 0;
  double twin = 0;  ///< another Mac with the same UDID

  // Per day.
  double server_down = 0;
  double clock_jump = 0;
};

/// One world: everything that the seed decides before it begins.
struct Scenario {
  std::uint64_t seed = 0;
  ServerKind server = ServerKind::kNanoMdmKeyValue;
  std::size_t devices = 3;
  std::size_t items = 3;
  Duration faults_for = std::chrono::hours(72);
  double changes_per_day = 1;    ///< of the administrator
  double proposals_per_day = 0;  ///< of the administrator, for all devices together
  std::size_t apps = 0;          ///< how many of the catalogue owners assign
  double app_changes_per_day = 0;
  bool accounts = false;       ///< owners assign accounts for Setup Assistant
  std::size_t setup_apps = 0;  ///< so many of the apps are marked for Setup Assistant
  bool setup_profile = false;  ///< the first profile is
  int proposals_per_hour_max = 20;
  double user_channels = 0;  ///< share of Macs with one
  double sleepers = 0;       ///< share of devices that sleep most of the day
  Duration clock_ahead{};    ///< of Director's clock, from the beginning
  Faults faults;
  Settings settings;
  UpstreamRates rates;
  double certificates_per_minute = 0;
  /// Zero: identities never end, and none is renewed.
  Duration identity_lifetime{};
  Duration identities_end_after{};   ///< the first ones ...
  Duration identities_end_within{};  ///< ... spread over this time from then on
  double renewals_per_hour = 0;
  /// Everything that happens to a fleet has to happen to some device.
  bool is_full_day = false;
};

/// A small world with every fault on or off and weighted at random, and limits that are hit.
Scenario MakeSmallWorld(std::uint64_t seed);

/// A fleet of a given size for a number of days: every fault, each rare; production's settings, but
/// a report a day and the facts once a week.
Scenario MakeFleet(std::uint64_t seed, std::size_t devices, std::int64_t days);

/// One line: what the world is like.
std::string Describe(const Scenario& scenario);

}  // namespace director::simulation
