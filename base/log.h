#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>

namespace director {

enum class LogLevel { kDebug, kInfo, kWarning, kError };
enum class LogFormat { kLogfmt, kJson };

/// One `key=value` of a log line. Keys come from `base/log_keys.h`; values are made printable and
/// cut to 512 bytes.
struct LogField {
  std::string_view key;
  std::string value;

  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  LogField(std::string_view k, std::int64_t v) : key(k), value(std::to_string(v)) {}
};

/// Writes one line to standard error: time, level, a constant message, then the fields.
/// Thread-safe. Raw payloads and secrets never go in.
void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});

/// Sets the least level that is written and the format; call once at start. Default: kInfo,
/// kLogfmt.
void ConfigureLog(LogLevel level, LogFormat format);

/// Hands every line to `sink` instead of writing it, whatever its level; empty: standard error
/// again. Not while other threads log. For simulations, which look at every line.
void SetLogSink(std::function<void(std::string_view line)> sink);

/// Renders one line as `Log` would, without time; the seam for tests.
std::string RenderLogLine(LogFormat format, std::string_view time, LogLevel level,
                          std::string_view message, std::initializer_list<LogField> fields);

}  // namespace director
