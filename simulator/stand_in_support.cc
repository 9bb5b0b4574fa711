#include "simulator/stand_in_support.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/text.h"

namespace director {
namespace {

int HexValue(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

enum class Plus { kIsPlus, kIsSpace };

std::optional<std::string> DecodePercent(std::string_view text, Plus plus) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus == Plus::kIsSpace) {
      decoded.push_back(' ');
    } else if (text[i] != '%') {
      decoded.push_back(text[i]);
    } else {
      const int high = i + 2 < text.size() ? HexValue(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? HexValue(text[i + 2]) : -1;
      if (high < 0 || low < 0) return std::nullopt;
      decoded.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    }
  }
  return decoded;
}

std::map<std::string, std::string> ParseQuery(std::string_view text) {
  std::map<std::string, std::string> query;
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(pair.size() + 1, text.size()));
    const std::size_t equals = pair.find('=');
    const auto key = DecodePercent(pair.substr(0, equals), Plus::kIsSpace);
    const auto value = equals == std::string_view::npos
                           ? std::optional<std::string>("")
                           : DecodePercent(pair.substr(equals + 1), Plus::kIsSpace);
    // emplace keeps the first of repeated parameters.
    if (key && !key->empty() && value) query.emplace(*key, *value);
  }
  return query;
}

}  // namespace

CoreAnswer TextAnswer(int status, std::string_view line) {
  return {status, "text/plain; charset=utf-8", std::string(line) + "\n"};
}

CoreAnswer EmptyAnswer(int status) { return {status, "", ""}; }

CoreAnswer PlistAnswer(std::string plist) {
  return {200, "text/xml; charset=utf-8", std::move(plist)};
}

std::string BytesAt(const PlistDict& dict, std::string_view key) {
  const PlistValue* value = dict.Find(key);
  const PlistData* data = value == nullptr ? nullptr : value->AsData();
  return data == nullptr ? std::string() : data->bytes;
}

std::string WithBase64(std::string json, std::string_view place, std::string_view bytes) {
  return json.insert(json.find(place) + place.size() - 1, EncodeBase64(bytes));
}

std::string RenderCreatedAt(Timestamp now) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  std::string text = FormatTime(now);
  text.pop_back();
  return fmt::format("{}.{:03}Z", text, (now - seconds).count());
}

std::optional<ApiTarget> ParseApiTarget(std::string_view path) {
  const std::size_t question = path.find('?');
  std::optional<std::string> decoded = DecodePercent(path.substr(0, question), Plus::kIsPlus);
  if (!decoded) return std::nullopt;
  ApiTarget target;
  target.path = std::move(*decoded);
  if (question != std::string_view::npos) target.query = ParseQuery(path.substr(question + 1));
  return target;
}

void EmitEvent(const std::string& body, const EventFaults& faults, const CoreSinks& sinks,
               RandomSource& random, CoreCounters& counters) {
  if (random.Fraction() < faults.drop) {
    ++counters.events_dropped;
    return;
  }
  const int copies = random.Fraction() < faults.duplicate ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    ++counters.events;
    if (sinks.webhook) sinks.webhook(body);
  }
}

}  // namespace director
