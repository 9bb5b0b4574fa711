#include <fmt/core.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "base/log.h"
#include "bench/bench.h"

namespace director::bench {
namespace {

const std::map<std::string, Bench>& Benches() {
  static const std::map<std::string, Bench> benches = {{"decisions", DecisionBench},
                                                       {"ingest", IngestBench},
                                                       {"memory", MemoryBench},
                                                       {"signatures", SignatureBench}};
  return benches;
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
  const Result<std::vector<Line>> lines = Benches().at(name)(options);
  if (!lines) {
    fmt::print(stderr, "{}: {}\n", name, lines.error().message);
    return 1;
  }
  bool all = true;
  for (const Line& line : *lines) all = Print(line) && all;
  return all ? 0 : 1;
}

/// Each bench in a process of its own, so that none measures another's memory or warm caches.
int RunApart(const std::string& name, const Options& options) {
  const pid_t child = fork();
  if (child == 0) _exit(RunOne(name, options));
  int status = 1;
  if (child < 0 || waitpid(child, &status, 0) != child) return 1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

template <typename T>
bool ReadNumber(const std::string& text, T& value) {
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  return ec == std::errc() && end == text.data() + text.size() && value > 0;
}

int Usage() {
  fmt::print(stderr, "usage: director_bench [NAME...] [--devices N] [--seconds S]; names:");
  for (const auto& [name, bench] : Benches()) fmt::print(stderr, " {}", name);
  fmt::print(stderr, "\n");
  return 2;
}

int Main(const std::vector<std::string>& arguments) {
  Options options;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const bool has_value = i + 1 < arguments.size();
    if (arguments[i] == "--devices" && has_value) {
      if (!ReadNumber(arguments[++i], options.devices)) return Usage();
    } else if (arguments[i] == "--seconds" && has_value) {
      if (!ReadNumber(arguments[++i], options.seconds)) return Usage();
    } else if (Benches().contains(arguments[i])) {
      names.push_back(arguments[i]);
    } else {
      return Usage();
    }
  }
  if (names.empty()) {
    for (const auto& [name, bench] : Benches()) names.push_back(name);
  }
  ConfigureLog(LogLevel::kError, LogFormat::kLogfmt);
  int failed = 0;
  for (const std::string& name : names) failed |= RunApart(name, options);
  return failed;
}

}  // namespace
}  // namespace director::bench

int main(int argc, char* argv[]) { return director::bench::Main({argv + 1, argv + argc}); }
