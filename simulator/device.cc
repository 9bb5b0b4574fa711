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

}  // namespace

VirtualDevice::VirtualDevice(DeviceFacts facts, DeviceBehaviour behaviour, std::uint64_t seed)
    : facts_(std::move(facts)),
      behaviour_(std::move(behaviour)),
      random_(seed ^ StableHash(facts_.udid + ":" + facts_.user_id)),
      key_random_(seed ^ StableHash("recovery keys of " + facts_.udid)),
      identity_(facts_.udid,
                facts_.user_id.empty() ? behaviour_.identity_lifetime : Duration::zero()) {
  if (behaviour_.identity_ends_at) identity_.Replace(*behaviour_.identity_ends_at);
  StartFileVault();
  StartEpoch();
  StartSetup();
}

/// A device that is new or was erased begins in Setup Assistant.
void VirtualDevice::StartSetup() {
  awaiting_configuration_ = behaviour_.awaits_configuration && !IsUserChannel();
}

void VirtualDevice::StartEpoch() {
  ++epoch_;
  const std::string name = fmt::format("{}:{} {}", facts_.udid, facts_.user_id, epoch_);
  const Sha256Digest digest = Sha256("push token " + name);
  token_.assign(digest.begin(), digest.end());
  SeededRandom random(StableHash("push magic " + name));
  push_magic_ = MakeUuid(random);
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
      apps_.Clear();
      accounts_.clear();
      recovery_lock_password_.clear();
      StartFileVault();
      is_dark_ = false;
      is_erased_ = false;
      unlocks_at_.reset();
      StartSetup();
      break;
  }
  identity_.Replace(now + behaviour_.identity_lifetime);
  is_renewing_ = false;
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
  return {MessageKind::kCheckin, EncodePlistXml(std::move(dict))};
}

DeviceMessage VirtualDevice::MakeTokenUpdate() const {
  PlistDict dict = IdentityKeys();
  dict.Set("MessageType", "TokenUpdate");
  dict.Set("Topic", std::string(kTopic));
  dict.Set("PushMagic", push_magic_);
  dict.Set("Token", PlistData{token_});
  // Real devices outside ADE leave the key out; absent is not false.
  if (awaiting_configuration_) dict.Set("AwaitingConfiguration", true);
  return {MessageKind::kCheckin, EncodePlistXml(std::move(dict))};
}

DeviceMessage VirtualDevice::MakeCheckOut() const {
  PlistDict dict = IdentityKeys();
  dict.Set("MessageType", "CheckOut");
  dict.Set("Topic", std::string(kTopic));
  return {MessageKind::kCheckin, EncodePlistXml(std::move(dict))};
}

DeviceMessage VirtualDevice::MakeIdle() const {
  PlistDict dict = IdentityKeys();
  dict.Set("Status", "Idle");
  return {MessageKind::kConnect, EncodePlistXml(std::move(dict))};
}

// --- sessions -----------------------------------------------------------------------------------

DeviceMessage VirtualDevice::Send(Sent sent, DeviceMessage message) {
  sent_ = sent;
  ++session_messages_;
  message.identity = identity_in_use_;
  return message;
}

std::optional<DeviceMessage> VirtualDevice::BeginSession(Timestamp now) {
  Advance(now);
  if (!IsAwake(now)) return std::nullopt;
  if (state_ == EnrollmentState::kNotEnrolled && behaviour_.identity_lifetime > Duration::zero() &&
      !identity_.ends()) {
    identity_.Replace(now + behaviour_.identity_lifetime);
  }
  session_messages_ = 0;
  last_was_not_now_ = false;
  self_poll_at_.reset();
  switch (state_) {
    case EnrollmentState::kNotEnrolled:
      return SendAuthenticate(now);
    case EnrollmentState::kAuthenticated:
      return Send(Sent::kTokenUpdate, MakeTokenUpdate());
    case EnrollmentState::kEnrolled:
      break;
    case EnrollmentState::kGone:
      return std::nullopt;
  }
  return PollOrAnswer();
}

DeviceMessage VirtualDevice::SendAuthenticate(Timestamp now) {
  Note(now, "sends Authenticate");
  identity_in_use_ = identity_.number();
  if (is_renewing_) renewal_authenticates_.push_back(now);
  if (renewal_authenticates_.size() > kDeviceLogMax) renewal_authenticates_.pop_front();
  return Send(Sent::kAuthenticate, MakeAuthenticate());
}

