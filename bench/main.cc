#include <fmt/core.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "base/log.h"
#include "bench/bench.h"

namespace director::bench {
namespace {

const std::map<std::string, Bench>& Benches() {
  static const std::map<std::string, Bench> benches = {
      {"changed", ChangedBench}, {"decisions", DecisionBench},  {"enrollment", EnrollmentBench},
      {"growth", GrowthBench},   {"ingest", IngestBench},       {"pass", PassBench},
      {"rollout", RolloutBench}, {"signatures", SignatureBench}};
  return benches;
}

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const auto& [name, bench] : Benches()) names.push_back(name);
  return names;
}

bool Reached(const Line& line) {
  return line.smaller_is_better ? line.ratio <= line.target : line.ratio >= line.target;
}

bool Print(const Line& line) {
  fmt::print("{:<44} {:>12.1f} {:<12} floor {:>12.1f} {:<26} ratio {:>6.2f}  {} {:.2f}  {}\n",
             line.name, line.figure, line.unit, line.floor, line.floor_name, line.ratio,
             line.smaller_is_better ? "at most" : "at least", line.target,
             Reached(line) ? "ok" : "SHORT");
  std::fflush(stdout);
  return Reached(line);
}

int RunOne(const std::string& name, const Options& options) {
  bool all = true;
  const Status done =
      Benches().at(name)(options, [&](const Line& line) { all = Print(line) && all; });
  if (!done) fmt::print(stderr, "{}: {}\n", name, done.error().message);
  return done && all ? 0 : 1;
}

/// Each bench in a process of its own, so that none measures another's memory or warm caches.
int RunApart(const std::string& name, const Options& options) {
  const pid_t child = fork();
  if (child == 0) _exit(RunOne(name, options));
  int status = 1;
  if (child < 0 || waitpid(child, &status, 0) != child) return 1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int Main(int argc, char* argv[]) {
  Options options;
  std::vector<std::string> names;
  CLI::App cli("Figures of Director on this machine, each beside a floor of the same run",
               "director_bench");
  cli.add_option("names", names, "Which; all without a name")->check(CLI::IsMember(Names()));
  cli.add_option("--devices", options.devices, "In place of each bench's own number")
      ->check(CLI::PositiveNumber);
  cli.add_option("--seconds", options.seconds, "For each timed part")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  cli.add_option("--database", options.database,
                 "URL of a PostgreSQL server where databases may be made, or sqlite")
      ->envname("DIRECTOR_TEST_POSTGRES")
      ->required();
  CLI::Option* authority =
      cli.add_option("--authority", options.authority_file,
                     "PEM file of the authority that this NanoMDM trusts (-ca), with its key")
          ->check(CLI::ExistingFile);
  cli.add_option("--nanomdm", options.nanomdm_url,
                 "URL of a NanoMDM to throw away, started with -api bench: rollout takes it in "
                 "place of the stand-in")
      ->needs(authority);
  CLI11_PARSE(cli, argc, argv);
  if (options.database == "sqlite") options.database.clear();
  if (names.empty()) names = Names();
  ConfigureLog(LogLevel::kError, LogFormat::kLogfmt);
  int failed = 0;
  for (const std::string& name : names) failed |= RunApart(name, options);
  return failed;
}

}  // namespace
}  // namespace director::bench

int main(int argc, char* argv[]) { return director::bench::Main(argc, argv); }
