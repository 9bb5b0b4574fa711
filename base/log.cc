#include "base/log.h"

#include <fmt/core.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <utility>

#include "base/clock.h"
#include "base/text.h"
#include "base/time.h"

namespace director {
namespace {

constexpr std::size_t kFieldSizeMaxBytes = 512;

std::atomic<LogLevel> least_level{LogLevel::kInfo};
std::atomic<LogFormat> log_format{LogFormat::kLogfmt};

std::function<void(std::string_view)>& Sink() {
  static std::function<void(std::string_view)> sink;
  return sink;
}

std::string_view LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "error";
}

std::string Quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted.push_back('\\');
    quoted.push_back(c);
  }
  quoted.push_back('"');
  return quoted;
}

bool NeedsQuotes(std::string_view text) {
  return text.empty() || text.find_first_of(" =\"\\") != std::string_view::npos;
}

spdlog::logger& Logger() {
  static const std::shared_ptr<spdlog::logger> logger = [] {
    auto made = std::make_shared<spdlog::logger>("director",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%v");
    made->set_level(spdlog::level::trace);
    made->flush_on(spdlog::level::trace);
    return made;
  }();
  return *logger;
}

}  // namespace

void ConfigureLog(LogLevel level, LogFormat format) {
  least_level.store(level);
  log_format.store(format);
}

void SetLogSink(std::function<void(std::string_view line)> sink) { Sink() = std::move(sink); }

std::string RenderLogLine(LogFormat format, std::string_view time, LogLevel level,
                          std::string_view message, std::initializer_list<LogField> fields) {
  const bool json = format == LogFormat::kJson;
  std::string line =
      json ? fmt::format(R"({{"time":"{}","level":"{}","message":{})", time, LevelName(level),
                         Quoted(message))
           : fmt::format("time={} level={} message={}", time, LevelName(level), Quoted(message));
  for (const LogField& field : fields) {
    const std::string value = Printable(field.value, kFieldSizeMaxBytes);
    if (json) {
      line += fmt::format(R"(,"{}":{})", field.key, Quoted(value));
    } else {
      line += fmt::format(" {}={}", field.key, NeedsQuotes(value) ? Quoted(value) : value);
    }
  }
  if (json) line += "}";
  return line;
}

void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  if (Sink()) return Sink()(RenderLogLine(log_format.load(), "", level, message, fields));
  if (level < least_level.load()) return;
  const std::string now = FormatTime(SystemClock().Now());
  Logger().log(spdlog::level::info, "{}",
               RenderLogLine(log_format.load(), now, level, message, fields));
}

}  // namespace director