DeviceMessage VirtualDevice::PollOrAnswer() {
  if (undelivered_result_.empty()) return Send(Sent::kIdle, MakeIdle());
  return Send(Sent::kResult, {MessageKind::kConnect, undelivered_result_});
}

/// It authenticates anew, with everything still in place.
void VirtualDevice::RenewIdentity(Timestamp now) {
  if (!identity_.ends()) return;
  identity_.Renew(now);
  ++renewals_;
  is_renewing_ = true;
  state_ = EnrollmentState::kNotEnrolled;
  authenticates_first_ = random_.Below(2) == 0;
  Note(now, "has a new identity");
}

std::optional<DeviceMessage> VirtualDevice::HandleReply(const DeviceReply& reply, Timestamp now) {
  if (sent_ == Sent::kNothing) return std::nullopt;
  if (is_erased_) {  // it does not tell twice
    Reenroll(ReenrollmentKind::kWiped, now);
    return std::nullopt;
  }
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
      is_renewing_ = false;
      return PollOrAnswer();
    case Sent::kCheckOut:
      Unenroll("checked out", now);
      return std::nullopt;
    case Sent::kIdle:
    case Sent::kResult:
      undelivered_result_.clear();
      if (is_locked()) return EndSession();  // it restarts
      if (leaves_) return Send(Sent::kCheckOut, MakeCheckOut());
      return GoOn(body, now);
    case Sent::kNothing:
      break;
  }
  return std::nullopt;
}

/// A renewed device authenticates before it takes the next command.
std::optional<DeviceMessage> VirtualDevice::GoOn(const std::string& body, Timestamp now) {
  if (state_ == EnrollmentState::kNotEnrolled) {
    return SendAuthenticate(now);
  }
  return body.empty() ? EndSession() : HandleCommand(body, now);
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
  if (state_ == EnrollmentState::kNotEnrolled && authenticates_first_) {
    return SendAuthenticate(now);
  }
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
  recovery_lock_password_.clear();
  undelivered_result_.clear();
  state_ = EnrollmentState::kGone;
  sent_ = Sent::kNothing;
}

bool VirtualDevice::IsAwake(Timestamp now) const {
  const bool is_locked_now = unlocks_at_ && now < *unlocks_at_;
  return !is_dark_ && !is_locked_now && state_ != EnrollmentState::kGone &&
         !identity_.HasEnded(now) && IsAwakeAt(behaviour_.wake, now);
}

std::optional<Timestamp> VirtualDevice::NextAwakeTime(Timestamp now) const {
  if (is_dark_ || state_ == EnrollmentState::kGone || identity_.HasEnded(now)) return std::nullopt;
  return NextAwakeAt(behaviour_.wake, std::max(now, unlocks_at_.value_or(now)));
}

// --- time ---------------------------------------------------------------------------------------

void VirtualDevice::Advance(Timestamp now) {
  while (os_updates_done_ < behaviour_.os_updates.size() &&
         behaviour_.os_updates[os_updates_done_].at <= now) {
    const OsUpdate& update = behaviour_.os_updates[os_updates_done_++];
    UpdateOs(update.os_version, update.build_version, now);
  }
  if (unlocks_at_ && *unlocks_at_ <= now) {
    unlocks_at_.reset();
    Note(now, "was unlocked with its PIN");
  }
  AdvanceDeletions(now);
  AdvanceApps(now);
  while (reenrollments_done_ < behaviour_.reenrollments.size() &&
         behaviour_.reenrollments[reenrollments_done_].at <= now) {
    Reenroll(behaviour_.reenrollments[reenrollments_done_++].kind, now);
  }
}

void VirtualDevice::UpdateOs(const std::string& os_version, const std::string& build_version,
                             Timestamp now) {
  facts_.os_version = os_version;
  facts_.build_version = build_version;
  ++os_updates_;
  Note(now, fmt::format("updated to {} ({})", os_version, build_version));
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
  if (app_events_done_ < behaviour_.app_events.size()) {
    next = std::min(next, behaviour_.app_events[app_events_done_].at);
  }
  if (reenrollments_done_ < behaviour_.reenrollments.size()) {
    next = std::min(next, behaviour_.reenrollments[reenrollments_done_].at);
  }
  if (unlocks_at_) next = std::min(next, *unlocks_at_);
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
