#pragma once

#include <sys/wait.h>

#include <cstdio>
#include <stdexcept>
#include <string>
#include <string_view>

#include "tests/support/temp_folder.h"

/// Runs the `openssl` command on files in a folder of its own: the independent opinion on what the
/// module makes, and the maker of what it reads.
namespace director::signing_test {

struct CommandOutcome {
  int exit_code = -1;
  std::string output;  ///< Standard output and standard error, mixed.
};

/// A folder with the `openssl` command in it.
class ScratchFolder : public test::TempFolder {
 public:
  /// Runs `openssl ARGUMENTS` in the folder; whether it succeeds is for the caller to judge.
  CommandOutcome Try(const std::string& arguments) const {
    const std::string command =
        "cd '" + path().string() + "' && openssl " + arguments + " 2>&1 </dev/null";
    std::FILE* pipe = popen(command.c_str(), "r");
    if (pipe == nullptr) throw std::runtime_error("popen failed");
    CommandOutcome outcome;
    char buffer[4096];
    while (const std::size_t size = std::fread(buffer, 1, sizeof(buffer), pipe)) {
      outcome.output.append(buffer, size);
    }
    const int status = pclose(pipe);
    outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return outcome;
  }

  /// As `Try`, but a failure ends the test.
  std::string Openssl(const std::string& arguments) const {
    CommandOutcome outcome = Try(arguments);
    if (outcome.exit_code != 0) {
      throw std::runtime_error("openssl " + arguments + " failed: " + outcome.output);
    }
    return outcome.output;
  }
};

inline int CountOf(std::string_view text, std::string_view part) {
  int count = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos;
       at = text.find(part, at + part.size())) {
    ++count;
  }
  return count;
}

}  // namespace director::signing_test
