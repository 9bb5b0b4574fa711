#include <fmt/core.h>

#include <algorithm>
#include <cstdio>

#include "base/clock.h"
#include "base/log.h"
#include "director/cli_parts.h"
#include "director/mdmdirector_import.h"
#include "director/open_store.h"
#include "store/mdmdirector_database.h"

namespace director {
namespace {

constexpr int kExitDone = 0;
constexpr int kExitProblems = 1;
constexpr int kExitChanges = 2;
constexpr std::size_t kImportConnections = 2;

/// The MDM server at which the devices are enrolled.
Result<UpstreamName> ChooseUpstream(const Config& config, const std::string& wanted) {
  std::string names;
  for (const UpstreamConfig& server : config.upstreams) {
    if (server.name.value() == wanted) return server.name;
    names += (names.empty() ? "" : ", ") + server.name.value();
  }
  if (wanted.empty() && config.upstreams.size() == 1) return config.upstreams.front().name;
  return Fail(ErrorKind::kInvalid,
              fmt::format("--upstream must name the MDM server of the devices: {}", names));
}

Result<std::unique_ptr<MdmDirectorDatabase>> OpenSource(const ImportOptions& options) {
  if (!IsPostgresUrl(options.from)) {
    return Fail(ErrorKind::kInvalid, "--from must be a URL such as postgresql://USER@HOST/NAME");
  }
  PostgresSettings settings;
  settings.url = options.from;
  if (!options.from_password_file.empty()) {
    settings.password = [source = SecretSource::FromFile(options.from_password_file)] {
      return source.Get();
    };
  }
  return OpenMdmDirectorDatabase(settings);
}

void PrintLine(const std::string& line) { std::fputs((line + "\n").c_str(), stdout); }

int ExitCodeOf(const mdmdirector::ImportOutcome& outcome, mdmdirector::ImportMode mode) {
  if (outcome.problems > 0 || outcome.disturbed > 0) return kExitProblems;
  const bool waits = mode == mdmdirector::ImportMode::kPlan && outcome.changes > 0;
  return waits ? kExitChanges : kExitDone;
}

}  // namespace

Result<int> RunImport(const ImportOptions& options, const std::vector<std::string>& environment) {
  const Result<Config> config = LoadConfig(options.config, environment);
  if (!config) return Fail(config.error());
  ConfigureLog(config->log_level, config->log_format);
  mdmdirector::ImportSettings settings;
  settings.mode = options.plan ? mdmdirector::ImportMode::kPlan : mdmdirector::ImportMode::kImport;
  settings.on_difference =
      options.replace ? mdmdirector::OnDifference::kReplace : mdmdirector::OnDifference::kKeep;
  settings.decision = config->settings;
  const Result<UpstreamName> upstream = ChooseUpstream(*config, options.upstream);
  if (!upstream) return Fail(upstream.error());
  settings.upstream = *upstream;
  const Result<Secrets> secrets = MakeSecrets(*config);
  if (!secrets) return Fail(secrets.error());
  if (options.with_pending) settings.secrets = &*secrets;
  settings.proposals = config->proposals;
  const auto source = OpenSource(options);
  if (!source) return Fail(source.error());
  const auto store = OpenConfiguredStore(*config, kImportConnections);
  if (!store) return Fail(store.error());
  const SystemClock clock;
  const auto outcome = mdmdirector::Import(**source, **store, clock, settings, PrintLine);
  if (!outcome) return Fail(outcome.error());
  return ExitCodeOf(*outcome, settings.mode);
}

}  // namespace director
