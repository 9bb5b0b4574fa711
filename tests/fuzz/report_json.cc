#include "store/report_json.h"

#include "tests/fuzz/properties.h"
#include "tests/fuzz/target.h"

// Reports and lists as the database holds them: a damaged row is set aside, never believed.
namespace director::fuzz_report_json {

FUZZ_TARGET(report_json) {
  const auto profiles = DecodeReportedProfiles(input);
  if (profiles) {
    const auto again = DecodeReportedProfiles(EncodeReportedProfiles(*profiles));
    INVARIANT(again.has_value());
    INVARIANT(*again == *profiles);
    for (const ReportedProfile& profile : *profiles) INVARIANT(!profile.payload_identifier.empty());
  } else {
    fuzz::CheckRefusal(profiles.error());
    INVARIANT(profiles.error().kind == ErrorKind::kCorrupt);
  }
  const auto strings = DecodeStrings(input);
  if (strings) {
    const auto again = DecodeStrings(EncodeStrings(*strings));
    INVARIANT(again.has_value());
    INVARIANT(*again == *strings);
  } else {
    fuzz::CheckRefusal(strings.error());
    INVARIANT(strings.error().kind == ErrorKind::kCorrupt);
  }
}

}  // namespace director::fuzz_report_json
