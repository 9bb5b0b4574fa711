#include "reconciler/observe.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "mdm/command.h"

namespace director {
namespace {

/// One event on its way into the state.
struct Step {
  const MdmEvent& event;
  const std::optional<Intent>& intent;
  Timestamp received_at;
  Timestamp heard_at;
  bool is_new = false;
  Observation& out;
};

template <typename T>
void Adopt(T& fact, const T& reported) {
  if (reported != T{}) fact = reported;
}

void Happened(Step& step, std::string sentence) {
  step.out.happenings.push_back(std::move(sentence));
}

void Hear(Step& step) {
  Enrollment& enrollment = step.out.enrollment;
  const bool is_poll = std::holds_alternative<IdleEvent>(step.event.body);
  if (IsAhead(enrollment.last_seen_at, step.received_at)) {
    enrollment.last_seen_at = step.heard_at;
  } else if (!is_poll || step.heard_at >= enrollment.last_seen_at + kPollWriteInterval) {
    enrollment.last_seen_at = std::max(enrollment.last_seen_at, step.heard_at);
  }
  enrollment.push_count = 0;
}

/// Compares a serial number that the device just said with the known one; another one means that
/// two devices share a UDID.
void CheckSerial(Step& step, const std::string& reported) {
  Enrollment& enrollment = step.out.enrollment;
  if (reported.empty() || enrollment.serial_number.empty() ||
      reported == enrollment.serial_number || enrollment.status == EnrollmentStatus::kQuarantined) {
    return;
  }
  enrollment.status = EnrollmentStatus::kQuarantined;
  enrollment.quarantine_reason = fmt::format(
      "the UDID belonged to serial number {} and came with {} at {}. Nothing is sent until an "
      "operator releases it.",
      enrollment.serial_number, reported, FormatTime(step.received_at));
  step.out.due = true;
  Happened(step, "Quarantined: " + enrollment.quarantine_reason);
}

bool IsOlder(const Step& step, const std::optional<Timestamp>& than) {
  return than.has_value() && step.event.created_at < *than;
}

/// Absent is not false: a device keeps awaiting until it says otherwise or was let go.
void TakeAwaiting(Step& step, const std::optional<bool>& awaiting) {
  if (!awaiting) return;
  Enrollment& enrollment = step.out.enrollment;
  enrollment.awaiting_configuration = awaiting;
  if (!*awaiting) {
    enrollment.awaiting_since.reset();
  } else if (!enrollment.awaiting_since) {
    enrollment.awaiting_since = step.received_at;
    Happened(step, "Held in Setup Assistant: it awaits DeviceConfigured.");
  }
}

/// An Authenticate of a device that is in Setup Assistant already may be a renewal there: it stays
/// held, and its time begins again.
void StartSetupAnew(Step& step) {
  Enrollment& enrollment = step.out.enrollment;
  if (enrollment.awaiting_since) {
    enrollment.awaiting_since = step.received_at;
  } else {
    enrollment.awaiting_configuration.reset();
  }
}

/// What is missing from now on, since when.
void Miss(Step& step, EnrollmentStep missing) {
  Enrollment& enrollment = step.out.enrollment;
  if (IsUserChannel(enrollment.channel.type)) missing = EnrollmentStep::kNone;
  if (enrollment.missing_step == missing) return;
  enrollment.missing_step = missing;
  enrollment.missing_since.reset();
  if (missing != EnrollmentStep::kNone) enrollment.missing_since = step.received_at;
}

/// What an event of the device has brought forward: one step is followed by the next.
void TakeSteps(Step& step) {
  const Enrollment& enrollment = step.out.enrollment;
  const auto* result = std::get_if<ResultEvent>(&step.event.body);
  switch (enrollment.status) {
    case EnrollmentStatus::kAuthenticated:
      return Miss(step, EnrollmentStep::kTokenUpdate);
    case EnrollmentStatus::kCheckedOut:
    case EnrollmentStatus::kQuarantined:
      return Miss(step, EnrollmentStep::kNone);
    case EnrollmentStatus::kEnrolled:
      break;
  }
  const bool begins = step.out.begins_epoch || step.is_new ||
                      enrollment.missing_step == EnrollmentStep::kTokenUpdate;
  if (begins) Miss(step, EnrollmentStep::kFirstAnswer);
  const bool answers = result != nullptr && result->status != CommandStatus::kNotNow;
  if (answers && enrollment.missing_step == EnrollmentStep::kFirstAnswer) {
    Miss(step, EnrollmentStep::kProfileList);
  }
  if (step.out.report) Miss(step, EnrollmentStep::kNone);
}

/// From here on nothing that was known about the device is evidence.
void BeginEpoch(Step& step) {
  ++step.out.enrollment.epoch;
  step.out.enrollment.epoch_began_at = step.received_at;
  step.out.begins_epoch = true;
  step.out.enrollment.inventory_at = {};
  step.out.enrollment.identity.reset();
  step.out.enrollment.identity_asked_at.reset();
  step.out.enrollment.renewal.reset();
  step.out.queue_lost = true;
}

/// A device that speaks is enrolled, whatever event got lost before. Its last words may overtake
/// its CheckOut.
void ProveEnrolled(Step& step) {
  Enrollment& enrollment = step.out.enrollment;
  const bool came_back = enrollment.status == EnrollmentStatus::kCheckedOut &&
                         enrollment.authenticated_at &&
                         step.event.created_at > *enrollment.authenticated_at + kLateEventAfter;
  if (enrollment.status != EnrollmentStatus::kAuthenticated && !came_back) return;
  if (came_back) {
    BeginEpoch(step);
    enrollment.ask_first = true;
    Happened(step, "Speaks after it checked out: it is enrolled again.");
  }
  enrollment.status = EnrollmentStatus::kEnrolled;
  step.out.due = true;
}

void TakeFacts(Step& step, const AuthenticateEvent& event) {
  Enrollment& enrollment = step.out.enrollment;
  enrollment.authenticated_at = step.event.created_at;
  enrollment.upstream = step.event.upstream;
  Adopt(enrollment.topic, event.topic);
  Adopt(enrollment.serial_number, event.serial_number);
  Adopt(enrollment.os_version, event.os_version);
  Adopt(enrollment.build_version, event.build_version);
  Adopt(enrollment.product_name, event.product_name);
  Adopt(enrollment.model_name, event.model);
  Adopt(enrollment.device_name, event.device_name);
}

/// True when the device authenticates because its identity is renewed: a command of ours for that
/// is under way, or the Authenticate was said before that had ended.
bool IsRenewal(const Step& step) {
  const Enrollment& enrollment = step.out.enrollment;
  const std::optional<IdentityRenewal>& renewal = enrollment.renewal;
  if (!renewal || enrollment.status == EnrollmentStatus::kCheckedOut) return false;
  if (renewal->ended_at) return step.event.created_at <= *renewal->ended_at;
  return step.received_at < renewal->began_at + kRenewalMax;
}

/// True when the last Authenticate was taken for a renewal.
bool IsTakenForRenewal(const Enrollment& enrollment) {
  return enrollment.renewal && enrollment.renewal->authenticated_at &&
         !enrollment.renewal->ended_at;
}

EnrollmentStatus StatusAfterAuthenticate(bool token_came_first) {
  return token_came_first ? EnrollmentStatus::kEnrolled : EnrollmentStatus::kAuthenticated;
}

/// What was known stays; only the MDM server has dropped its queue, and the device is asked what it
/// has.
void Renew(Step& step, const AuthenticateEvent& event, bool token_came_first) {
  Enrollment& enrollment = step.out.enrollment;
  enrollment.renewal->authenticated_at = step.received_at;
  enrollment.status = StatusAfterAuthenticate(token_came_first);
  enrollment.report_wanted_at = step.received_at;
  TakeFacts(step, event);
  step.out.queue_lost = true;
  step.out.due = true;
  Happened(step, "Authenticates anew, for its identity is being renewed.");
}

void Apply(Step& step, const AuthenticateEvent& event) {
  Enrollment& enrollment = step.out.enrollment;
  if (enrollment.authenticated_at == step.event.created_at) return;
  CheckSerial(step, event.serial_number);
  if (enrollment.status == EnrollmentStatus::kQuarantined) return;
  const bool token_came_first =
      enrollment.enrolled_at && *enrollment.enrolled_at >= step.event.created_at;
  if (IsRenewal(step)) return Renew(step, event, token_came_first);
  const bool seen_just_now = step.received_at - enrollment.first_seen_at <= kLateEventAfter;
  const bool overtaken = token_came_first && seen_just_now && !enrollment.authenticated_at;
  const bool known_before = !step.is_new && !overtaken;
  if (!token_came_first) StartSetupAnew(step);
  if (known_before) BeginEpoch(step);
  enrollment.epoch_began_at = step.received_at;
  enrollment.ask_first = known_before && enrollment.status != EnrollmentStatus::kCheckedOut;
  enrollment.status = StatusAfterAuthenticate(token_came_first);
  TakeFacts(step, event);
  step.out.due = true;
  Happened(step, step.is_new ? "Enrollment began."
                             : fmt::format("Enrolled again (epoch {}).", enrollment.epoch));
}

void Apply(Step& step, const TokenUpdateEvent& event) {
  Enrollment& enrollment = step.out.enrollment;
  Adopt(enrollment.user_short_name, event.user_short_name);
  Adopt(enrollment.topic, event.topic);
  const bool came_back = enrollment.status == EnrollmentStatus::kAuthenticated ||
                         enrollment.status == EnrollmentStatus::kCheckedOut;
  const bool was_enrolled = !step.is_new && enrollment.status == EnrollmentStatus::kEnrolled;
  const bool is_newer = enrollment.enrolled_at && step.event.created_at > *enrollment.enrolled_at;
  if (enrollment.status == EnrollmentStatus::kCheckedOut) {
    BeginEpoch(step);
    enrollment.ask_first = true;
  }
  if (event.awaiting_configuration) {
    const bool was_held = enrollment.awaiting_since.has_value();
    TakeAwaiting(step, event.awaiting_configuration);
    if (*event.awaiting_configuration && !was_held) {
      // A device that comes into Setup Assistant was wiped, whether its Authenticate was heard or
      // not, and there is nothing on it to ask about.
      if ((was_enrolled && is_newer) || IsTakenForRenewal(enrollment)) BeginEpoch(step);
      if (step.is_new) enrollment.epoch_began_at = step.received_at;
      enrollment.ask_first = false;
    }
  }
  enrollment.push_unregistered = false;
  enrollment.enrolled_at =
      std::max(step.event.created_at, enrollment.enrolled_at.value_or(step.event.created_at));
  enrollment.upstream = step.event.upstream;
  if (came_back) {
    enrollment.status = EnrollmentStatus::kEnrolled;
    Happened(step, "Enrolled.");
  }
  step.out.due = true;
}

void Apply(Step& step, const CheckOutEvent&) {
  Enrollment& enrollment = step.out.enrollment;
  if (IsOlder(step, enrollment.enrolled_at) || enrollment.status == EnrollmentStatus::kCheckedOut)
    return;
  if (enrollment.status != EnrollmentStatus::kQuarantined) {
    enrollment.status = EnrollmentStatus::kCheckedOut;
    enrollment.authenticated_at = step.event.created_at;
  }
  step.out.queue_lost = true;
  step.out.due = true;
  Happened(step, "Checked out of management.");
}

void Apply(Step& step, const IdleEvent&) {
  ProveEnrolled(step);
  Enrollment& enrollment = step.out.enrollment;
  // Its TokenUpdate with a new push token may not have been heard.
  const bool may_have_token = std::exchange(enrollment.push_unregistered, false);
  step.out.due = step.out.due || enrollment.wants_wake || may_have_token;
}

void Apply(Step& step, const OtherEvent&) { ProveEnrolled(step); }

std::string DescribeError(const ClassifiedError& error) {
  std::string text = error.text.empty() ? std::string("no description.") : error.text;
  if (text.back() != '.' && text.back() != '!') text += ".";
  if (!error.domain.empty()) {
    text += fmt::format(" ({} {}{}{})", error.domain, error.code, error.meaning.empty() ? "" : ": ",
                        error.meaning);
  }
  return text;
}

/// A device that refuses DeviceConfigured is asked whether it awaits it at all.
void TakeLetGo(Step& step, CommandStatus status) {
  Enrollment& enrollment = step.out.enrollment;
  if (status == CommandStatus::kAcknowledged) {
    TakeAwaiting(step, false);
    Happened(step, "Let go from Setup Assistant.");
  } else if (status != CommandStatus::kNotNow) {
    enrollment.inventory_at[InventoryKind::kDeviceInformation].reset();
  }
}

/// True when the device said that VerifyRecoveryLock brought another password than its own. Some
/// Macs say it by an error. Source: Apple's error codes, ROSLockoutServiceDaemonErrorDomain 8
/// (recovery password failed validation), which Apple does not document; seen in the field.
bool DeniesPassword(const Intent& intent, const ResultEvent& result) {
  if (intent.request_type != request_type::kVerifyRecoveryLock) return false;
  if (result.status == CommandStatus::kAcknowledged) return result.password_verified == false;
  if (result.status != CommandStatus::kError) return false;
  return std::any_of(
      result.error_chain.begin(), result.error_chain.end(), [](const ErrorChainEntry& entry) {
        return entry.domain == "ROSLockoutServiceDaemonErrorDomain" && entry.code == 8;
      });
}

/// An answer to VerifyRecoveryLock that does not say what was asked proves nothing.
void TakeAcknowledged(const ResultEvent& result, Intent& intent) {
  intent.state = IntentState::kAcknowledged;
  if (intent.request_type != request_type::kVerifyRecoveryLock || result.password_verified) return;
  intent.state = IntentState::kFailed;
  intent.error_class = ErrorClass::kPermanent;
  intent.error = "The answer does not say whether this is the password (PasswordVerified).";
}

/// Takes the answer into the journaled intent. A second answer to the same command changes nothing.
void Answer(Step& step, const ResultEvent& result) {
  if (!step.intent || !IsOpen(step.intent->state)) return;
  Intent intent = *step.intent;
  switch (result.status) {
    case CommandStatus::kNotNow:
      if (intent.not_now_at && step.event.created_at <= *intent.not_now_at) return;
      intent.state = IntentState::kNotNow;
      ++intent.not_now_count;
      intent.not_now_at = step.event.created_at;
      break;
    case CommandStatus::kAcknowledged:
      TakeAcknowledged(result, intent);
      break;
    case CommandStatus::kError: {
      const ClassifiedError error = ClassifyErrorChain(result.error_chain, intent.request_type);
      intent.state = IntentState::kFailed;
      intent.error_class = error.error_class;
      intent.error = DescribeError(error);
      if (!result.rejection_reason.empty()) {
        intent.error +=
            fmt::format(" RejectionReason: {}.", Printable(result.rejection_reason, 64));
      }
      break;
    }
    case CommandStatus::kCommandFormatError:
      intent.state = IntentState::kFailed;
      intent.error_class = ErrorClass::kPermanent;
      intent.error = "The device says that the command is malformed (CommandFormatError).";
      break;
  }
  if (DeniesPassword(intent, result)) intent.state = IntentState::kDenied;
  if (result.status != CommandStatus::kNotNow) intent.answered_at = step.event.created_at;
  if (intent.request_type == request_type::kDeviceConfigured) {
    TakeLetGo(step, result.status);
  }
  if (intent.state == IntentState::kFailed) {
    Happened(step, fmt::format("{} {} failed: {}", intent.request_type,
                               intent.payload_identifier.value(), intent.error));
  }
  step.out.intent = std::move(intent);
  step.out.due = true;
}

void TakeFacts(Step& step, const DeviceInformationReport& report) {
  Enrollment& enrollment = step.out.enrollment;
  Adopt(enrollment.serial_number, report.serial_number);
  Adopt(enrollment.os_version, report.os_version);
  Adopt(enrollment.build_version, report.build_version);
  Adopt(enrollment.product_name, report.product_name);
  Adopt(enrollment.model_name, report.model_name);
  Adopt(enrollment.device_name, report.device_name);
  Adopt(enrollment.is_supervised, report.is_supervised);
  TakeAwaiting(step, report.awaiting_configuration);
}

/// What answers somebody else's question may be a part of the list.
bool IsOurs(const Step& step, const InventoryReport& inventory) {
  return step.intent && step.intent->request_type == InventoryKindName(inventory.kind);
}

DeviceReport OurReport(const Step& step) {
  return {step.out.enrollment.epoch, step.event.created_at, step.intent->journaled_at};
}

void TakeAppLists(Step& step, const InventoryReport& inventory) {
  if (!IsOurs(step, inventory)) return;
  const PlistArray* list = inventory.answer.AsArray();
  const PlistDict* dict = inventory.answer.AsDict();
  if (inventory.kind == InventoryKind::kInstalledApplicationList && list != nullptr) {
    step.out.app_list = AppListReport{OurReport(step), ReadApps(*list)};
  }
  if (inventory.kind == InventoryKind::kManagedApplicationList && dict != nullptr) {
    step.out.managed_app_list = ManagedAppListReport{OurReport(step), ReadManagedApps(*dict)};
  }
}

void TakeIdentity(Step& step, const ResultEvent& result) {
  if (!IsOurs(step, *result.inventory)) return;
  if (result.inventory->kind != InventoryKind::kCertificateList) return;
  step.out.enrollment.identity = result.identity;
  step.out.enrollment.identity_asked_at = step.intent->journaled_at;
}

/// Keeps the answer to a question about the device unless a newer one is kept.
void TakeInventory(Step& step, const ResultEvent& result) {
  if (!result.inventory) return;
  Enrollment& enrollment = step.out.enrollment;
  if (result.device_information) CheckSerial(step, result.device_information->serial_number);
  // Which device speaks for a quarantined enrollment is not known.
  if (enrollment.status == EnrollmentStatus::kQuarantined) return;
  std::optional<Timestamp>& answered_at = enrollment.inventory_at[result.inventory->kind];
  const bool is_kept = answered_at && !IsOfAnotherTime(*answered_at, step.received_at);
  // Nothing is answered before it was asked: the MDM server's clock may be hours behind ours.
  const Timestamp asked_at = step.intent ? step.intent->journaled_at : Timestamp::min();
  const Timestamp said_at = std::max(step.event.created_at, asked_at);
  if (is_kept && said_at < *answered_at) return;
  answered_at = said_at;
  step.out.inventory = result.inventory;
  step.out.due = true;
  TakeIdentity(step, result);
  TakeAppLists(step, *result.inventory);
  if (result.device_information) TakeFacts(step, *result.device_information);
}

void Apply(Step& step, const ResultEvent& result) {
  ProveEnrolled(step);
  Answer(step, result);
  TakeInventory(step, result);
  if (step.out.enrollment.status == EnrollmentStatus::kQuarantined) return;
  if (result.profile_list && result.status == CommandStatus::kAcknowledged) {
    ProfileListReport report;
    report.epoch = step.out.enrollment.epoch;
    report.reported_at = step.event.created_at;
    if (step.intent && step.intent->request_type == request_type::kProfileList) {
      report.asked_at = step.intent->journaled_at;
    }
    report.profiles = *result.profile_list;
    step.out.report = std::move(report);
    step.out.due = true;
  }
}

/// When the device spoke, by our clock. Nothing answers a command before it was journaled: that
/// alone shows a device awake when the MDM server's clock is behind ours and every event looks
/// late.
Timestamp HeardAt(const MdmEvent& event, const std::optional<Intent>& intent,
                  Timestamp received_at) {
  const bool late = received_at - event.created_at > kLateEventAfter;
  if (!late) return received_at;
  if (!intent) return event.created_at;
  return std::max(event.created_at, std::min(intent->journaled_at, received_at));
}

Enrollment NewEnrollment(const MdmEvent& event, Timestamp received_at) {
  Enrollment enrollment;
  enrollment.channel = event.channel;
  enrollment.upstream = event.upstream;
  enrollment.first_seen_at = received_at;
  enrollment.ask_first = true;
  return enrollment;
}

}  // namespace

Observation Observe(const std::optional<Enrollment>& known, const std::optional<Intent>& intent,
                    const MdmEvent& event, Timestamp received_at) {
  Observation out;
  out.enrollment = known ? *known : NewEnrollment(event, received_at);
  Step step{event, intent, received_at, HeardAt(event, intent, received_at), !known, out};
  // What was said before the last Authenticate or CheckOut is about a device that may have been
  // wiped since.
  if (!IsOlder(step, out.enrollment.authenticated_at)) {
    std::visit([&](const auto& body) { Apply(step, body); }, event.body);
    TakeSteps(step);
  }

  const bool only_a_poll = !out.due && known && out.enrollment == *known;
  const bool seen_lately = known && !IsAhead(known->last_seen_at, received_at) &&
                           step.heard_at < known->last_seen_at + kSeenWriteInterval;
  if (only_a_poll && seen_lately && known->push_count == 0) return out;
  Hear(step);
  out.enrollment_changed = !known || out.enrollment != *known;
  return out;
}

}  // namespace director
