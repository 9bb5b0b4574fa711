#include <fmt/core.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <ctime>

#include "base/clock.h"
#include "base/log.h"
#include "director/app.h"
#include "director/cli_parts.h"

namespace director {
namespace {

sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  return signals;
}

}  // namespace

void BlockStopSignals() {
  const sigset_t signals = StopSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  // OpenSSL writes to sockets without MSG_NOSIGNAL.
  std::signal(SIGPIPE, SIG_IGN);
  // A file that may not grow (ulimit -f, LimitFSIZE=) then fails the write, as a full disk does.
  std::signal(SIGXFSZ, SIG_IGN);
}

void WaitForStopSignal() {
  const sigset_t signals = StopSignals();
  int signal = 0;
  while (sigwait(&signals, &signal) != 0) {
  }
}

bool WaitForStopSignal(Duration timeout) {
  const sigset_t signals = StopSignals();
  timespec wait{};
  wait.tv_sec = static_cast<time_t>(timeout.count() / 1000);
  wait.tv_nsec = static_cast<long>(timeout.count() % 1000) * 1'000'000;
  int signal = -1;
  do {
    signal = sigtimedwait(&signals, nullptr, &wait);
  } while (signal < 0 && errno == EINTR);
  return signal > 0;
}

Result<Config> LoadConfig(const ServeOptions& options,
                          const std::vector<std::string>& environment) {
  RawConfig file;
  if (!options.config_file.empty()) {
    Result<RawConfig> loaded = LoadConfigFile(options.config_file);
    if (!loaded) return Fail(loaded.error());
    file = std::move(*loaded);
  }
  const Result<RawOptions> variables = ConfigFromEnvironment(environment);
  if (!variables) return Fail(variables.error());
  Result<Config> config = MakeConfig(file, *variables, options.flags);
  if (options.check_config) {
    std::fputs(DescribeConfig(file, *variables, options.flags).c_str(), stdout);
  }
  if (config) return config;
  return Fail(ErrorKind::kInvalid, "the configuration cannot be used:\n" + config.error().message);
}

Status RunServe(const ServeOptions& options, const std::vector<std::string>& environment) {
  const Result<Config> config = LoadConfig(options, environment);
  if (!config) return Fail(config.error());
  if (options.check_config) return {};
  ConfigureLog(config->log_level, config->log_format);
  BlockStopSignals();
  const SystemClock clock;
  const Result<std::unique_ptr<App>> app = App::Start(*config, clock);
  if (!app) return Fail(app.error());
  WaitForStopSignal();
  Log(LogLevel::kInfo, "stopping: finishing what is in hand");
  return {};
}

}  // namespace director
