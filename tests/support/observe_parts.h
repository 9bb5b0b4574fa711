#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "mdm/command.h"
#include "reconciler/observe.h"

/// One enrollment, what it can say, and what `Observe` makes of that.
namespace director::observe_test {

inline const Timestamp kNow = *ParseTime("2026-11-22T12:00:00Z");

inline MdmEvent Event(EventBody body, Timestamp created_at = kNow) {
  MdmEvent event;
  event.upstream = UpstreamName("mdm");
  event.created_at = created_at;
  event.channel.enrollment_id = EnrollmentId("UD1");
  event.channel.device_id = EnrollmentId("UD1");
  event.channel.udid = "UD1";
  event.body = std::move(body);
  return event;
}

inline AuthenticateEvent Authenticate(const std::string& serial = "C02A") {
  AuthenticateEvent event;
  event.serial_number = serial;
  event.os_version = "15.1";
  event.build_version = "24B1";
  event.product_name = "Mac15,3";
  event.model = "Z1";
  event.device_name = "lab";
  return event;
}

inline Observation See(const std::optional<Enrollment>& known, EventBody body,
                       Timestamp created_at = kNow, const std::optional<Intent>& intent = {}) {
  return Observe(known, intent, Event(std::move(body), created_at), kNow);
}

/// Known for long, enrolled, heard from an hour ago.
inline Enrollment Known() {
  Enrollment enrollment;
  enrollment.channel = Event(IdleEvent{}).channel;
  enrollment.upstream = UpstreamName("mdm");
  enrollment.status = EnrollmentStatus::kEnrolled;
  enrollment.serial_number = "C02A";
  enrollment.build_version = "24A1";
  enrollment.first_seen_at = kNow - std::chrono::hours(100);
  enrollment.last_seen_at = kNow - std::chrono::hours(1);
  enrollment.authenticated_at = kNow - std::chrono::hours(100);
  enrollment.enrolled_at = kNow - std::chrono::hours(100) + std::chrono::seconds(1);
  return enrollment;
}

inline Enrollment Recent() {
  Enrollment enrollment = Known();
  enrollment.last_seen_at = kNow - std::chrono::minutes(4);
  return enrollment;
}

inline Intent Sent(std::string_view type = request_type::kInstallProfile) {
  Intent intent;
  intent.command_uuid = CommandUuid("c1");
  intent.request_type = std::string(type);
  if (type == request_type::kInstallProfile) intent.payload_identifier = PayloadIdentifier("wifi");
  intent.epoch = 1;
  intent.state = IntentState::kSent;
  intent.journaled_at = kNow - std::chrono::seconds(5);
  return intent;
}

inline ResultEvent Answer(CommandStatus status) {
  ResultEvent result;
  result.command_uuid = CommandUuid("c1");
  result.status = status;
  return result;
}

inline ResultEvent ListOf(const std::string& identifier) {
  ResultEvent result = Answer(CommandStatus::kAcknowledged);
  ReportedProfile profile;
  profile.payload_identifier = PayloadIdentifier(identifier);
  result.profile_list.emplace();
  result.profile_list->push_back(profile);
  return result;
}

inline ResultEvent FactsOf(const std::string& serial, const std::string& build) {
  ResultEvent result = Answer(CommandStatus::kAcknowledged);
  result.device_information.emplace();
  result.device_information->serial_number = serial;
  result.device_information->build_version = build;
  result.device_information->is_supervised = true;
  result.inventory.emplace();
  return result;
}

}  // namespace director::observe_test
