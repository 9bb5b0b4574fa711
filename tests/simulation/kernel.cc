#include "tests/simulation/kernel.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

namespace director::simulation {

void Kernel::At(Timestamp at, std::function<void()> action) {
  queue_.push_back({std::max(at, now_), planned_++, std::move(action)});
  std::push_heap(queue_.begin(), queue_.end());
}

void Kernel::RunUntil(Timestamp end) {
  while (!stopped_ && !queue_.empty() && queue_.front().at <= end) {
    std::pop_heap(queue_.begin(), queue_.end());
    const Planned planned = std::move(queue_.back());
    queue_.pop_back();
    // An action that let time pass itself leaves others behind: they run late, as on a busy thread.
    now_ = std::max(now_, planned.at);
    planned.action();
  }
  if (!stopped_) now_ = std::max(now_, end);
}

void Kernel::Trace(std::string_view line) {
  const auto mix = [this](std::uint64_t byte) {
    trace_hash_ = (trace_hash_ ^ byte) * 0x100000001b3;
  };
  const auto ms = static_cast<std::uint64_t>(ToUnixMs(now_));
  for (int shift = 0; shift < 64; shift += 8) mix((ms >> shift) & 0xff);
  for (const char c : line) mix(static_cast<unsigned char>(c));
  ++trace_lines_;
  if (prints_) fmt::print("{}\n", FormatLine({now_, std::string(line)}));
  recent_.push_back({now_, std::string(line)});
  if (recent_.size() > kRecentTraceMax) recent_.pop_front();
}

std::vector<std::string> Kernel::RecentTrace() const {
  std::vector<std::string> lines;
  for (const TraceLine& line : recent_) lines.push_back(FormatLine(line));
  return lines;
}

std::string Kernel::FormatLine(const TraceLine& line) {
  const auto ms = static_cast<std::uint64_t>(ToUnixMs(line.at)) % 1000;
  return fmt::format("{}.{:03}  {}", FormatTime(line.at), ms, line.text);
}

}  // namespace director::simulation
