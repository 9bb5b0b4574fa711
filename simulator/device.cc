#include "simulator/device.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/digest.h"
#include "base/text.h"

namespace director {
namespace {

constexpr std::string_view kTopic = "com.apple.mgmt.External.11111111-2222-3333-4444-555555555555";
constexpr std::size_t kLogTextMaxBytes = 160;

constexpr std::string_view kSecurityInfo = "SecurityInfo";
constexpr std::string_view kDeviceConfigured = "DeviceConfigured";

std::vector<ErrorChainEntry> OneError(std::string domain, std::int64_t code, std::string text) {
  ErrorChainEntry entry{code, std::move(domain), text, text};
  return {std::move(entry)};
}

bool IsChange(std::string_view request_type) {
  return request_type == request_type::kInstallProfile ||
         request_type == request_type::kRemoveProfile;
}

PlistArray EncodeErrorChain(const std::vector<ErrorChainEntry>& chain) {
  PlistArray array;
  for (const ErrorChainEntry& entry : chain) {
    PlistDict dict;
    dict.Set("ErrorCode", PlistInteger::FromSigned(entry.code));
    dict.Set("ErrorDomain", entry.domain);
    dict.Set("LocalizedDescription", entry.localized_description);
    if (!entry.us_english_description.empty()) {
      dict.Set("USEnglishDescription", entry.us_english_description);
    }
    array.emplace_back(std::move(dict));
  }
  return array;
}

}  // namespace

VirtualDevice::VirtualDevice(DeviceFacts facts, DeviceBehaviour behaviour, std::uint64_t seed)
    : facts_(std::move(facts)),
      behaviour_(std::move(behaviour)),
      random_(seed ^ StableHash(facts_.udid + ":" + facts_.user_id)) {
  StartEpoch();
}

void VirtualDevice::StartEpoch() {
  ++epoch_;
  const std::string name = fmt::format("{}:{} {}", facts_.udid, facts_.user_id, epoch_);
  const Sha256Digest digest = Sha256("push token " + name);
  token_.assign(digest.begin(), digest.end());
  SeededRandom random(StableHash("push magic " + name));
  push_magic_ = MakeUuid(random);
  awaiting_configuration_ = behaviour_.awaits_configuration && !IsUserChannel();
  state_ = IsUserChannel() ? EnrollmentState::kAuthenticated : EnrollmentState::kNotEnrolled;
  leaves_ = false;
  sent_ = Sent::kNothing;
  undelivered_result_.clear();
  self_poll_at_.reset();
  const InstalledProfile enrollment = MakeEnrollmentProfile(facts_);
  if (IsUserChannel() || FindProfile(enrollment.payload_identifier) != nullptr) return;
  profiles_.insert(profiles_.begin(), enrollment);
}

void VirtualDevice::Reenroll(ReenrollmentKind kind, Timestamp now) {
  switch (kind) {
    case ReenrollmentKind::kKept:
      Note(now, "enrolls again, keeps its profiles");
      break;
    case ReenrollmentKind::kWiped:
      Note(now, "was erased, enrolls again");
      profiles_.clear();
      is_dark_ = false;
      break;
  }
  StartEpoch();
}

// --- messages -----------------------------------------------------------------------------------

PlistDict VirtualDevice::IdentityKeys() const {
  PlistDict dict;
  dict.Set("UDID", facts_.udid);
  if (!IsUserChannel()) return dict;
  dict.Set("UserID", facts_.user_id);
  dict.Set("UserShortName", facts_.user_short_name);
  dict.Set("UserLongName", facts_.user_long_name);
  return dict;
}

DeviceMessage VirtualDevice::MakeAuthenticate() const {
  PlistDict dict = IdentityKeys();
  dict.Set("MessageType", "Authenticate");
  dict.Set("Topic", std::string(kTopic));
  dict.Set("SerialNumber", facts_.serial_number);
  dict.Set("OSVersion", facts_.os_version);
  dict.Set("BuildVersion", facts_.build_version);
  dict.Set("ProductName", facts_.product_name);
  switch (facts_.kind) {
    case DeviceKind::kMac:
      dict.Set("DeviceName", facts_.device_name);
      dict.Set("Model", facts_.product_name);
      dict.Set("ModelName", facts_.model_name);
      break;
    case DeviceKind::kIphone:
      break;
  }
  return {MessageKind::kCheckin, EncodePlistXml(std::move(dict)), Duration::zero()};
}

DeviceMessage VirtualDevice::MakeTokenUpdate() const {
  PlistDict dict = IdentityKeys();
  dict.Set("MessageType", "TokenUpdate");
  dict.Set("Topic", std::string(kTopic));
  dict.Set("PushMagic", push_magic_);
  dict.Set("Token", PlistData{token_});
  // Real devices outside ADE leave the key out; absent is not false.
  if (awaiting_configuration_) dict.Set("AwaitingConfiguration", true);
  return {MessageKind::kCheckin, EncodePlistXml(std::move(dict)), Duration::zero()};
}

DeviceMessage VirtualDevice::MakeCheckOut() const {
  PlistDict dict = IdentityKeys();
  dict.Set("MessageType", "CheckOut");
  dict.Set("Topic", std::string(kTopic));
  return {MessageKind::kCheckin, EncodePlistXml(std::move(dict)), Duration::zero()};
}

DeviceMessage VirtualDevice::MakeIdle() const {
  PlistDict dict = IdentityKeys();
  dict.Set("Status", "Idle");
  return {MessageKind::kConnect, EncodePlistXml(std::move(dict)), Duration::zero()};
}

// --- sessions -----------------------------------------------------------------------------------

DeviceMessage VirtualDevice::Send(Sent sent, DeviceMessage message) {
  sent_ = sent;
  ++session_messages_;
  return message;
}

std::optional<DeviceMessage> VirtualDevice::BeginSession(Timestamp now) {
  Advance(now);
  if (!IsAwake(now)) return std::nullopt;
  session_messages_ = 0;
  last_was_not_now_ = false;
  self_poll_at_.reset();
  switch (state_) {
    case EnrollmentState::kNotEnrolled:
      Note(now, "sends Authenticate");
      return Send(Sent::kAuthenticate, MakeAuthenticate());
    case EnrollmentState::kAuthenticated:
      return Send(Sent::kTokenUpdate, MakeTokenUpdate());
    case EnrollmentState::kEnrolled:
      break;
    case EnrollmentState::kGone:
      return std::nullopt;
  }
  if (undelivered_result_.empty()) return Send(Sent::kIdle, MakeIdle());
  return Send(Sent::kResult, {MessageKind::kConnect, undelivered_result_, Duration::zero()});
}

std::optional<DeviceMessage> VirtualDevice::HandleReply(const DeviceReply& reply, Timestamp now) {
  if (sent_ == Sent::kNothing) return std::nullopt;
  if (reply.status == 401) {
    Unenroll("was refused with 401", now);
    return std::nullopt;
  }
  if (reply.status == 200) return HandleAccepted(reply.body, now);
  Note(now, reply.status == 0 ? "got no answer" : fmt::format("got HTTP {}", reply.status));
  // CheckOut is sent once; whether it arrives changes nothing for the device.
  if (sent_ == Sent::kCheckOut) Unenroll("checked out", now);
  sent_ = Sent::kNothing;
  return std::nullopt;
}

std::optional<DeviceMessage> VirtualDevice::HandleAccepted(const std::string& body, Timestamp now) {
  switch (sent_) {
    case Sent::kAuthenticate:
      state_ = EnrollmentState::kAuthenticated;
      return Send(Sent::kTokenUpdate, MakeTokenUpdate());
    case Sent::kTokenUpdate:
      state_ = EnrollmentState::kEnrolled;
      Note(now, "is enrolled");
      return Send(Sent::kIdle, MakeIdle());
    case Sent::kCheckOut:
      Unenroll("checked out", now);
      return std::nullopt;
    case Sent::kIdle:
    case Sent::kResult:
      undelivered_result_.clear();
      if (leaves_) return Send(Sent::kCheckOut, MakeCheckOut());
      return body.empty() ? EndSession() : HandleCommand(body, now);
    case Sent::kNothing:
      break;
  }
  return std::nullopt;
}

std::optional<DeviceMessage> VirtualDevice::HandleCommand(const std::string& body, Timestamp now) {
  if (session_messages_ >= kSessionMessagesMax) {
    Note(now, "gave up a session without end");
    return EndSession();
  }
  Result<CommandAnswer> answer = Execute(body, now);
  if (!answer) {
    Note(now, "received a command that it cannot read");
    return EndSession();
  }
  if (answer->body.empty()) return EndSession();
  undelivered_result_ = answer->body;
  return Send(Sent::kResult, {MessageKind::kConnect, std::move(answer->body), answer->delay});
}

std::optional<DeviceMessage> VirtualDevice::EndSession() {
  // Only NotNow as the very last word promises a poll by itself.
  if (sent_ == Sent::kResult && last_was_not_now_) self_poll_at_ = not_now_until_;
  sent_ = Sent::kNothing;
  return std::nullopt;
}

void VirtualDevice::Unenroll(std::string_view why, Timestamp now) {
  Note(now, fmt::format("{}: management ended, profiles are gone", why));
  profiles_.clear();
  undelivered_result_.clear();
  state_ = EnrollmentState::kGone;
  sent_ = Sent::kNothing;
}

bool VirtualDevice::IsAwake(Timestamp now) const {
  return !is_dark_ && state_ != EnrollmentState::kGone && IsAwakeAt(behaviour_.wake, now);
}

std::optional<Timestamp> VirtualDevice::NextAwakeTime(Timestamp now) const {
  if (is_dark_ || state_ == EnrollmentState::kGone) return std::nullopt;
  return NextAwakeAt(behaviour_.wake, now);
}

// --- commands -----------------------------------------------------------------------------------

VirtualDevice::Outcome VirtualDevice::Failed(std::vector<ErrorChainEntry> error_chain) {
  Outcome outcome;
  outcome.status = CommandStatus::kError;
  outcome.error_chain = std::move(error_chain);
  return outcome;
}

VirtualDevice::Outcome VirtualDevice::FormatError() {
  Outcome outcome;
  outcome.status = CommandStatus::kCommandFormatError;
  return outcome;
}

const NotNowPhase* VirtualDevice::ActiveNotNow(std::string_view request_type, Timestamp now) {
  for (const NotNowPhase& phase : behaviour_.not_now) {
    if (now < phase.from || now >= phase.until) continue;
    if (phase.scope == NotNowScope::kChanges && !IsChange(request_type)) continue;
    if (random_.Fraction() < phase.probability) return &phase;
  }
  return nullptr;
}

Result<CommandAnswer> VirtualDevice::Execute(std::string_view command, Timestamp now) {
  Result<ReceivedCommand> received = DecodeCommand(command);
  if (!received) return Fail(received.error());
  const NotNowPhase* phase = ActiveNotNow(received->request_type, now);
  Outcome outcome;
  if (phase != nullptr) {
    outcome.status = CommandStatus::kNotNow;
    not_now_until_ = phase->until == Timestamp::max() ? std::nullopt : std::optional(phase->until);
  } else {
    outcome = Run(*received, now);
  }
  last_was_not_now_ = outcome.status == CommandStatus::kNotNow;
  CommandAnswer answer;
  answer.status = CommandStatusName(outcome.status);
  Note(now, fmt::format("{}: {}", received->request_type, answer.status));
  if (is_dark_) return answer;
  if (received->request_type == request_type::kInstallProfile && phase == nullptr) {
    answer.delay = behaviour_.install_delay;
  }
  answer.body = EncodeResult(*received, outcome);
  return answer;
}

std::string VirtualDevice::EncodeResult(const ReceivedCommand& command,
                                        const Outcome& outcome) const {
  PlistDict dict = IdentityKeys();
  dict.Set("CommandUUID", command.command_uuid.value());
  dict.Set("Status", std::string(CommandStatusName(outcome.status)));
  if (!outcome.error_chain.empty()) dict.Set("ErrorChain", EncodeErrorChain(outcome.error_chain));
  for (const auto& [key, value] : outcome.extra.entries()) dict.Set(key, value);
  return EncodePlistXml(std::move(dict));
}

VirtualDevice::Outcome VirtualDevice::Run(const ReceivedCommand& command, Timestamp now) {
  const std::string& type = command.request_type;
  if (type == request_type::kInstallProfile) return RunInstallProfile(command.body, now);
  if (type == request_type::kRemoveProfile) return RunRemoveProfile(command.body, now);
  if (type == request_type::kProfileList) return RunProfileList();
  if (type == request_type::kDeviceInformation) return RunDeviceInformation(command.body);
  if (type == kSecurityInfo) return RunSecurityInfo();
  if (type == kDeviceConfigured) return RunDeviceConfigured();
  return Failed(
      OneError("MCMDMErrorDomain", 12021, fmt::format("“{}” is not a valid request type.", type)));
}

VirtualDevice::Outcome VirtualDevice::RunInstallProfile(const PlistDict& body, Timestamp now) {
  const PlistValue* payload = body.Find("Payload");
  const PlistData* data = payload == nullptr ? nullptr : payload->AsData();
  if (data == nullptr) return FormatError();
  auto read = ReadInstallPayload(data->bytes, facts_.kind);
  if (auto* chain = std::get_if<std::vector<ErrorChainEntry>>(&read)) return Failed(*chain);
  InstalledProfile profile = std::move(*std::get_if<InstalledProfile>(&read));
  const PayloadIdentifier identifier = profile.payload_identifier;
  if (auto chain = RefuseMdmPayload(profile)) return Failed(std::move(*chain));
  if (auto chain = PlannedFailure(identifier)) return Failed(std::move(*chain));
  if (!Put(std::move(profile), now)) {
    return Failed(InstallFailedChain("MCInstallationErrorDomain", 4016, "Internal error."));
  }
  if (identifier == behaviour_.dark_after) {
    is_dark_ = true;
    Note(now, "lost its network");
  }
  return {};
}

bool VirtualDevice::Put(InstalledProfile profile, Timestamp now) {
  profile.installed_at = now;
  const std::string name = profile.payload_identifier.value();
  const auto place =
      std::find_if(profiles_.begin(), profiles_.end(), [&](const InstalledProfile& p) {
        return p.payload_identifier == profile.payload_identifier;
      });
  if (place != profiles_.end()) {
    *place = std::move(profile);
    Note(now, "replaced profile " + name);
    return true;
  }
  if (profiles_.size() >= kDeviceProfilesMax) return false;
  profiles_.push_back(std::move(profile));
  Note(now, "installed profile " + name);
  return true;
}

std::optional<std::vector<ErrorChainEntry>> VirtualDevice::RefuseMdmPayload(
    const InstalledProfile& profile) const {
  const InstalledProfile* old = FindProfile(profile.payload_identifier);
  const bool replaces_enrollment = old != nullptr && old->has_mdm_payload;
  if (profile.has_mdm_payload && !replaces_enrollment) {
    return InstallFailedChain("MCMDMErrorDomain", 12001, "A device can have one MDM profile only.");
  }
  if (!profile.has_mdm_payload && replaces_enrollment) {
    return InstallFailedChain("MCInstallationErrorDomain", 4015,
                              "The replacement profile holds no MDM payload.");
  }
  return std::nullopt;
}

std::optional<std::vector<ErrorChainEntry>> VirtualDevice::PlannedFailure(
    const PayloadIdentifier& identifier) {
  const InstallFailure* failure = behaviour_.FindInstallFailure(identifier);
  if (failure == nullptr) return std::nullopt;
  if (!failure->times) return failure->error_chain;
  // Identifiers come from outside: a full table fails no more profiles instead of growing.
  if (install_tries_.size() >= kDeviceProfilesMax && !install_tries_.contains(identifier))
    return std::nullopt;
  if (install_tries_[identifier]++ < *failure->times) return failure->error_chain;
  return std::nullopt;
}

VirtualDevice::Outcome VirtualDevice::RunRemoveProfile(const PlistDict& body, Timestamp now) {
  const PlistValue* value = body.Find("Identifier");
  const std::string* text = value == nullptr ? nullptr : value->AsString();
  const bool is_mac = facts_.kind == DeviceKind::kMac;
  if (text == nullptr || text->empty()) {
    if (!is_mac) return FormatError();
    return Failed(OneError("MDMClientError", 97, "RemoveProfile needs an Identifier."));
  }
  const PayloadIdentifier identifier(*text);
  const InstalledProfile* profile = FindProfile(identifier);
  if (profile == nullptr) {
    const std::string message = fmt::format("The profile “{}” is not installed.", *text);
    return Failed(is_mac ? OneError("MDMClientError", 89, message)
                         : OneError("MCMDMErrorDomain", 12075, message));
  }
  if (profile->has_mdm_payload) {
    Note(now, "was told to remove its enrollment profile");
    leaves_ = true;
    return {};
  }
  std::erase_if(profiles_,
                [&](const InstalledProfile& p) { return p.payload_identifier == identifier; });
  Note(now, "removed profile " + *text);
  return {};
}

VirtualDevice::Outcome VirtualDevice::RunProfileList() const {
  PlistArray list;
  for (const InstalledProfile& profile : profiles_) {
    list.emplace_back(EncodeProfileListEntry(profile, facts_.kind));
  }
  Outcome outcome;
  outcome.extra.Set("ProfileList", std::move(list));
  return outcome;
}

VirtualDevice::Outcome VirtualDevice::RunDeviceInformation(const PlistDict& body) const {
  const PlistValue* value = body.Find("Queries");
  const PlistArray* queries = value == nullptr ? nullptr : value->AsArray();
  if (queries == nullptr) return FormatError();
  PlistDict known;
  known.Set("UDID", facts_.udid);
  known.Set("SerialNumber", facts_.serial_number);
  known.Set("OSVersion", facts_.os_version);
  known.Set("BuildVersion", facts_.build_version);
  known.Set("ProductName", facts_.product_name);
  known.Set("ModelName", facts_.model_name);
  known.Set("DeviceName", facts_.device_name);
  known.Set("IsSupervised", true);
  known.Set("AwaitingConfiguration", awaiting_configuration_);
  if (facts_.kind == DeviceKind::kMac) known.Set("IsAppleSilicon", true);
  PlistDict responses;
  for (const PlistValue& query : *queries) {
    const std::string* key = query.AsString();
    const PlistValue* answer = key == nullptr ? nullptr : known.Find(*key);
    // Devices leave out what they do not know and still acknowledge.
    if (answer != nullptr) responses.Set(*key, *answer);
  }
  Outcome outcome;
  outcome.extra.Set("QueryResponses", std::move(responses));
  return outcome;
}

VirtualDevice::Outcome VirtualDevice::RunSecurityInfo() const {
  PlistDict management;
  management.Set("IsUserEnrollment", false);
  PlistDict info;
  switch (facts_.kind) {
    case DeviceKind::kMac:
      management.Set("EnrolledViaDEP", behaviour_.awaits_configuration);
      management.Set("UserApprovedEnrollment", true);
      info.Set("FDE_Enabled", true);
      info.Set("SystemIntegrityProtectionEnabled", true);
      break;
    case DeviceKind::kIphone:
      info.Set("HardwareEncryptionCaps", PlistInteger::FromSigned(3));
      info.Set("PasscodePresent", true);
      info.Set("PasscodeCompliant", true);
      break;
  }
  info.Set("ManagementStatus", std::move(management));
  Outcome outcome;
  outcome.extra.Set("SecurityInfo", std::move(info));
  return outcome;
}

VirtualDevice::Outcome VirtualDevice::RunDeviceConfigured() {
  if (!awaiting_configuration_) {
    return Failed(OneError("MCMDMErrorDomain", 12021, "The device does not await configuration."));
  }
  awaiting_configuration_ = false;
  return {};
}

// --- time ---------------------------------------------------------------------------------------

void VirtualDevice::Advance(Timestamp now) {
  while (os_updates_done_ < behaviour_.os_updates.size() &&
         behaviour_.os_updates[os_updates_done_].at <= now) {
    const OsUpdate& update = behaviour_.os_updates[os_updates_done_++];
    facts_.os_version = update.os_version;
    facts_.build_version = update.build_version;
    Note(now, fmt::format("updated to {} ({})", update.os_version, update.build_version));
  }
  AdvanceDeletions(now);
  while (reenrollments_done_ < behaviour_.reenrollments.size() &&
         behaviour_.reenrollments[reenrollments_done_].at <= now) {
    Reenroll(behaviour_.reenrollments[reenrollments_done_++].kind, now);
  }
}

void VirtualDevice::AdvanceDeletions(Timestamp now) {
  for (ProfileDeletion& deletion : behaviour_.deletions) {
    if (deletion.at > now) continue;
    if (deletion.payload_identifier.empty()) {
      DeleteAnyProfile(now);
    } else {
      DeleteProfile(deletion.payload_identifier, now);
    }
    // Missed turns are not made up for: one deletion however long the device was not looked at.
    if (deletion.every <= Duration::zero()) {
      deletion.at = Timestamp::max();
    } else {
      deletion.at += ((now - deletion.at) / deletion.every + 1) * deletion.every;
    }
  }
}

bool VirtualDevice::DeleteProfile(const PayloadIdentifier& payload_identifier, Timestamp now) {
  const InstalledProfile* profile = FindProfile(payload_identifier);
  if (profile == nullptr || profile->has_mdm_payload) return false;
  const PayloadIdentifier identifier = payload_identifier;
  std::erase_if(profiles_,
                [&](const InstalledProfile& p) { return p.payload_identifier == identifier; });
  Note(now, "a person deleted profile " + identifier.value());
  return true;
}

void VirtualDevice::DeleteAnyProfile(Timestamp now) {
  std::vector<PayloadIdentifier> candidates;
  for (const InstalledProfile& profile : profiles_) {
    if (!profile.has_mdm_payload) candidates.push_back(profile.payload_identifier);
  }
  if (candidates.empty()) return;
  DeleteProfile(candidates[random_.Below(candidates.size())], now);
}

std::optional<Timestamp> VirtualDevice::NextOwnEventAt() const {
  Timestamp next = Timestamp::max();
  for (const ProfileDeletion& deletion : behaviour_.deletions) next = std::min(next, deletion.at);
  if (os_updates_done_ < behaviour_.os_updates.size()) {
    next = std::min(next, behaviour_.os_updates[os_updates_done_].at);
  }
  if (reenrollments_done_ < behaviour_.reenrollments.size()) {
    next = std::min(next, behaviour_.reenrollments[reenrollments_done_].at);
  }
  return next == Timestamp::max() ? std::nullopt : std::optional(next);
}

const InstalledProfile* VirtualDevice::FindProfile(
    const PayloadIdentifier& payload_identifier) const {
  for (const InstalledProfile& profile : profiles_) {
    if (profile.payload_identifier == payload_identifier) return &profile;
  }
  return nullptr;
}

void VirtualDevice::Note(Timestamp now, std::string_view text) {
  log_.push_back({now, Printable(text, kLogTextMaxBytes)});
  if (log_.size() > kDeviceLogMax) log_.pop_front();
}

}  // namespace director
