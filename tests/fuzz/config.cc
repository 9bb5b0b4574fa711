#include "director/config.h"

#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "tests/fuzz/properties.h"
#include "tests/fuzz/target.h"

// Configuration: the first part of an input is the YAML file, the second the environment, one
// variable a line.
namespace director::fuzz_config {
namespace {

/// A file in memory.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view content) : fd_(memfd_create("config", 0)) {
    INVARIANT(fd_ >= 0);
    INVARIANT(write(fd_, content.data(), content.size()) == static_cast<ssize_t>(content.size()));
  }
  ~MemoryFile() { close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

/// Several problems are several lines.
void CheckProblems(const Error& error) {
  INVARIANT(!error.message.empty());
  std::string_view lines = error.message;
  while (!lines.empty()) {
    const std::string_view line = fuzz::TakeLine(lines);
    INVARIANT(line.size() <= fuzz::kRefusalSizeMaxBytes);
    INVARIANT(fuzz::IsPrintable(line));
  }
}

/// Settings that name a file with a secret would make us read any file.
bool NamesAFile(const RawOptions& options) {
  for (const auto& [key, value] : options) {
    if (key.ends_with("_file")) return true;
  }
  return false;
}

bool NamesAFile(const RawConfig& config) {
  for (const RawOptions& upstream : config.upstreams) {
    if (NamesAFile(upstream)) return true;
  }
  return NamesAFile(config.options);
}

void CheckSettings(const Config& config) {
  INVARIANT(config.listen_port >= 0 && config.listen_port <= 65535);
  INVARIANT(!config.listen_host.empty());
  INVARIANT(!config.database.empty());
  INVARIANT(config.workers >= 1 && config.workers <= 64);
  INVARIANT(config.api_token.is_set() || config.api_password.is_set());
  INVARIANT(!config.upstreams.empty());
  INVARIANT(config.settings.awake_window > Duration::zero());
  for (const UpstreamConfig& upstream : config.upstreams) {
    INVARIANT(!upstream.name.empty() && upstream.name.value().size() <= 32);
    const WebhookAuth& auth = upstream.webhook;
    INVARIANT(auth.unauthenticated != (auth.hmac_key.is_set() || auth.basic_password.is_set() ||
                                       auth.secret_path.is_set()));
  }
}

/// What `--check-config` prints can be used as a file; secrets aside, and bytes that no YAML can
/// hold, it says the same.
void CheckDescription(const RawConfig& file, const RawOptions& environment) {
  const std::string text = DescribeConfig(file, environment, {});
  const MemoryFile described(text);
  const Result<RawConfig> again = LoadConfigFile(described.path());
  INVARIANT(again.has_value());
  INVARIANT(again->upstreams.size() == file.upstreams.size());
  for (const auto& [key, value] : file.options) {
    const std::string& described_value = again->options.at(key);
    if (environment.contains(key) || described_value == "(set)" || !IsValidUtf8(value)) continue;
    INVARIANT(described_value == value);
  }
}

}  // namespace

FUZZ_TARGET(config) {
  const std::vector<std::string_view> parts = fuzz::SplitParts(input);
  const MemoryFile file(parts[0]);
  const Result<RawConfig> raw = LoadConfigFile(file.path());
  std::vector<std::string> variables;
  for (std::string_view rest = parts.size() > 1 ? parts[1] : ""; !rest.empty();) {
    variables.emplace_back(fuzz::TakeLine(rest));
  }
  const Result<RawOptions> environment = ConfigFromEnvironment(variables);
  if (!raw) CheckProblems(raw.error());
  if (!environment) CheckProblems(environment.error());
  if (!raw || !environment || NamesAFile(*raw) || NamesAFile(*environment)) return;
  CheckDescription(*raw, *environment);
  const Result<Config> config = MakeConfig(*raw, *environment, {});
  if (!config) return CheckProblems(config.error());
  CheckSettings(*config);
}

}  // namespace director::fuzz_config
