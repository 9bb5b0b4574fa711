#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace director {

class PlistValue;

/// An integer of a property list: -2^63 .. 2^64-1, as Apple's parsers accept.
struct PlistInteger {
  static constexpr std::uint64_t kNegativeMagnitudeMax = std::uint64_t{1} << 63;

  bool negative = false;
  std::uint64_t magnitude = 0;

  static PlistInteger FromSigned(std::int64_t value);
  /// The value as int64, or `fallback` when it does not fit.
  std::int64_t ToSigned(std::int64_t fallback) const;
  friend bool operator==(const PlistInteger&, const PlistInteger&) = default;
};

struct PlistData {
  std::string bytes;
  friend bool operator==(const PlistData&, const PlistData&) = default;
};

/// Seconds since 1970-01-01T00:00:00Z; whole seconds, any year from 1 to 9999.
struct PlistDate {
  std::int64_t unix_seconds = 0;
  friend bool operator==(const PlistDate&, const PlistDate&) = default;
};

using PlistArray = std::vector<PlistValue>;

/// Keys in the order of the document; a decoded dictionary never holds a key twice.
class PlistDict {
 public:
  using Entry = std::pair<std::string, PlistValue>;

  /// Makes a dictionary of many entries at once in n log n; kInvalid when a key stands twice.
  static Result<PlistDict> FromEntries(std::vector<Entry> entries);

  /// Linear: dictionaries of the protocol are small. See `FromEntries` for large ones.
  const PlistValue* Find(std::string_view key) const;
  /// Replaces the value of `key` in place, or appends it.
  void Set(std::string key, PlistValue value);
  /// Removes `key`; nothing happens when it is not there.
  void Erase(std::string_view key);
  const std::vector<Entry>& entries() const { return entries_; }
  bool empty() const;
  friend bool operator==(const PlistDict&, const PlistDict&);

 private:
  std::vector<Entry> entries_;
};

/// One value of a property list. Two values are equal when their types and contents are;
/// dictionaries are compared without regard to key order. Reals compare as numbers, so a NaN equals
/// nothing.
class PlistValue {
 public:
  using Variant = std::variant<bool, PlistInteger, double, std::string, PlistData, PlistDate,
                               PlistArray, PlistDict>;

  PlistValue() : value_(PlistDict{}) {}
  PlistValue(bool value) : value_(value) {}          // NOLINT(google-explicit-constructor)
  PlistValue(PlistInteger value) : value_(value) {}  // NOLINT(google-explicit-constructor)
  PlistValue(double value) : value_(value) {}        // NOLINT(google-explicit-constructor)
  PlistValue(std::string value)
      : value_(std::move(value)) {}  // NOLINT(google-explicit-constructor)
  PlistValue(const char* value)
      : value_(std::string(value)) {}                         // NOLINT(google-explicit-constructor)
  PlistValue(PlistData value) : value_(std::move(value)) {}   // NOLINT(google-explicit-constructor)
  PlistValue(PlistDate value) : value_(value) {}              // NOLINT(google-explicit-constructor)
  PlistValue(PlistArray value) : value_(std::move(value)) {}  // NOLINT(google-explicit-constructor)
  PlistValue(PlistDict value) : value_(std::move(value)) {}   // NOLINT(google-explicit-constructor)

  const Variant& variant() const { return value_; }

  /// The value as the asked type, or nullptr when it is of another type.
  const bool* AsBool() const { return std::get_if<bool>(&value_); }
  const PlistInteger* AsInteger() const { return std::get_if<PlistInteger>(&value_); }
  const double* AsReal() const { return std::get_if<double>(&value_); }
  const std::string* AsString() const { return std::get_if<std::string>(&value_); }
  const PlistData* AsData() const { return std::get_if<PlistData>(&value_); }
  const PlistDate* AsDate() const { return std::get_if<PlistDate>(&value_); }
  const PlistArray* AsArray() const { return std::get_if<PlistArray>(&value_); }
  const PlistDict* AsDict() const { return std::get_if<PlistDict>(&value_); }
  PlistDict* AsDict() { return std::get_if<PlistDict>(&value_); }

  friend bool operator==(const PlistValue&, const PlistValue&) = default;

 private:
  Variant value_;
};

// Here, for clang looks into the entries' type as soon as it sees the body.
inline bool PlistDict::empty() const { return entries_.empty(); }

/// The text at `key`; empty when there is none or it is of another type.
std::string TextAt(const PlistDict& dict, std::string_view key);

/// Bounds on what `DecodePlist` accepts; anything beyond is kInvalid.
struct PlistLimits {
  /// Of the document, of its UTF-8 form, and of all texts and data after expansion of shared
  /// references.
  std::size_t size_max_bytes = 16 * 1024 * 1024;
  std::size_t depth_max = 64;  ///< of dictionaries and arrays in each other
  /// Values and keys, counted after expansion of shared references.
  std::size_t node_count_max = 500'000;
};

/// Decodes an XML or binary property list.
///
/// XML may be UTF-8 (with or without byte order mark), UTF-16, or any encoding that its declaration
/// names and iconv knows; the XML declaration, the DOCTYPE and the `plist` element may be missing.
/// Refused as kInvalid with a message for people: an internal DTD subset (entity
/// declarations), nesting or size beyond `limits`, a key that stands twice in one dictionary, UIDs
/// and nulls, truncated documents, content after the end, malformed UTF-8, strings with NUL, keys
/// without a value, numbers beyond their range, dates that do not exist. Binary dates lose
/// fractions of a second. An empty UTF-16 string in a binary property list is refused. Pure;
/// thread-safe.
Result<PlistValue> DecodePlist(std::string_view bytes, const PlistLimits& limits = {});

/// Encodes as XML, UTF-8, beginning with `<?xml`; keys in the order of the dictionary. Reals are
/// written so that they read back exactly. Source: Apple plist DTD 1.0. Requires: strings are UTF-8
/// without NUL, dates are within their range.
std::string EncodePlistXml(const PlistValue& value);

/// Encodes as binary property list (`bplist00`), through libplist. For tests and tools: all types
/// come back as they were, but a root dictionary whose only key is `CF$UID` becomes a UID with
/// newer libplist, and time is quadratic in the escaped characters of one string. Requires as
/// `EncodePlistXml`.
std::string EncodePlistBinary(const PlistValue& value);

/// Serialises `value` so that equal values give equal bytes, whatever their document looked like:
/// types are tagged, lengths are explicit, dictionary keys are sorted bytewise. The form is part of
/// every revision's name and never changes. Minus zero counts as zero, all NaNs as one.
std::string CanonicalPlistBytes(const PlistValue& value);

}  // namespace director
