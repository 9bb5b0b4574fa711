#include <string>
#include <vector>

#include "director/cli.h"
#include "tests/fuzz/properties.h"
#include "tests/fuzz/target.h"

// The command line, one argument a line: verbs that talk to a service, which is nowhere. Verbs and
// flags that touch files or other addresses are left out.
namespace director::fuzz_command_line {
namespace {

constexpr std::size_t kArgumentsMax = 16;

bool IsTame(const std::vector<std::string>& arguments) {
  static const std::vector<std::string> kVerbs = {"devices", "push",    "reconcile", "release",
                                                  "retry",   "explain", "events",    "profiles"};
  if (arguments.size() < 2 ||
      std::find(kVerbs.begin(), kVerbs.end(), arguments[1]) == kVerbs.end()) {
    return false;
  }
  return std::none_of(arguments.begin(), arguments.end(), [](const std::string& argument) {
    return argument.starts_with("--url") || argument.starts_with("--token") ||
           argument.starts_with("--ca") || argument == "put";
  });
}

}  // namespace

FUZZ_TARGET(command_line) {
  std::vector<std::string> arguments = {"director"};
  while (!input.empty() && arguments.size() <= kArgumentsMax) {
    arguments.emplace_back(fuzz::TakeLine(input));
  }
  if (!IsTame(arguments)) return;
  const int code = RunCommandLine(arguments, {"DIRECTOR_URL=nowhere", "DIRECTOR_TOKEN=x"});
  INVARIANT(code >= 0 && code <= 2);
}

}  // namespace director::fuzz_command_line
