#include <rapidcheck.h>

#include <algorithm>
#include <bit>
#include <random>
#include <string>

#include "base/text.h"
#include "mdm/plist.h"
#include "mdm/profile.h"
#include "tests/support/catch.h"

namespace director::mdm_plist_test {
namespace {

/// Any text without NUL: plain, with markup, with line ends, beyond ASCII.
rc::Gen<std::string> AnyText() {
  const auto piece = rc::gen::element<std::string>("a", "Z", " ", "<", "&", ">", "\"", "'", "]]>",
                                                   "\r\n", "\t", "\x01", "&amp;", "\xC3\xA4",
                                                   "\xE2\x82\xAC", "\xF0\x9F\x98\x80");
  return rc::gen::map(rc::gen::container<std::vector<std::string>>(piece), [](const auto& pieces) {
    std::string text;
    for (const auto& part : pieces) text += part;
    return text;
  });
}

rc::Gen<PlistValue> AnyInteger() {
  return rc::gen::map(
      rc::gen::pair(rc::gen::arbitrary<std::uint64_t>(), rc::gen::inRange(0, 64)),
      [](const auto& bits_and_shift) {
        const auto bits = bits_and_shift.first >> bits_and_shift.second;
        const bool is_negative = bits_and_shift.first % 2 == 1;
        return is_negative
                   ? PlistValue(PlistInteger::FromSigned(-static_cast<std::int64_t>(bits >> 1)))
                   : PlistValue(PlistInteger{false, bits});
      });
}

/// Any finite real, taken from all bit patterns.
rc::Gen<PlistValue> AnyReal() {
  return rc::gen::map(rc::gen::arbitrary<std::uint64_t>(), [](std::uint64_t bits) {
    const auto value = std::bit_cast<double>(bits * 0x9E3779B97F4A7C15U);
    return PlistValue(value - value == 0 ? value : 0.5);
  });
}

rc::Gen<PlistValue> AnyScalar() {
  return rc::gen::oneOf(
      rc::gen::map(rc::gen::arbitrary<bool>(), [](bool v) { return PlistValue(v); }), AnyInteger(),
      AnyReal(), rc::gen::map(AnyText(), [](std::string v) { return PlistValue(std::move(v)); }),
      rc::gen::map(rc::gen::arbitrary<std::string>(),
                   [](std::string v) { return PlistValue(PlistData{std::move(v)}); }),
      rc::gen::map(rc::gen::inRange<std::int64_t>(-62'135'596'800, 253'402'300'800),
                   [](std::int64_t v) { return PlistValue(PlistDate{v}); }));
}

rc::Gen<PlistValue> AnyValue(int depth);

rc::Gen<PlistDict> AnyDict(int depth) {
  const auto entries =
      rc::gen::container<std::vector<PlistDict::Entry>>(rc::gen::pair(AnyText(), AnyValue(depth)));
  return rc::gen::map(rc::gen::scale(0.3, entries), [](std::vector<PlistDict::Entry> from) {
    PlistDict dict;
    for (auto& [key, value] : from) dict.Set(key, std::move(value));
    return dict;
  });
}

rc::Gen<PlistValue> AnyValue(int depth) {
  if (depth == 0) return AnyScalar();
  const auto array = rc::gen::scale(0.3, rc::gen::container<PlistArray>(AnyValue(depth - 1)));
  return rc::gen::oneOf(
      AnyScalar(), rc::gen::map(array, [](PlistArray v) { return PlistValue(std::move(v)); }),
      rc::gen::map(AnyDict(depth - 1), [](PlistDict v) { return PlistValue(std::move(v)); }));
}

PlistValue Shuffled(const PlistValue& value, std::mt19937& random) {
  if (const PlistArray* array = value.AsArray()) {
    PlistArray result;
    for (const auto& item : *array) result.push_back(Shuffled(item, random));
    return PlistValue(std::move(result));
  }
  const PlistDict* dict = value.AsDict();
  if (dict == nullptr) return value;
  auto entries = dict->entries();
  for (auto& entry : entries) entry.second = Shuffled(entry.second, random);
  std::shuffle(entries.begin(), entries.end(), random);
  return PlistValue(*PlistDict::FromEntries(std::move(entries)));
}

void Holds(bool outcome) { CHECK(outcome); }

TEST_CASE("XML reads back as it was written") {
  Holds(rc::check([] {
    const auto value = *AnyValue(4);
    const auto decoded = DecodePlist(EncodePlistXml(value));
    RC_ASSERT(decoded.has_value());
    RC_ASSERT(*decoded == value);
    RC_ASSERT(EncodePlistXml(*decoded) == EncodePlistXml(value));
  }));
}

TEST_CASE("binary reads back as it was written") {
  Holds(rc::check([] {
    const auto value = *AnyValue(4);
    const auto decoded = DecodePlist(EncodePlistBinary(value));
    RC_ASSERT(decoded.has_value());
    RC_ASSERT(*decoded == value);
    RC_ASSERT(CanonicalPlistBytes(*decoded) == CanonicalPlistBytes(value));
  }));
}

TEST_CASE("canonical bytes do not depend on the order of keys") {
  Holds(rc::check([](std::uint32_t seed) {
    const auto value = *AnyValue(4);
    std::mt19937 random(seed);
    const auto shuffled = Shuffled(value, random);
    RC_ASSERT(shuffled == value);
    RC_ASSERT(CanonicalPlistBytes(shuffled) == CanonicalPlistBytes(value));
  }));
}

TEST_CASE("canonical bytes are equal only for equal values") {
  Holds(rc::check([] {
    const auto a = *AnyValue(2);
    const auto b = *AnyValue(2);
    RC_ASSERT((CanonicalPlistBytes(a) == CanonicalPlistBytes(b)) == (a == b));
  }));
}

TEST_CASE("the content UUID ignores the order of keys and the top-level PayloadUUID only") {
  Holds(rc::check([](std::uint32_t seed, const std::string& uuid) {
    auto dict = *AnyDict(3);
    const PayloadUuid expected = ContentPayloadUuid(dict);
    std::mt19937 random(seed);
    PlistValue shuffled = Shuffled(PlistValue(dict), random);
    shuffled.AsDict()->Set("PayloadUUID", PlistValue(uuid));
    RC_ASSERT(ContentPayloadUuid(*shuffled.AsDict()) == expected);
    dict.Set("another key", PlistValue(true));
    RC_ASSERT(ContentPayloadUuid(dict) != expected);
  }));
}

TEST_CASE("any bytes are decoded or refused") {
  Holds(rc::check([](const std::string& noise, std::uint32_t position) {
    std::string document = EncodePlistXml(*AnyValue(2));
    document.replace(position % document.size(), noise.size() / 2, noise);
    const auto decoded = DecodePlist(document);
    if (decoded) RC_ASSERT(DecodePlist(EncodePlistXml(*decoded)).has_value());
    std::string binary = EncodePlistBinary(*AnyValue(2));
    binary.replace(position % binary.size(), noise.size(), noise);
    const auto decoded_binary = DecodePlist(binary);
    if (decoded_binary) RC_ASSERT(DecodePlist(EncodePlistXml(*decoded_binary)).has_value());
  }));
}

}  // namespace
}  // namespace director::mdm_plist_test
