#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "bench/bench.h"

namespace director::bench {

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

double PeakMiB() {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) / 1024;
  }
  return 0;
}

}  // namespace director::bench
