#include "mdm/plist_binary_scan.h"
#include "tests/fuzz/properties.h"
#include "tests/fuzz/target.h"

// Binary property lists: our scan decides what the library may see.
namespace director::fuzz_plist_binary {
namespace {

/// A hundred bytes can stand for half a million values; fewer of them keep the runs short.
constexpr PlistLimits kLimits = {1024 * 1024, 64, 10'000};
constexpr PlistLimits kTightLimits = {1024, 4, 50};

/// Values and keys in the tree.
std::size_t CountNodes(const PlistValue& value) {
  std::size_t count = 1;
  if (const PlistArray* array = value.AsArray()) {
    for (const PlistValue& entry : *array) count += CountNodes(entry);
  }
  if (const PlistDict* dict = value.AsDict()) {
    for (const auto& [key, entry] : dict->entries()) count += 1 + CountNodes(entry);
  }
  return count;
}

/// A root dictionary whose only key is `CF$UID` does not come back from newer libplist.
bool LooksLikeUid(const PlistValue& value) {
  const PlistDict* dict = value.AsDict();
  return dict != nullptr && dict->entries().size() == 1 && dict->Find("CF$UID") != nullptr;
}

void CheckTightLimits(std::string_view input) {
  const Result<PlistValue> value = DecodePlist(input, kTightLimits);
  if (!value) return fuzz::CheckRefusal(value.error());
  INVARIANT(CountNodes(*value) <= kTightLimits.node_count_max);
}

}  // namespace

FUZZ_TARGET(plist_binary) {
  if (!input.starts_with("bplist")) return;  // another target
  const Result<std::size_t> nodes = ScanPlistBinary(input, kLimits);
  const Result<PlistValue> value = DecodePlist(input, kLimits);
  if (!nodes) INVARIANT(!value);
  CheckTightLimits(input);
  if (!value) return fuzz::CheckRefusal(value.error());
  INVARIANT(CountNodes(*value) == *nodes);
  fuzz::CheckPlistRoundTrip(*value);
  if (LooksLikeUid(*value)) return;
  const Result<PlistValue> again = DecodePlist(EncodePlistBinary(*value));
  INVARIANT(again.has_value());
  INVARIANT(CanonicalPlistBytes(*again) == CanonicalPlistBytes(*value));
}

}  // namespace director::fuzz_plist_binary
