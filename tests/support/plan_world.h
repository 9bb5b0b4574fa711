#pragma once

// The notation of worlds. World, one thing a line; times are offsets from the time of the decision,
// such as -10s or +5m;
// `_` stands for a space in texts:
// clang-format off
//   enrollment seen=-10s enrolled epoch=2 began=-10d ask_first build=22A1 os=26.1 product=Mac15,3 info=none pushed=-5m pushes=2 unregistered report_wanted=-1m user
//   want com.example.wifi A all by=ci ca=ca.example.com
//   want com.example.wifi absent device=SERIAL adopt known=A,B
//   want app:com.example.agent A all version=1.2 during_setup at_enrollment_only
//   apps -5m asked=-6m epoch=1 com.example.agent=1.2 com.example.other=3!installing
//   managed -5m asked=-6m epoch=1 com.example.agent=Prompting
//   report -5m asked=-6m epoch=1 com.example.wifi=A com.example.mdm=M!mdm com.example.dm=D!ddm
//     (every report lists the enrollment profile too, unless it says `hidden`)
//   intent InstallProfile com.example.wifi A sent -1m answered=-30s class=transient error=No_route. not_now=2@-10m epoch=1
//   item com.example.wifi A acknowledged attempts=1 next=+5m ack=-1m settled=-1m verified=-1h parked=22A1 error=No. sends=3@-2h epoch=1 since=-2h due=+1h build=22A1 reinstall=+1h
//   proposal DeviceLock waiting epoch=1 escrowed=-1m before=+5m expires=+7d repeats ack=-1m cancelled=-1m next=+5m attempts=1 error=No.
//     (escrowed a minute ago and free to go, unless it says otherwise; `escrowed=none`)
//   identity +30d issued=-335d asked=-5m     (or `identity none asked=-5m`)
//   renewal -1h until=+30d authenticated=-10m ended=-5m
//   upstream down=+5m away=-1h problem=connection_refused turn=+9s pushes
//   turn ca.example.com +20s
// clang-format on
// Intents are named c1, c2, ... in their order. What the device says about itself is an hour old;
// `info` says otherwise of DeviceInformation, `security` of SecurityInfo.

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/text.h"
#include "mdm/command.h"
#include "mdm/item_definition.h"
#include "reconciler/plan.h"
#include "tests/support/catch.h"
#include "tests/support/item_parts.h"

