#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "tests/fuzz/target.h"

// Runs one target on every file of its corpus, whole and cut short: `fuzz_replay TARGET FOLDER`.
// Whatever is wrong aborts; the last line then names the input.

namespace director::fuzz {
namespace {

std::map<std::string, Target>& Targets() {
  static std::map<std::string, Target> targets;
  return targets;
}

std::vector<std::filesystem::path> FilesOf(const std::string& folder) {
  std::vector<std::filesystem::path> files;
  if (!std::filesystem::is_directory(folder)) return files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string ReadAll(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// The input lies alone in its memory, so that a sanitizer sees a read past its end.
void Replay(Target target, const std::string& name, std::string_view input) {
  std::printf("%s, %zu bytes\n", name.c_str(), input.size());
  std::fflush(stdout);
  const std::vector<char> copy(input.begin(), input.end());
  RunTarget(target, std::string_view(copy.data(), copy.size()));
}

void ReplayFile(Target target, const std::filesystem::path& path) {
  const std::string input = ReadAll(path);
  const std::string name = path.filename().string();
  Replay(target, name, input);
  const std::array<std::size_t, 4> cuts = {input.size() / 4, input.size() / 2,
                                           input.size() - input.size() / 8,
                                           input.size() - std::min<std::size_t>(1, input.size())};
  for (const std::size_t cut : cuts) Replay(target, name, std::string_view(input).substr(0, cut));
}

int Main(const std::vector<std::string>& arguments) {
  const auto found = arguments.size() == 3 ? Targets().find(arguments[1]) : Targets().end();
  if (found == Targets().end()) {
    std::fputs("usage: fuzz_replay TARGET FOLDER; targets:\n", stderr);
    for (const auto& [name, target] : Targets()) std::fprintf(stderr, "  %s\n", name.c_str());
    return 2;
  }
  const std::vector<std::filesystem::path> files = FilesOf(arguments[2]);
  if (files.empty()) {
    std::fprintf(stderr, "%s holds no corpus\n", arguments[2].c_str());
    return 1;
  }
  Replay(found->second, "(empty)", {});
  for (const std::filesystem::path& file : files) ReplayFile(found->second, file);
  return 0;
}

}  // namespace

Registration::Registration(const char* name, Target target) { Targets().emplace(name, target); }

}  // namespace director::fuzz

int main(int argc, char** argv) {
  return director::fuzz::Main(std::vector<std::string>(argv, argv + argc));
}
