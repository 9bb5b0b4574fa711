#include "tests/fuzz/properties.h"
#include "tests/fuzz/target.h"

// Property lists as XML, in any encoding: every other decoder of device messages stands on this.
namespace director::fuzz_plist_xml {

FUZZ_TARGET(plist_xml) {
  if (input.starts_with("bplist")) return;  // another target
  const Result<PlistValue> value = DecodePlist(input);
  if (!value) return fuzz::CheckRefusal(value.error());
  fuzz::CheckPlistRoundTrip(*value);
}

}  // namespace director::fuzz_plist_xml
