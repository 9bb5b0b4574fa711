// The fleet simulator in virtual time: `./dev sim`.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>

#include "base/log.h"
#include "tests/simulation/world.h"

namespace director::simulation {
namespace {

using SteadyClock = std::chrono::steady_clock;

struct Options {
  std::uint64_t seed = 1;
  std::size_t devices = 0;
  std::int64_t days = 7;
  std::uint64_t swarm = 0;
  bool first = false;
  bool trace = false;
};

double SecondsSince(SteadyClock::time_point start) {
  return std::chrono::duration<double>(SteadyClock::now() - start).count();
}

double Seconds(Duration duration) { return static_cast<double>(duration.count()) / 1000; }

std::string RepeatCommand(const Options& options, std::uint64_t seed) {
  if (options.devices == 0) return fmt::format("./dev sim --seed {}", seed);
  return fmt::format("./dev sim --seed {} --devices {} --days {}", seed, options.devices,
                     options.days);
}

Scenario MakeScenario(const Options& options, std::uint64_t seed) {
  if (options.devices == 0) return MakeSmallWorld(seed);
  return MakeFleet(seed, options.devices, options.days);
}

Outcome RunOne(const Options& options, std::uint64_t seed) {
  World world(MakeScenario(options, seed));
  if (options.trace) world.PrintTrace();
  Outcome outcome = world.Run();
  if (outcome.violation) {
    fmt::print("{}\n{}seed {}; repeat with: {}\n", Describe(MakeScenario(options, seed)),
               outcome.report, seed, RepeatCommand(options, seed));
  }
  return outcome;
}

int RunSingle(const Options& options) {
  fmt::print("{}\n", Describe(MakeScenario(options, options.seed)));
  const auto start = SteadyClock::now();
  const Outcome outcome = RunOne(options, options.seed);
  const double elapsed_s = SecondsSince(start);
  if (!outcome.violation) {
    fmt::print(
        "converged within {} of calm; {} changes and {} questions sent, {} deaths of the "
        "process\n",
        FormatDuration(outcome.convergence), outcome.changes_sent, outcome.questions_sent,
        outcome.deaths);
  }
  fmt::print("{}", outcome.tally.Describe());
  fmt::print("{} in {:.1f} s: {:.0f} times faster than real time\ntrace {:016x}\n",
             FormatDuration(outcome.virtual_time), elapsed_s,
             Seconds(outcome.virtual_time) / elapsed_s, outcome.trace_hash);
  return outcome.violation ? 1 : 0;
}

int RunSwarm(const Options& options) {
  const auto start = SteadyClock::now();
  fmt::print("seeds {} to {}\n", options.seed, options.seed + options.swarm - 1);
  Duration virtual_time{};
  std::uint64_t failed = 0;
  std::uint64_t changes = 0;
  int deaths = 0;
  Duration slowest{};
  std::uint64_t slowest_seed = 0;
  std::map<std::string, std::uint64_t> rules;
  for (std::uint64_t seed = options.seed; seed < options.seed + options.swarm; ++seed) {
    const Outcome outcome = RunOne(options, seed);
    virtual_time += outcome.virtual_time;
    changes += outcome.changes_sent;
    deaths += outcome.deaths;
    if (outcome.convergence > slowest) {
      slowest = outcome.convergence;
      slowest_seed = seed;
    }
    if (!outcome.violation) continue;
    ++failed;
    ++rules[outcome.violation->rule];
    if (options.first) break;
  }
  const double elapsed_s = SecondsSince(start);
  fmt::print("{} worlds, {} failed; {} changes, {} deaths; slowest convergence {} (seed {})\n",
             options.swarm, failed, changes, deaths, FormatDuration(slowest), slowest_seed);
  for (const auto& [rule, count] : rules) fmt::print("  {}: {}\n", rule, count);
  fmt::print("{} in {:.1f} s: {:.0f} times faster than real time\n", FormatDuration(virtual_time),
             elapsed_s, Seconds(virtual_time) / elapsed_s);
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace director::simulation

int main(int argc, char* argv[]) {
  director::simulation::Options options;
  CLI::App app("Months of a fleet's life in virtual time, from one seed");
  app.add_option("--seed", options.seed, "First seed")->capture_default_str();
  app.add_option("--devices", options.devices,
                 "A fleet of this size with production's settings; without it a small world");
  app.add_option("--days", options.days, "Days with faults, with --devices")->capture_default_str();
  app.add_option("--swarm", options.swarm, "Run this many seeds in a row");
  app.add_flag("--first", options.first, "With --swarm: stop at the first failure");
  app.add_flag("--trace", options.trace, "Print every event");
  CLI11_PARSE(app, argc, argv);
  return options.swarm > 0 ? director::simulation::RunSwarm(options)
                           : director::simulation::RunSingle(options);
}
