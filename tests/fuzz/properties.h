#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/invariant.h"
#include "base/text.h"
#include "mdm/event.h"
#include "mdm/plist.h"
#include "upstream/answer.h"

/// What must hold for everything that a decoder lets through or refuses.
namespace director::fuzz {

inline constexpr std::size_t kRefusalSizeMaxBytes = 1024;

/// One line of UTF-8 without control characters.
inline bool IsPrintable(std::string_view text) { return Printable(text, text.size()) == text; }

/// A refusal can be shown to people and kept in a log, whatever was refused.
inline void CheckRefusal(const Error& error) {
  INVARIANT(!error.message.empty());
  INVARIANT(error.message.size() <= kRefusalSizeMaxBytes);
  INVARIANT(IsPrintable(error.message));
  INVARIANT(error.field.size() <= kRefusalSizeMaxBytes);
  INVARIANT(IsPrintable(error.field));
}

/// What was decoded, encodes to XML that decodes to the same, and to the same bytes again.
inline void CheckPlistRoundTrip(const PlistValue& value) {
  const std::string canonical = CanonicalPlistBytes(value);
  const std::string xml = EncodePlistXml(value);
  const Result<PlistValue> again = DecodePlist(xml);
  INVARIANT(again.has_value());
  INVARIANT(CanonicalPlistBytes(*again) == canonical);
  INVARIANT(EncodePlistXml(*again) == xml);
}

/// The id travels in paths of upstream APIs, in logs, and as a key of the store.
inline void CheckChannel(const Channel& channel) {
  const std::string& id = channel.enrollment_id.value();
  const std::string& device = channel.device_id.value();
  INVARIANT(!device.empty());
  INVARIANT(id.size() <= kEnrollmentIdSizeMaxBytes);
  INVARIANT(IsPrintable(id));
  INVARIANT(IsAddressable(channel.enrollment_id));
  INVARIANT(id.find_first_of("/\\,\"'`") == std::string::npos);
  INVARIANT(device.find(':') == std::string::npos);
  INVARIANT(channel.udid.empty() || channel.udid == device);
  INVARIANT(IsUserChannel(channel.type) == !channel.user_id.empty());
  INVARIANT(id == (channel.user_id.empty() ? device : device + ":" + channel.user_id));
  INVARIANT(channel.user_id.find(':') == std::string::npos);
}

/// The parts of an input that holds several messages: a line of `===` stands between two.
inline std::vector<std::string_view> SplitParts(std::string_view input) {
  static constexpr std::string_view kLine = "\n===\n";
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t end = input.find(kLine);
    parts.push_back(input.substr(0, end));
    if (end == std::string_view::npos) return parts;
    input.remove_prefix(end + kLine.size());
  }
}

/// Takes the first line off `text`; the line end is gone from both.
inline std::string_view TakeLine(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

/// Takes the first word off `line`.
inline std::string_view TakeWord(std::string_view& line) {
  const std::size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

}  // namespace director::fuzz