namespace director::test {

[[noreturn]] inline void BadWorld(const std::string& what) {
  throw std::invalid_argument("the world cannot be read: " + what);
}

/// The words of a line.
inline std::vector<std::string> Words(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

inline std::vector<std::string> Split(const std::string& text, char separator) {
  std::istringstream in(text);
  std::vector<std::string> parts;
  for (std::string part; std::getline(in, part, separator);) parts.push_back(part);
  return parts;
}

inline std::string Spaced(std::string text) {
  std::replace(text.begin(), text.end(), '_', ' ');
  return text;
}

/// Reads a world line by line.
class WorldReader {
 public:
  explicit WorldReader(Timestamp now) : now_(now) {
    Enrollment& enrollment = snapshot_.enrollment;
    enrollment.channel.enrollment_id = EnrollmentId("UD1");
    enrollment.channel.device_id = EnrollmentId("UD1");
    enrollment.channel.udid = "UD1";
    enrollment.upstream = UpstreamName("mdm");
    enrollment.serial_number = "C02A";
    enrollment.first_seen_at = now - std::chrono::hours(240);
    enrollment.epoch_began_at = enrollment.first_seen_at;
    enrollment.last_seen_at = now - std::chrono::seconds(10);
    enrollment.status = EnrollmentStatus::kEnrolled;
    for (const InventoryKind kind : kInventoryKinds) {
      enrollment.inventory_at[kind] = now - std::chrono::hours(1);
    }
  }

  Snapshot Read(const std::string& world) {
    for (const std::string& line : Split(world, '\n')) {
      const std::vector<std::string> words = Words(line);
      if (!words.empty()) ReadLine(words);
    }
    return snapshot_;
  }

 private:
  using Fields = std::map<std::string, std::string>;

  void ReadLine(const std::vector<std::string>& words) {
    const std::vector<std::string> rest(words.begin() + 1, words.end());
    if (words[0] == "enrollment") return ReadEnrollment(rest);
    if (words[0] == "want") return ReadWant(rest);
    if (words[0] == "report") return ReadReport(rest);
    if (words[0] == "apps") return ReadApps(rest);
    if (words[0] == "managed") return ReadManaged(rest);
    if (words[0] == "intent") return ReadIntent(rest);
    if (words[0] == "item") return ReadItem(rest);
    if (words[0] == "proposal") return ReadProposal(rest);
    if (words[0] == "upstream") return ReadUpstream(rest);
    if (words[0] == "identity") return ReadIdentity(rest);
    if (words[0] == "renewal") return ReadRenewal(rest);
    if (words[0] == "turn") {
      snapshot_.certificate_turns.emplace(words.at(1), At(words.at(2)));
      return;
    }
    BadWorld(words[0]);
  }

  /// `key=value` words; a word without `=` has an empty value.
  static Fields ReadFields(const std::vector<std::string>& words, std::size_t first) {
    Fields fields;
    for (std::size_t i = first; i < words.size(); ++i) {
      const std::size_t cut = words[i].find('=');
      fields[words[i].substr(0, cut)] =
          cut == std::string::npos ? std::string() : words[i].substr(cut + 1);
    }
    return fields;
  }

  Timestamp At(const std::string& offset) const {
    const bool is_signed = !offset.empty() && (offset[0] == '-' || offset[0] == '+');
    const auto duration = ParseDuration(is_signed ? offset.substr(1) : std::string("bad"));
    if (!duration) BadWorld("time " + offset);
    return offset[0] == '-' ? now_ - *duration : now_ + *duration;
  }

  /// `3@-2h`: how often and when.
  std::pair<int, Timestamp> CountAt(const std::string& text) const {
    const std::vector<std::string> parts = Split(text, '@');
    if (parts.size() != 2) BadWorld(text);
    return {std::stoi(parts[0]), At(parts[1])};
  }

  void SetInventoryAt(InventoryKind kind, const std::string& value) {
    std::optional<Timestamp>& at = snapshot_.enrollment.inventory_at[kind];
    at.reset();
    if (value != "none") at = At(value);
  }

  void ReadEnrollment(const std::vector<std::string>& words) {
    Enrollment& e = snapshot_.enrollment;
    for (const auto& [key, value] : ReadFields(words, 0)) {
      if (const auto status = ParseEnrollmentStatus(key)) {
        e.status = *status;
      } else if (key == "seen") {
        e.last_seen_at = At(value);
      } else if (key == "epoch") {
        e.epoch = std::stoll(value);
      } else if (key == "began") {
        e.epoch_began_at = At(value);
      } else if (key == "ask_first") {
        e.ask_first = true;
      } else if (key == "build") {
        e.build_version = value;
      } else if (key == "os") {
        e.os_version = value;
      } else if (key == "product") {
        e.product_name = value;
      } else if (key == "info") {
        SetInventoryAt(InventoryKind::kDeviceInformation, value);
      } else if (key == "security") {
        SetInventoryAt(InventoryKind::kSecurityInfo, value);
      } else if (key == "setup") {
        e.awaiting_configuration = true;
        e.awaiting_since = At(value);
      } else if (key == "pushed") {
        e.pushed_at = At(value);
      } else if (key == "pushes") {
        e.push_count = std::stoi(value);
      } else if (key == "unregistered") {
        e.push_unregistered = true;
      } else if (key == "report_wanted") {
        e.report_wanted_at = At(value);
      } else if (key == "reason") {
        e.quarantine_reason = Spaced(value);
      } else if (key == "user") {
        e.channel.type = ChannelType::kUser;
        e.channel.enrollment_id = EnrollmentId("UD1:USR1");
      } else {
        BadWorld(key);
      }
    }
  }

  void ReadIdentity(const std::vector<std::string>& words) {
    if (words.empty()) BadWorld("identity");
    Enrollment& e = snapshot_.enrollment;
    Fields fields = ReadFields(words, 1);
    e.identity_asked_at = At(fields.at("asked"));
    e.inventory_at[InventoryKind::kCertificateList] = e.identity_asked_at;
    if (words[0] == "none") return;
    e.identity = MdmIdentity{"CN=CA", At(fields.at("issued")), At(words[0])};
  }

  void ReadRenewal(const std::vector<std::string>& words) {
    if (words.empty()) BadWorld("renewal");
    Fields fields = ReadFields(words, 1);
    IdentityRenewal renewal{At(words[0]), At(fields.at("until")), {}, {}};
    if (fields.contains("authenticated")) renewal.authenticated_at = At(fields["authenticated"]);
    if (fields.contains("ended")) renewal.ended_at = At(fields["ended"]);
    snapshot_.enrollment.renewal = renewal;
  }

  void ReadWant(const std::vector<std::string>& words) {
    if (words.size() < 3) BadWorld("want");
    DesiredAssignment a;
    a.assignment_id = static_cast<std::int64_t>(snapshot_.assignments.size()) + 1;
    a.payload_identifier = PayloadIdentifier(words[0]);
    a.presence = words[1] == "absent" ? Presence::kAbsent : Presence::kPresent;
    if (a.presence == Presence::kPresent) {
      a.payload_uuid = PayloadUuid(words[1]);
      a.request_type = InstallRequestType(a.payload_identifier);
    }
    a.source = "ci";
    a.assigned_at = now_ - std::chrono::hours(1);
    for (const auto& [key, value] : ReadFields(words, 2)) {
      if (key == "all") {
        a.target_kind = TargetKind::kAll;
      } else if (key == "device") {
        a.target_kind = TargetKind::kDevice;
        a.target = value;
      } else if (key == "adopt") {
        a.adopt = true;
      } else if (key == "by") {
        a.source = value;
      } else if (key == "ca") {
        a.certificate_authority = value;
      } else if (key == "version") {
        a.app_version = value;
      } else if (key == "during_setup") {
        a.during_setup = true;
      } else if (key == "at_enrollment_only") {
        a.at_enrollment_only = true;
      } else if (key == "known") {
        for (const std::string& uuid : Split(value, ',')) a.known_payload_uuids.emplace_back(uuid);
      } else {
        BadWorld(key);
      }
    }
    snapshot_.assignments.push_back(std::move(a));
  }

  void ReadApps(const std::vector<std::string>& words) {
    if (words.empty()) BadWorld("apps");
    AppListReport report;
    report.epoch = snapshot_.enrollment.epoch;
    report.reported_at = At(words[0]);
    report.asked_at = report.reported_at;
    for (std::size_t i = 1; i < words.size(); ++i) {
      const std::size_t cut = words[i].find('=');
      const std::string key = words[i].substr(0, cut);
      const std::string value = cut == std::string::npos ? "" : words[i].substr(cut + 1);
      if (key == "asked") {
        report.asked_at = At(value);
      } else if (key == "epoch") {
        report.epoch = std::stoll(value);
      } else {
        const std::vector<std::string> parts = Split(value, '!');
        report.apps.push_back({key, "", parts.empty() ? "" : parts[0], parts.size() > 1});
      }
    }
    snapshot_.app_list = std::move(report);
  }

  void ReadManaged(const std::vector<std::string>& words) {
    if (words.empty()) BadWorld("managed");
    ManagedAppListReport report;
    report.epoch = snapshot_.enrollment.epoch;
    report.reported_at = At(words[0]);
    report.asked_at = report.reported_at;
    for (const auto& [key, value] : ReadFields(words, 1)) {
      if (key == "asked") {
        report.asked_at = At(value);
      } else if (key == "epoch") {
        report.epoch = std::stoll(value);
      } else {
        report.apps.push_back({key, value});
      }
    }
    snapshot_.managed_app_list = std::move(report);
  }

  void ReadReport(const std::vector<std::string>& words) {
    if (words.empty()) BadWorld("report");
    ProfileListReport report;
    report.epoch = snapshot_.enrollment.epoch;
    report.reported_at = At(words[0]);
    for (std::size_t i = 1; i < words.size(); ++i) {
      const std::size_t cut = words[i].find('=');
      const std::string key = words[i].substr(0, cut);
      const std::string value = cut == std::string::npos ? "" : words[i].substr(cut + 1);
      if (key == "asked") {
        report.asked_at = At(value);
      } else if (key == "hidden") {
        continue;
      } else if (key == "epoch") {
        report.epoch = std::stoll(value);
      } else {
        const std::vector<std::string> parts = Split(value, '!');
        ReportedProfile profile;
        profile.payload_identifier = PayloadIdentifier(key);
        profile.payload_uuid = parts.at(0);
        profile.has_mdm_payload = parts.size() > 1 && parts[1] == "mdm";
        profile.is_declarative = parts.size() > 1 && parts[1] == "ddm";
        report.profiles.push_back(std::move(profile));
      }
    }
    // Every real report lists it; `hidden` stands for an encrypted one.
    if (std::find(words.begin(), words.end(), "hidden") == words.end()) {
      ReportedProfile enrollment;
      enrollment.payload_identifier = PayloadIdentifier("enrollment-profile");
      enrollment.payload_uuid = "M";
      enrollment.has_mdm_payload = true;
      report.profiles.push_back(std::move(enrollment));
    }
    snapshot_.profile_list = std::move(report);
  }

  /// `-`: what has no revisions.
  static PayloadUuid RevisionOf(const std::string& word) {
    return word == "-" ? PayloadUuid() : PayloadUuid(word);
  }

  void ReadIntent(const std::vector<std::string>& words) {
    Intent intent;
    intent.command_uuid = CommandUuid(fmt::format("c{}", snapshot_.intents.size() + 1));
    intent.epoch = snapshot_.enrollment.epoch;
    std::size_t next = 0;
    intent.request_type = words.at(next++);
    const bool removes = intent.request_type.starts_with("Remove");
    const bool brings = intent.request_type == request_type::kInstallProfile ||
                        intent.request_type == request_type::kInstallApplication ||
                        intent.request_type == request_type::kAccountConfiguration;
    if (removes || brings) intent.payload_identifier = PayloadIdentifier(words.at(next++));
    if (brings) intent.payload_uuid = RevisionOf(words.at(next++));
    const auto state = ParseIntentState(words.at(next++));
    if (!state) BadWorld(words.at(next - 1));
    intent.state = *state;
    intent.journaled_at = At(words.at(next++));
    for (const auto& [key, value] : ReadFields(words, next)) {
      if (key == "answered") {
        intent.answered_at = At(value);
      } else if (key == "class") {
        intent.error_class = ReadClass(value);
      } else if (key == "error") {
        intent.error = Spaced(value);
      } else if (key == "epoch") {
        intent.epoch = std::stoll(value);
      } else if (key == "not_now") {
        std::tie(intent.not_now_count, intent.not_now_at) = CountAt(value);
      } else {
        BadWorld(key);
      }
    }
    snapshot_.intents.push_back(std::move(intent));
  }

  static ErrorClass ReadClass(const std::string& name) {
    for (const ErrorClass known :
         {ErrorClass::kTransient, ErrorClass::kPermanent, ErrorClass::kUser, ErrorClass::kServer,
          ErrorClass::kDone, ErrorClass::kUnknown}) {
      if (ErrorClassName(known) == name) return known;
    }
    BadWorld(name);
  }

  void ReadItem(const std::vector<std::string>& words) {
    ItemRecord item;
    item.payload_identifier = PayloadIdentifier(words.at(0));
    item.presence = words.at(1) == "absent" ? Presence::kAbsent : Presence::kPresent;
    if (item.presence == Presence::kPresent) item.payload_uuid = RevisionOf(words.at(1));
    const auto state = ParseItemState(words.at(2));
    if (!state) BadWorld(words.at(2));
    item.state = *state;
    item.reason = "As it was.";
    item.epoch = snapshot_.enrollment.epoch;
    item.state_since = now_ - std::chrono::hours(2);
    item.sends_since = now_ - std::chrono::hours(2);
    for (const auto& [key, value] : ReadFields(words, 3)) {
      if (key == "attempts") {
        item.attempts = std::stoi(value);
      } else if (key == "next") {
        item.next_attempt_at = At(value);
      } else if (key == "ack") {
        item.acknowledged_at = At(value);
      } else if (key == "settled") {
        item.settled_at = At(value);
      } else if (key == "verified") {
        item.verified_at = At(value);
      } else if (key == "parked") {
        item.parked = true;
        item.parked_build = value;
      } else if (key == "error") {
        item.last_error = Spaced(value);
        item.last_error_at = now_ - std::chrono::minutes(1);
      } else if (key == "due") {
        item.due_at = At(value);
      } else if (key == "since") {
        item.state_since = At(value);
      } else if (key == "build") {
        item.installed_build = value;
      } else if (key == "reinstall") {
        item.reinstall_at = At(value);
      } else if (key == "sends") {
        std::tie(item.sends, item.sends_since) = CountAt(value);
      } else if (key == "epoch") {
        item.epoch = std::stoll(value);
      } else {
        BadWorld(key);
      }
    }
    snapshot_.items.push_back(std::move(item));
  }

  void ReadProposal(const std::vector<std::string>& words) {
    Proposal proposal;
    proposal.proposal_id = 7;
    proposal.enrollment_id = snapshot_.enrollment.channel.enrollment_id;
    const auto kind = ParseProposalKind(words.at(0));
    const auto state = ParseProposalState(words.at(1));
    if (!kind || !state) BadWorld(words.at(0) + " " + words.at(1));
    proposal.kind = *kind;
    proposal.state = *state;
    proposal.reason = "Stolen";
    proposal.source = "ada";
    proposal.has_secret = true;
    proposal.explanation = "As it was.";
    if (proposal.state == ProposalState::kSent) proposal.effect = ProposalEffect::kUnknown;
    proposal.epoch = snapshot_.enrollment.epoch;
    proposal.created_at = now_ - std::chrono::hours(1);
    proposal.not_before = proposal.created_at;
    proposal.expires_at = now_ + std::chrono::hours(24 * 7);
    proposal.state_since = proposal.created_at;
    proposal.escrowed_at = now_ - std::chrono::minutes(1);
    for (const auto& [key, value] : ReadFields(words, 2)) {
      if (key == "epoch") {
        proposal.epoch = std::stoll(value);
      } else if (key == "escrowed") {
        proposal.escrowed_at.reset();
        if (value != "none") proposal.escrowed_at = At(value);
      } else if (key == "before") {
        proposal.not_before = At(value);
      } else if (key == "expires") {
        proposal.expires_at = At(value);
      } else if (key == "repeats") {
        proposal.repeats = true;
      } else if (key == "ack") {
        proposal.acknowledged_at = At(value);
      } else if (key == "cancelled") {
        proposal.cancelled_at = At(value);
      } else if (key == "next") {
        proposal.next_attempt_at = At(value);
      } else if (key == "attempts") {
        proposal.attempts = std::stoi(value);
      } else if (key == "error") {
        proposal.last_error = Spaced(value);
      } else {
        BadWorld(key);
      }
    }
    snapshot_.proposal = std::move(proposal);
  }

  void ReadUpstream(const std::vector<std::string>& words) {
    for (const auto& [key, value] : ReadFields(words, 0)) {
      if (key == "down") snapshot_.upstream_retry_at = At(value);
      if (key == "away") snapshot_.upstream_away_since = At(value);
      if (key == "problem") snapshot_.upstream_problem = Spaced(value);
      if (key == "turn") snapshot_.turn_at = At(value);
      if (key == "pushes") snapshot_.upstream_pushes = true;
    }
  }

  Timestamp now_;
  Snapshot snapshot_;
};

inline Timestamp MustParseTime(const std::string& text) {
  const auto at = ParseTime(text);
  if (!at) BadWorld("time " + text);
  return *at;
}

inline Snapshot ReadWorld(const std::string& world, Timestamp now) {
  return WorldReader(now).Read(world);
}

}  // namespace director::test
