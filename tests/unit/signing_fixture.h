#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

/// Runs the `openssl` command on files in a folder of its own: the independent opinion on what the
/// module makes, and the maker of what it reads.
namespace director::signing_test {

struct CommandOutcome {
  int exit_code = -1;
  std::string output;  ///< Standard output and standard error, mixed.
};

/// A new folder, removed with everything in it at the end.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "signing-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = pattern;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  std::string Path(const std::string& name) const { return (path_ / name).string(); }

  void Write(const std::string& name, std::string_view bytes) const {
    std::ofstream out(Path(name), std::ios::binary);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!out.flush()) throw std::runtime_error("cannot write " + Path(name));
  }

  std::string Read(const std::string& name) const {
    std::ifstream in(Path(name), std::ios::binary);
    if (!in) throw std::runtime_error("cannot read " + Path(name));
    std::ostringstream bytes;
    bytes << in.rdbuf();
    return bytes.str();
  }

  /// Runs `openssl ARGUMENTS` in the folder; whether it succeeds is for the caller to judge.
  CommandOutcome Try(const std::string& arguments) const {
    const std::string command =
        "cd '" + path_.string() + "' && openssl " + arguments + " 2>&1 </dev/null";
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

 private:
  std::filesystem::path path_;
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
