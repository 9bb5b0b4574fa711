#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "bench/bench.h"

namespace director::bench {
namespace {
constexpr int kTurns = 3;
}  // namespace

Scratch::Scratch() {
  std::string pattern = "director-bench-XXXXXX";
  if (mkdtemp(pattern.data()) != nullptr) folder_ = pattern;
}

Scratch::~Scratch() {
  std::error_code ignored;  // what stays behind is a scratch folder
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

double Rate(double seconds, const std::function<bool()>& call) {
  const Stopwatch watch;
  std::size_t calls = 0;
  while (watch.seconds() < seconds && call()) ++calls;
  return static_cast<double>(calls) / watch.seconds();
}

Result<Line> MeasureByTurns(Line line, const std::function<Result<double>()>& floor,
                            const std::function<Result<double>()>& figure) {
  std::vector<Line> turns;
  for (int i = 0; i < kTurns; ++i) {
    const Result<double> low = floor();
    if (!low) return Fail(low.error());
    const Result<double> measured = figure();
    if (!measured) return Fail(measured.error());
    line.floor = *low;
    line.figure = *measured;
    line.ratio = *measured / *low;
    turns.push_back(line);
  }
  std::sort(turns.begin(), turns.end(),
            [](const Line& a, const Line& b) { return a.ratio < b.ratio; });
  return turns[turns.size() / 2];
}

double PeakMiB() {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) / 1024;
  }
  return 0;
}

}  // namespace director::bench
