#include "director/secret_source.h"

#include <fmt/core.h>

#include <filesystem>
#include <optional>
#include <utility>

#include "base/log.h"
#include "base/log_keys.h"
#include "director/files.h"

namespace director {

struct SecretSource::State {
  std::string path;
  std::mutex mutex;
  std::optional<Secret> value;
  std::filesystem::file_time_type read_at{};
};

SecretSource SecretSource::FromValue(Secret value) {
  SecretSource source;
  source.state_ = std::make_shared<State>();
  source.state_->value = std::move(value);
  return source;
}

SecretSource SecretSource::FromFile(std::string path) {
  SecretSource source;
  source.state_ = std::make_shared<State>();
  source.state_->path = std::move(path);
  return source;
}

std::string SecretSource::file() const { return state_ == nullptr ? std::string() : state_->path; }

std::optional<Timestamp> SecretSource::changed_at() const {
  if (state_ == nullptr) return std::nullopt;
  const std::lock_guard lock(state_->mutex);
  if (state_->path.empty() || !state_->value) return std::nullopt;
  return std::chrono::time_point_cast<Duration>(std::chrono::file_clock::to_sys(state_->read_at));
}

Result<Secret> SecretSource::Get() const {
  if (state_ == nullptr) return Secret();
  const std::lock_guard lock(state_->mutex);
  if (state_->path.empty()) return *state_->value;
  std::error_code error;
  const auto changed_at = std::filesystem::last_write_time(state_->path, error);
  if (!error && state_->value && changed_at == state_->read_at) return *state_->value;
  Result<std::string> text = ReadSmallFile(state_->path, 64 * 1024);
  if (text && text->ends_with('\n')) {
    text->pop_back();
    if (text->ends_with('\r')) text->pop_back();
  }
  if (text && !text->empty()) {
    state_->value = Secret(*text);
    state_->read_at = changed_at;
    return *state_->value;
  }
  const std::string problem = text ? "the file is empty" : text.error().message;
  if (!state_->value)
    return Fail(ErrorKind::kInvalid, fmt::format("{}: {}", state_->path, problem));
  Log(LogLevel::kWarning, "secret file cannot be read; the last value stays in force",
      {{log_key::kPath, state_->path}, {log_key::kReason, problem}});
  return *state_->value;
}

}  // namespace director
