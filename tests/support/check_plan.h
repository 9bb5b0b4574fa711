#pragma once

// One decision as three strings: the world, the time, the expected plan.
//
// World, one thing a line; times are offsets from the time of the decision, such as -10s or +5m;
// `_` stands for a space in texts:
// clang-format off
//   enrollment seen=-10s enrolled epoch=2 ask_first build=22A1 product=Mac15,3 info=none pushed=-5m pushes=2 unregistered report_wanted=-1m user
//   want com.example.wifi A all by=ci
//   want com.example.wifi absent device=SERIAL adopt known=A,B
//   report -5m asked=-6m epoch=1 com.example.wifi=A com.example.mdm=M!mdm com.example.dm=D!ddm
//     (every report lists the enrollment profile too, unless it says `hidden`)
//   intent InstallProfile com.example.wifi A sent -1m answered=-30s class=transient error=No_route. not_now=2@-10m epoch=1
//   item com.example.wifi A acknowledged attempts=1 next=+5m ack=-1m settled=-1m verified=-1h parked=22A1 error=No. sends=3@-2h epoch=1
//   upstream down=+5m problem=connection_refused
// clang-format on
// Intents are named c1, c2, ... in their order. DeviceInformation is an hour old unless `info` says
// otherwise.
//
// Plan: a line of commands and `push` (or `nothing`), then a line for each item with its state,
// then `closed c1 lost` lines.

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "base/text.h"
#include "mdm/command.h"
#include "reconciler/plan.h"
#include "tests/support/catch.h"

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
    enrollment.last_seen_at = now - std::chrono::seconds(10);
    enrollment.status = EnrollmentStatus::kEnrolled;
    enrollment.device_information_at = now - std::chrono::hours(1);
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
    if (words[0] == "intent") return ReadIntent(rest);
    if (words[0] == "item") return ReadItem(rest);
    if (words[0] == "upstream") return ReadUpstream(rest);
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

  void ReadEnrollment(const std::vector<std::string>& words) {
    Enrollment& e = snapshot_.enrollment;
    for (const auto& [key, value] : ReadFields(words, 0)) {
      if (const auto status = ParseEnrollmentStatus(key)) {
        e.status = *status;
      } else if (key == "seen") {
        e.last_seen_at = At(value);
      } else if (key == "epoch") {
        e.epoch = std::stoll(value);
      } else if (key == "ask_first") {
        e.ask_first = true;
      } else if (key == "build") {
        e.build_version = value;
      } else if (key == "product") {
        e.product_name = value;
      } else if (key == "info") {
        e.device_information_at.reset();
        if (value != "none") e.device_information_at = At(value);
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

  void ReadWant(const std::vector<std::string>& words) {
    if (words.size() < 3) BadWorld("want");
    DesiredAssignment a;
    a.assignment_id = static_cast<std::int64_t>(snapshot_.assignments.size()) + 1;
    a.payload_identifier = PayloadIdentifier(words[0]);
    a.presence = words[1] == "absent" ? Presence::kAbsent : Presence::kPresent;
    if (a.presence == Presence::kPresent) a.payload_uuid = PayloadUuid(words[1]);
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
      } else if (key == "known") {
        for (const std::string& uuid : Split(value, ',')) a.known_payload_uuids.emplace_back(uuid);
      } else {
        BadWorld(key);
      }
    }
    snapshot_.assignments.push_back(std::move(a));
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

  void ReadIntent(const std::vector<std::string>& words) {
    Intent intent;
    intent.command_uuid = CommandUuid(fmt::format("c{}", snapshot_.intents.size() + 1));
    intent.epoch = snapshot_.enrollment.epoch;
    std::size_t next = 0;
    intent.request_type = words.at(next++);
    if (intent.request_type == request_type::kInstallProfile ||
        intent.request_type == request_type::kRemoveProfile) {
      intent.payload_identifier = PayloadIdentifier(words.at(next++));
    }
    if (intent.request_type == request_type::kInstallProfile) {
      intent.payload_uuid = PayloadUuid(words.at(next++));
    }
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
    if (item.presence == Presence::kPresent) item.payload_uuid = PayloadUuid(words.at(1));
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

  void ReadUpstream(const std::vector<std::string>& words) {
    for (const auto& [key, value] : ReadFields(words, 0)) {
      if (key == "down") snapshot_.upstream_retry_at = At(value);
      if (key == "problem") snapshot_.upstream_problem = Spaced(value);
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

inline std::string DescribeCommand(const PlannedCommand& command) {
  std::string text = command.request_type;
  if (!command.payload_identifier.empty()) text += " " + command.payload_identifier.value();
  if (!command.payload_uuid.empty()) text += " " + command.payload_uuid.value();
  return text;
}

/// The plan in the notation above.
inline std::string DescribePlan(const Plan& plan) {
  std::string actions;
  const auto add = [&](const std::string& action) {
    actions += (actions.empty() ? "" : "; ") + action;
  };
  for (const PlannedCommand& command : plan.commands) add(DescribeCommand(command));
  if (plan.push) add("push");
  if (actions.empty()) actions = "nothing";
  std::string text = actions + "\n";
  for (const ItemRecord& item : plan.items) {
    text += fmt::format("{} {}\n", item.payload_identifier.value(), ItemStateName(item.state));
  }
  for (const ClosedIntent& closed : plan.closed) {
    text +=
        fmt::format("closed {} {}\n", closed.command_uuid.value(), IntentStateName(closed.state));
  }
  return text;
}

/// Everything in a plan, for comparing two of them.
inline std::string DescribePlanInFull(const Plan& plan) {
  std::string text = DescribePlan(plan);
  for (const PlannedCommand& command : plan.commands) text += command.reason + "\n";
  for (const ItemRecord& item : plan.items) {
    text += fmt::format("{} {} {} {} {}\n", item.reason, item.attempts, item.parked, item.sends,
                        ToUnixMs(item.next_attempt_at.value_or(Timestamp())));
  }
  for (const ClosedIntent& closed : plan.closed) text += closed.reason + "\n";
  for (const std::string& note : plan.notes) text += note + "\n";
  return text + FormatTime(plan.due_at) + (plan.wants_wake ? " wants wake" : "");
}

/// The world right after the plan is stored: its commands journaled, its records kept, its closed
/// intents gone.
inline Snapshot CommitPlan(Snapshot snapshot, const Plan& plan, Timestamp now) {
  std::erase_if(snapshot.intents, [&](const Intent& intent) {
    return std::any_of(plan.closed.begin(), plan.closed.end(), [&](const ClosedIntent& closed) {
      return closed.command_uuid == intent.command_uuid;
    });
  });
  int number = 0;
  for (const PlannedCommand& command : plan.commands) {
    Intent intent;
    intent.command_uuid = CommandUuid(fmt::format("{}.{}", ToUnixMs(now), ++number));
    intent.request_type = command.request_type;
    intent.payload_identifier = command.payload_identifier;
    intent.payload_uuid = command.payload_uuid;
    intent.epoch = snapshot.enrollment.epoch;
    intent.journaled_at = now;
    snapshot.intents.push_back(std::move(intent));
  }
  snapshot.items = plan.items;
  snapshot.enrollment.wants_wake = plan.wants_wake;
  if (plan.push) {
    snapshot.enrollment.pushed_at = now;
    ++snapshot.enrollment.push_count;
  }
  return snapshot;
}

/// What a plan must keep whatever the world is. Collects sentences about what it broke.
class PlanChecker {
 public:
  PlanChecker(const Snapshot& snapshot, const Settings& settings, Timestamp now, const Plan& plan)
      : snapshot_(snapshot), settings_(settings), now_(now), plan_(plan) {}

  std::vector<std::string> Check() {
    for (const PlannedCommand& command : plan_.commands) CheckCommand(command);
    CheckOrder();
    CheckQuestions();
    CheckOpenChanges();
    CheckItems();
    CheckTime();
    CheckAgain();
    return broken_;
  }

 private:
  void Must(bool kept, const std::string& what) {
    if (!kept) broken_.push_back(what);
  }

  static bool IsChange(const PlannedCommand& command) {
    return !command.payload_identifier.empty();
  }

  bool StaysOpen(const Intent& intent) const {
    return IsOpen(intent.state) &&
           std::none_of(plan_.closed.begin(), plan_.closed.end(), [&](const ClosedIntent& closed) {
             return closed.command_uuid == intent.command_uuid;
           });
  }

  /// The assignments that decide: those of the narrowest target that there is.
  std::vector<DesiredAssignment> Deciding(const PayloadIdentifier& identifier) const {
    std::vector<DesiredAssignment> device;
    std::vector<DesiredAssignment> all;
    for (const DesiredAssignment& a : snapshot_.assignments) {
      if (a.payload_identifier != identifier) continue;
      (a.target_kind == TargetKind::kDevice ? device : all).push_back(a);
    }
    return device.empty() ? all : device;
  }

  std::vector<ReportedProfile> Reported(const PayloadIdentifier& identifier) const {
    std::vector<ReportedProfile> found;
    if (!snapshot_.profile_list || snapshot_.profile_list->epoch != snapshot_.enrollment.epoch) {
      return found;
    }
    for (const ReportedProfile& profile : snapshot_.profile_list->profiles) {
      if (profile.payload_identifier == identifier) found.push_back(profile);
    }
    return found;
  }

  void CheckCommand(const PlannedCommand& command) {
    const std::string name = DescribeCommand(command);
    const Enrollment& enrollment = snapshot_.enrollment;
    const bool token_update_lost = enrollment.status == EnrollmentStatus::kAuthenticated &&
                                   !IsChange(command) &&
                                   enrollment.last_seen_at + settings_.token_update_wait <= now_;
    Must(enrollment.status == EnrollmentStatus::kEnrolled || token_update_lost,
         name + " to one that is not enrolled");
    Must(!snapshot_.upstream_retry_at || *snapshot_.upstream_retry_at <= now_,
         name + " while the MDM server is out of reach");
    Must(!command.reason.empty(), name + " without a reason");
    if (!IsChange(command)) return;
    Must(enrollment.last_seen_at + settings_.awake_window > now_, name + " to a sleeping device");
    for (const ReportedProfile& profile : Reported(command.payload_identifier)) {
      Must(!profile.has_mdm_payload, name + " touches the enrollment profile");
      Must(!profile.is_declarative, name + " touches what declarative management owns");
    }
    if (command.request_type == request_type::kRemoveProfile) return CheckRemoval(command);
    Must(command.request_type == request_type::kInstallProfile, name + " is no command of ours");
    for (const DesiredAssignment& a : Deciding(command.payload_identifier)) {
      Must(a.presence == Presence::kPresent && a.payload_uuid == command.payload_uuid,
           name + " is not what is assigned");
    }
    Must(!Deciding(command.payload_identifier).empty(), name + " that nobody assigned");
  }

  void CheckRemoval(const PlannedCommand& command) {
    const std::string name = DescribeCommand(command);
    const std::vector<DesiredAssignment> deciding = Deciding(command.payload_identifier);
    const std::vector<ReportedProfile> reported = Reported(command.payload_identifier);
    Must(!deciding.empty(), name + " that nobody asked for by name");
    Must(!reported.empty(), name + " of what no report shows");
    if (snapshot_.profile_list) {
      const ProfileListReport& report = *snapshot_.profile_list;
      const Timestamp seen_at =
          std::max(report.reported_at, report.asked_at.value_or(report.reported_at));
      Must(now_ <= seen_at + settings_.removal_evidence_age_max, name + " on stale evidence");
    }
    bool adopted = false;
    std::set<std::string> known;
    for (const DesiredAssignment& a : deciding) {
      Must(a.presence == Presence::kAbsent, name + " of what is assigned as present");
      adopted = adopted || a.adopt;
      for (const PayloadUuid& uuid : a.known_payload_uuids)
        known.insert(ToUpperAscii(uuid.value()));
    }
    for (const ReportedProfile& profile : reported) {
      Must(adopted || known.contains(ToUpperAscii(profile.payload_uuid)),
           name + " of a stranger's");
    }
  }

  void CheckOrder() {
    int rank = 0;
    for (const PlannedCommand& command : plan_.commands) {
      const int own = IsChange(command)                                          ? 0
                      : command.request_type == request_type::kDeviceInformation ? 1
                                                                                 : 2;
      Must(own >= rank, DescribeCommand(command) + " is out of order");
      rank = own;
    }
  }

  void CheckQuestions() {
    std::multiset<std::string> questions;
    for (const PlannedCommand& command : plan_.commands) {
      if (!IsChange(command)) questions.insert(command.request_type);
    }
    int unknown = 0;
    for (const Intent& intent : snapshot_.intents) {
      if (!StaysOpen(intent) || !intent.payload_identifier.empty()) continue;
      // A ProfileList that was perhaps never queued may be asked once more.
      const bool maybe_not_asked = intent.state == IntentState::kUnknown &&
                                   intent.request_type == request_type::kProfileList;
      if (maybe_not_asked && ++unknown < 2) continue;
      Must(!questions.contains(intent.request_type), intent.request_type + " is asked already");
    }
    for (const std::string& question : questions) {
      Must(questions.count(question) == 1, question + " is asked twice");
    }
  }

  void CheckOpenChanges() {
    std::map<PayloadIdentifier, int> planned;
    int open = 0;
    int sent = 0;
    for (const PlannedCommand& command : plan_.commands) {
      if (!IsChange(command)) continue;
      ++sent;
      Must(++planned[command.payload_identifier] == 1,
           "two commands at once for " + command.payload_identifier.value());
    }
    for (const Intent& intent : snapshot_.intents) {
      if (!StaysOpen(intent) || intent.payload_identifier.empty()) continue;
      ++open;
      Must(!planned.contains(intent.payload_identifier),
           "a command is open already for " + intent.payload_identifier.value());
    }
    Must(sent == 0 || open + sent <= settings_.commands_per_session_max, "the batch is too large");
  }

  void CheckItems() {
    std::set<PayloadIdentifier> wanted;
    for (const DesiredAssignment& a : snapshot_.assignments) wanted.insert(a.payload_identifier);
    std::vector<PayloadIdentifier> recorded;
    for (const ItemRecord& item : plan_.items) {
      const std::string& name = item.payload_identifier.value();
      recorded.push_back(item.payload_identifier);
      Must(item.reason.size() > 1 && item.reason.back() == '.',
           name + " has no sentence: " + item.reason);
      Must(item.state_since > Timestamp() && item.state_since <= now_, name + " since when?");
      Must(item.epoch == snapshot_.enrollment.epoch, name + " is of another epoch");
      if (item.state == ItemState::kVerified) CheckVerified(item);
    }
    Must(std::equal(wanted.begin(), wanted.end(), recorded.begin(), recorded.end()),
         "the records are not those of the desired items");
  }

  void CheckVerified(const ItemRecord& item) {
    const std::string& name = item.payload_identifier.value();
    Must(snapshot_.profile_list && snapshot_.profile_list->epoch == snapshot_.enrollment.epoch,
         name + " is verified by no report");
    Must(item.verified_at.has_value() && !item.parked && !item.next_attempt_at,
         name + " is verified and waits");
    const std::vector<ReportedProfile> reported = Reported(item.payload_identifier);
    if (item.presence == Presence::kAbsent) return Must(reported.empty(), name + " is still there");
    Must(std::any_of(reported.begin(), reported.end(),
                     [&](const ReportedProfile& profile) {
                       return EqualsIgnoreCaseAscii(profile.payload_uuid,
                                                    item.payload_uuid.value());
                     }),
         name + " is not what was reported");
  }

  void CheckTime() {
    Must(plan_.due_at > now_, "the plan is due at once again");
    Must(plan_.due_at <= now_ + std::chrono::hours(24), "the plan is due after more than a day");
    for (const ItemRecord& item : plan_.items) {
      Must(!item.due_at || plan_.due_at <= *item.due_at,
           "the plan is due after " + item.payload_identifier.value());
    }
  }

  /// The same moment, decided again: the same; after the commit: nothing more, and no earlier due
  /// time.
  void CheckAgain() {
    Must(DescribePlanInFull(Reconcile(snapshot_, settings_, now_)) == DescribePlanInFull(plan_),
         "the same world was decided in two ways");
    const Snapshot after = CommitPlan(snapshot_, plan_, now_);
    const Plan again = Reconcile(after, settings_, now_);
    Must(again.commands.empty() && !again.push && again.closed.empty(),
         "after the commit there is more to do: " + DescribePlan(again));
    Must(plan_.due_at <= again.due_at,
         fmt::format("due at {}, but there is something to do at {}", FormatTime(plan_.due_at),
                     FormatTime(again.due_at)));
    Must(plan_.wants_wake || !again.wants_wake, "a poll must make it due, and does not");
    const Plan third = Reconcile(CommitPlan(after, again, now_), settings_, now_);
    Must(DescribePlanInFull(third) == DescribePlanInFull(again), "the records do not come to rest");
  }

  const Snapshot& snapshot_;
  const Settings& settings_;
  const Timestamp now_;
  const Plan& plan_;
  std::vector<std::string> broken_;
};

inline std::string Joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

/// Decides, verifies every promise of a plan, and returns it.
inline Plan DecideChecked(const Snapshot& snapshot, Timestamp now, const Settings& settings = {}) {
  Plan plan = Reconcile(snapshot, settings, now);
  CHECK(Joined(PlanChecker(snapshot, settings, now, plan).Check()) == "");
  return plan;
}

inline std::string Trimmed(const std::string& text) {
  std::string trimmed;
  for (const std::string& line : Split(text, '\n')) {
    std::string words;
    for (const std::string& word : Words(line)) words += (words.empty() ? "" : " ") + word;
    if (!words.empty()) trimmed += words + "\n";
  }
  return trimmed;
}

/// Three strings: the world, the time, the expected plan. Returns the plan for what is not in the
/// notation.
inline Plan CheckPlan(const std::string& world, const std::string& time,
                      const std::string& expected, const Settings& settings = {}) {
  INFO(world);
  const Timestamp now = MustParseTime(time);
  const Plan plan = DecideChecked(ReadWorld(world, now), now, settings);
  CHECK(DescribePlan(plan) == Trimmed(expected));
  return plan;
}

/// The record of an item in a plan.
inline ItemRecord ItemOf(const Plan& plan, const std::string& identifier) {
  for (const ItemRecord& item : plan.items) {
    if (item.payload_identifier.value() == identifier) return item;
  }
  FAIL("no record of " << identifier);
  return {};
}

}  // namespace director::test
