#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "base/text.h"
#include "mdm/plist.h"

namespace director {
namespace {

constexpr std::size_t kKeyShownMaxBytes = 80;

/// Pointers to the entries, sorted bytewise by key.
std::vector<const PlistDict::Entry*> SortedEntries(const std::vector<PlistDict::Entry>& entries) {
  std::vector<const PlistDict::Entry*> sorted;
  sorted.reserve(entries.size());
  for (const auto& entry : entries) sorted.push_back(&entry);
  std::sort(sorted.begin(), sorted.end(),
            [](const auto* a, const auto* b) { return a->first < b->first; });
  return sorted;
}

/// Appends the canonical form of one value. The tags and widths are frozen: see
/// CanonicalPlistBytes.
class CanonicalWriter {
 public:
  std::string bytes;

  void Append(const PlistValue& value) { std::visit(*this, value.variant()); }

  void operator()(bool value) { bytes.push_back(value ? 'T' : 'F'); }
  void operator()(const PlistInteger& value) {
    bytes.push_back('i');
    bytes.push_back(value.negative && value.magnitude != 0 ? '-' : '+');
    AppendNumber(value.magnitude);
  }
  void operator()(double value) {
    if (value == 0) value = 0;  // equal values, equal bytes: drop the sign of zero
    if (std::isnan(value)) value = std::numeric_limits<double>::quiet_NaN();
    bytes.push_back('r');
    AppendNumber(std::bit_cast<std::uint64_t>(value));
  }
  void operator()(const std::string& value) {
    bytes.push_back('s');
    AppendBytes(value);
  }
  void operator()(const PlistData& value) {
    bytes.push_back('d');
    AppendBytes(value.bytes);
  }
  void operator()(const PlistDate& value) {
    bytes.push_back('t');
    AppendNumber(static_cast<std::uint64_t>(value.unix_seconds));
  }
  void operator()(const PlistArray& value) {
    bytes.push_back('a');
    AppendNumber(value.size());
    for (const auto& item : value) Append(item);
  }
  void operator()(const PlistDict& value) {
    bytes.push_back('m');
    AppendNumber(value.entries().size());
    for (const auto* entry : SortedEntries(value.entries())) {
      AppendBytes(entry->first);
      Append(entry->second);
    }
  }

 private:
  void AppendNumber(std::uint64_t number) {
    for (int shift = 56; shift >= 0; shift -= 8) {
      bytes.push_back(static_cast<char>((number >> shift) & 0xFF));
    }
  }
  void AppendBytes(std::string_view text) {
    AppendNumber(text.size());
    bytes += text;
  }
};

}  // namespace

PlistInteger PlistInteger::FromSigned(std::int64_t value) {
  // Negating in unsigned arithmetic keeps -2^63 defined.
  const auto bits = static_cast<std::uint64_t>(value);
  return value < 0 ? PlistInteger{true, ~bits + 1} : PlistInteger{false, bits};
}

std::int64_t PlistInteger::ToSigned(std::int64_t fallback) const {
  if (magnitude > kNegativeMagnitudeMax) return fallback;
  if (magnitude == kNegativeMagnitudeMax) {
    return negative ? std::numeric_limits<std::int64_t>::min() : fallback;
  }
  const auto value = static_cast<std::int64_t>(magnitude);
  return negative ? -value : value;
}

Result<PlistDict> PlistDict::FromEntries(std::vector<Entry> entries) {
  const auto sorted = SortedEntries(entries);
  const auto twice =
      std::adjacent_find(sorted.begin(), sorted.end(),
                         [](const auto* a, const auto* b) { return a->first == b->first; });
  if (twice != sorted.end()) {
    return Fail(ErrorKind::kInvalid, "the key '" + Printable((*twice)->first, kKeyShownMaxBytes) +
                                         "' stands twice in one dictionary");
  }
  PlistDict dict;
  dict.entries_ = std::move(entries);
  return dict;
}

const PlistValue* PlistDict::Find(std::string_view key) const {
  for (const auto& entry : entries_) {
    if (entry.first == key) return &entry.second;
  }
  return nullptr;
}

void PlistDict::Set(std::string key, PlistValue value) {
  for (auto& entry : entries_) {
    if (entry.first == key) {
      entry.second = std::move(value);
      return;
    }
  }
  entries_.emplace_back(std::move(key), std::move(value));
}

void PlistDict::Erase(std::string_view key) {
  std::erase_if(entries_, [key](const Entry& entry) { return entry.first == key; });
}

std::string TextAt(const PlistDict& dict, std::string_view key) {
  const PlistValue* value = dict.Find(key);
  const std::string* text = value == nullptr ? nullptr : value->AsString();
  return text == nullptr ? std::string() : *text;
}

bool operator==(const PlistDict& a, const PlistDict& b) {
  const auto sorted_a = SortedEntries(a.entries_);
  const auto sorted_b = SortedEntries(b.entries_);
  return std::equal(sorted_a.begin(), sorted_a.end(), sorted_b.begin(), sorted_b.end(),
                    [](const auto* x, const auto* y) { return *x == *y; });
}

std::string CanonicalPlistBytes(const PlistValue& value) {
  CanonicalWriter writer;
  writer.Append(value);
  return std::move(writer.bytes);
}

}  // namespace director
