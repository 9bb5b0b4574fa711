#include "bench/fleet.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/clock.h"
#include "base/text.h"
#include "mdm/command.h"
#include "mdm/plist.h"

namespace director::bench {
namespace {

constexpr std::size_t kRowsPerTransaction = 1'000;
constexpr std::size_t kFacts = 25;

/// `write(writer, first, last)` for one part after the other, each in a transaction of its own.
Status InParts(Store& store, std::size_t count,
               const std::function<Status(StoreWriter&, std::size_t, std::size_t)>& write) {
  for (std::size_t first = 0; first < count; first += kRowsPerTransaction) {
    const std::size_t last = std::min(first + kRowsPerTransaction, count);
    const Status done =
        store.Write([&](StoreWriter& writer) { return write(writer, first, last); });
    if (!done) return done;
  }
  return {};
}

Enrollment MakeEnrollment(std::size_t device, Timestamp now) {
  Enrollment enrollment;
  enrollment.channel.enrollment_id = EnrollmentId(UdidOf(device));
  enrollment.channel.device_id = enrollment.channel.enrollment_id;
  enrollment.channel.udid = UdidOf(device);
  enrollment.upstream = UpstreamName(kUpstream);
  enrollment.status = EnrollmentStatus::kEnrolled;
  enrollment.serial_number = fmt::format("C02{:08}", device);
  enrollment.os_version = "15.1";
  enrollment.build_version = "24B83";
  enrollment.product_name = "Mac14,2";
  enrollment.device_name = fmt::format("Mac {}", device);
  enrollment.first_seen_at = enrollment.last_seen_at = now;
  enrollment.enrolled_at = now;
  for (const InventoryKind kind : kInventoryKinds) enrollment.inventory_at[kind] = now;
  return enrollment;
}

PlistDict Identity(std::size_t device) {
  PlistDict message;
  message.Set("UDID", UdidOf(device));
  return message;
}

std::string ConnectBody(std::size_t device, const char* status, const PlistDict& message) {
  return fmt::format(R"({{"topic":"mdm.Connect","event_id":"{}","created_at":"{}",)"
                     R"("acknowledge_event":{{"udid":"{}","status":"{}","raw_payload":"{}"}}}})",
                     device, FormatTime(SystemClock().Now()), UdidOf(device), status,
                     EncodeBase64(EncodePlistXml(PlistValue(message))));
}

}  // namespace

std::string UdidOf(std::size_t device) {
  return fmt::format("AAAAAAAA-0000-4000-8000-{:012X}", device);
}

PayloadIdentifier IdentifierOf(std::size_t profile) {
  return PayloadIdentifier(fmt::format("com.example.profile{:03}", profile));
}

PayloadUuid PayloadUuidOf(std::size_t profile) {
  return PayloadUuid(fmt::format("BBBBBBBB-0000-8000-8000-{:012X}", profile));
}

Status SeedEnrollments(Store& store, std::size_t devices, Timestamp now) {
  return InParts(store, devices, [&](StoreWriter& writer, std::size_t first, std::size_t last) {
    std::vector<Enrollment> enrollments;
    for (std::size_t i = first; i < last; ++i) enrollments.push_back(MakeEnrollment(i, now));
    return writer.SaveEnrollments(enrollments);
  });
}

Status SeedRevisions(Store& store, std::size_t profiles, Timestamp now) {
  return store.Write([&](StoreWriter& writer) -> Status {
    for (std::size_t i = 0; i < profiles; ++i) {
      Revision revision;
      revision.payload_uuid = PayloadUuidOf(i);
      revision.payload_identifier = IdentifierOf(i);
      revision.source = "bench";
      revision.created_at = now;
      revision.content = std::string(kMobileconfigSizeBytes, 'x');
      revision.size_bytes = kMobileconfigSizeBytes;
      if (const auto saved = writer.SaveRevision(revision); !saved) return Fail(saved.error());
    }
    return {};
  });
}

Status SeedAssignments(Store& store, std::size_t profiles, Timestamp now) {
  if (Status done = SeedRevisions(store, profiles, now); !done) return done;
  return store.Write([&](StoreWriter& writer) -> Status {
    for (std::size_t i = 0; i < profiles; ++i) {
      Assignment assignment;
      assignment.payload_identifier = IdentifierOf(i);
      assignment.payload_uuid = PayloadUuidOf(i);
      assignment.source = "bench";
      assignment.assigned_at = now;
      if (const auto saved = writer.SaveAssignment(assignment, now); !saved)
        return Fail(saved.error());
    }
    return {};
  });
}

Status SeedReports(Store& store, std::size_t devices, std::size_t profiles, Timestamp now) {
  ProfileListReport report;
  report.epoch = 1;
  report.reported_at = now;
  for (std::size_t i = 0; i < profiles; ++i) {
    ReportedProfile profile;
    profile.payload_identifier = IdentifierOf(i);
    profile.payload_uuid = PayloadUuidOf(i).value();
    profile.display_name = fmt::format("Profile {}", i);
    report.profiles.push_back(profile);
  }
  return InParts(store, devices, [&](StoreWriter& writer, std::size_t first, std::size_t last) {
    std::vector<std::pair<EnrollmentId, ProfileListReport>> reports;
    for (std::size_t i = first; i < last; ++i) reports.emplace_back(UdidOf(i), report);
    return writer.SaveReports(reports, now);
  });
}

Status SeedIntents(Store& store, std::size_t devices, const std::vector<std::string>& command_uuids,
                   std::string_view request_type, Timestamp now) {
  return InParts(store, command_uuids.size(),
                 [&](StoreWriter& writer, std::size_t first, std::size_t last) {
                   std::vector<std::pair<EnrollmentId, Intent>> intents;
                   for (std::size_t i = first; i < last; ++i) {
                     Intent intent;
                     intent.command_uuid = CommandUuid(command_uuids[i]);
                     intent.request_type = std::string(request_type);
                     if (request_type == request_type::kInstallProfile) {
                       intent.payload_identifier = IdentifierOf(i % kProfiles);
                       intent.payload_uuid = PayloadUuidOf(i % kProfiles);
                     }
                     intent.epoch = 1;
                     intent.state = IntentState::kSent;
                     intent.journaled_at = now;
                     intents.emplace_back(UdidOf(i % devices), intent);
                   }
                   return writer.SaveIntents(intents);
                 });
}

std::vector<std::string> MakeUuids(const char* kind, std::size_t count) {
  std::vector<std::string> uuids;
  for (std::size_t i = 0; i < count; ++i) uuids.push_back(fmt::format("{}-{}", kind, i));
  return uuids;
}

std::int64_t CountDue(Store& store, Timestamp now) {
  std::int64_t due = 0;
  const Status read = store.Read([&](StoreReader& reader) -> Status {
    const Result<FleetCounts> counts = reader.CountFleet(now);
    if (!counts) return Fail(counts.error());
    due = counts->due;
    return {};
  });
  return read ? due : 0;
}

std::string AcknowledgedBody(std::size_t device, const std::string& command_uuid) {
  PlistDict message = Identity(device);
  message.Set("CommandUUID", command_uuid);
  message.Set("Status", "Acknowledged");
  return ConnectBody(device, "Acknowledged", message);
}

std::string IdleBody(std::size_t device) {
  PlistDict message = Identity(device);
  message.Set("Status", "Idle");
  return ConnectBody(device, "Idle", message);
}

std::string DeviceInformationBody(std::size_t device, const std::string& command_uuid,
                                  std::size_t round) {
  PlistDict facts;
  for (const std::string& query : DeviceInformationQueries()) {
    if (facts.entries().size() == kFacts) break;
    facts.Set(query, fmt::format("{} of Mac {}", query, device));
  }
  facts.Set("UDID", UdidOf(device));
  facts.Set("SerialNumber", fmt::format("C02{:08}", device));
  facts.Set("OSVersion", "15.1");
  facts.Set("BuildVersion", "24B83");
  facts.Set("ProductName", "Mac14,2");
  facts.Set("DeviceName", fmt::format("Mac {}", device));
  facts.Set("AvailableDeviceCapacity", PlistValue(100.0 + static_cast<double>(round)));
  PlistDict message = Identity(device);
  message.Set("CommandUUID", command_uuid);
  message.Set("Status", "Acknowledged");
  message.Set("QueryResponses", facts);
  return ConnectBody(device, "Acknowledged", message);
}

std::string ProfileListBody(std::size_t device, const std::string& command_uuid,
                            const PayloadUuid& first_payload_uuid) {
  PlistArray profiles;
  for (std::size_t i = 0; i < kProfiles; ++i) {
    PlistDict profile;
    profile.Set("PayloadIdentifier", IdentifierOf(i).value());
    profile.Set("PayloadUUID", (i == 0 ? first_payload_uuid : PayloadUuidOf(i)).value());
    profile.Set("PayloadDisplayName", fmt::format("Profile {}", i));
    profiles.emplace_back(profile);
  }
  PlistDict message = Identity(device);
  message.Set("CommandUUID", command_uuid);
  message.Set("Status", "Acknowledged");
  message.Set("ProfileList", profiles);
  return ConnectBody(device, "Acknowledged", message);
}

}  // namespace director::bench
