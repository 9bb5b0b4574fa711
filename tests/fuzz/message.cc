#include <variant>

#include "store/report_json.h"
#include "tests/fuzz/properties.h"
#include "tests/fuzz/target.h"

// What devices say: check-ins and answers to commands, as property lists.
namespace director::fuzz_message {
namespace {

/// The keys of a channel alone make the same channel again.
void CheckChannelStable(const Channel& channel) {
  PlistDict keys;
  const bool by_udid = !channel.udid.empty();
  keys.Set(by_udid ? "UDID" : "EnrollmentID", PlistValue(channel.device_id.value()));
  if (channel.type == ChannelType::kSharedIpad) {
    keys.Set("UserID", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF");
    keys.Set("UserShortName", PlistValue(channel.user_id));
  } else if (!channel.user_id.empty()) {
    keys.Set(by_udid ? "UserID" : "EnrollmentUserID", PlistValue(channel.user_id));
  }
  const Result<Channel> again = DecodeChannel(keys);
  INVARIANT(again.has_value());
  INVARIANT(*again == channel);
}

void CheckReport(const std::vector<ReportedProfile>& profiles) {
  for (const ReportedProfile& profile : profiles) INVARIANT(!profile.payload_identifier.empty());
  const auto stored = DecodeReportedProfiles(EncodeReportedProfiles(profiles));
  INVARIANT(stored.has_value());
  INVARIANT(*stored == profiles);
}

void CheckBody(const Result<EventBody>& body) {
  if (!body) return fuzz::CheckRefusal(body.error());
  INVARIANT(!EventName(*body).empty());
  INVARIANT(fuzz::IsPrintable(EventName(*body)));
  INVARIANT(EventName(*body).size() <= 64);
  const auto* result = std::get_if<ResultEvent>(&*body);
  if (result == nullptr) return;
  INVARIANT(!result->command_uuid.empty());
  if (result->profile_list) CheckReport(*result->profile_list);
}

}  // namespace

FUZZ_TARGET(message) {
  const Result<PlistValue> value = DecodePlist(input);
  const PlistDict* message = value ? value->AsDict() : nullptr;
  if (message == nullptr) return;
  CheckBody(DecodeCheckin(*message));
  CheckBody(DecodeResult(*message));
  const Result<Channel> channel = DecodeChannel(*message);
  if (!channel) return fuzz::CheckRefusal(channel.error());
  fuzz::CheckChannel(*channel);
  CheckChannelStable(*channel);
}

}  // namespace director::fuzz_message
