#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/random.h"
#include "base/time.h"
#include "mdm/command.h"
#include "mdm/event.h"
#include "mdm/plist.h"
#include "simulator/device_apps.h"
#include "simulator/device_behaviour.h"
#include "simulator/device_facts.h"
#include "simulator/device_identity.h"
#include "simulator/device_profile.h"

namespace director {

/// Check-ins and command connections differ by path or Content-Type.
enum class MessageKind { kCheckin, kConnect };

/// What a device wants to send: an XML property list. `delay`: how long the device works before it
/// sends.
struct DeviceMessage {
  MessageKind kind = MessageKind::kConnect;
  std::string body;
  Duration delay = Duration::zero();
  /// Which of the device's identities signs it; they count from 0, and grow with each new one.
  int identity = 0;
};

/// What came back. `status` 0: no answer arrived. `body` is empty or the next command.
struct DeviceReply {
  int status = 0;
  std::string body;
};

/// What became of one command. `body` empty: the device sends nothing (it went dark).
struct CommandAnswer {
  std::string body;
  std::string status;  ///< `Acknowledged`, `Error`, `CommandFormatError`, `NotNow`
  Duration delay = Duration::zero();
};

enum class EnrollmentState {
  kNotEnrolled,    ///< next: Authenticate
  kAuthenticated,  ///< next: TokenUpdate (user channels start here)
  kEnrolled,
  kGone,  ///< checked out, or un-enrolled by the server
};

struct DeviceLogEntry {
  Timestamp at;
  std::string text;
};

inline constexpr std::size_t kDeviceProfilesMax = 1000;
inline constexpr std::size_t kDeviceLogMax = 50;
/// A session ends after so many messages: a server that hands out one command for ever does not
/// hold a device.
inline constexpr int kSessionMessagesMax = 500;

/// One channel of one simulated device (a Mac, an iPhone, or the user channel of a Mac) as a state
/// machine.
///
/// It has no clock, thread or socket: every call names the time, and the seed decides all chances,
/// so the same calls give the same bytes (but for envelopes, which OpenSSL's random numbers
/// encrypt). A session is `BeginSession`, then `HandleReply` with the server's answer to each
/// message, until one returns nothing: Authenticate, TokenUpdate, Idle, then one answer per
/// command. An answer that could not be delivered is sent again first in the next session. HTTP 401
/// un-enrols. Time must not run backwards. Not thread-safe. Source: Apple device management
/// (check-in, command sessions, NotNow); Apple's device-management schema for keys.
class VirtualDevice {
 public:
  VirtualDevice(DeviceFacts facts, DeviceBehaviour behaviour, std::uint64_t seed);

  /// Returns the first message of a session, or nothing while the device is asleep, dark or gone.
  std::optional<DeviceMessage> BeginSession(Timestamp now);
  /// Takes the answer to the message sent last; returns the next message or nothing when the
  /// session is over.
  std::optional<DeviceMessage> HandleReply(const DeviceReply& reply, Timestamp now);

  /// Lets time pass: user deletions, OS updates, apps that come, go and update themselves,
  /// re-enrollments, the PIN of a locked Mac.
  /// `BeginSession` does it too.
  void Advance(Timestamp now);
  /// It runs another OS from now on, newer or older.
  void UpdateOs(const std::string& os_version, const std::string& build_version, Timestamp now);
  /// Starts a new enrollment: the next session begins with Authenticate (user channels:
  /// TokenUpdate). New tokens.
  void Reenroll(ReenrollmentKind kind, Timestamp now);
  /// A person deletes this profile. False when it is not there or is the enrollment profile.
  bool DeleteProfile(const PayloadIdentifier& payload_identifier, Timestamp now);

  /// The single messages, for tests and for other orders than a session's. They change no state.
  DeviceMessage MakeAuthenticate() const;
  DeviceMessage MakeTokenUpdate() const;
  DeviceMessage MakeCheckOut() const;
  DeviceMessage MakeIdle() const;

  /// Executes one command plist. Installs, removes, answers; never refuses because it is asleep or
  /// not enrolled. kInvalid when the bytes hold no command with a CommandUUID: a device cannot
  /// answer that.
  Result<CommandAnswer> Execute(std::string_view command, Timestamp now);

  /// False when asleep, dark or gone.
  bool IsAwake(Timestamp now) const;
  /// The first time at or after `now` when a session can begin; nothing when dark or gone.
  std::optional<Timestamp> NextAwakeTime(Timestamp now) const;
  /// When the device polls by itself because NotNow was its last word and the phase ends then.
  std::optional<Timestamp> self_poll_at() const { return self_poll_at_; }
  /// The earliest thing that `Advance` will do by itself; nothing when nothing is planned.
  std::optional<Timestamp> NextOwnEventAt() const;

  const DeviceFacts& facts() const { return facts_; }
  const DeviceBehaviour& behaviour() const { return behaviour_; }
  EnrollmentId enrollment_id() const { return EnrollmentIdOf(facts_); }
  EnrollmentState state() const { return state_; }
  bool is_dark() const { return is_dark_; }
  /// Silent until somebody types the PIN (Macs only).
  bool is_locked() const { return unlocks_at_.has_value(); }
  /// The password that recoveryOS asks for; empty: none (Macs with Apple silicon only).
  const std::string& recovery_lock_password() const { return recovery_lock_password_; }
  /// How often it took a new identity with a new enrollment profile.
  int renewals() const { return renewals_; }
  /// When it sent the Authenticates of renewals, the last few.
  const std::deque<Timestamp>& renewal_authenticates() const { return renewal_authenticates_; }
  const DeviceIdentity& identity() const { return identity_; }
  int os_updates() const { return os_updates_; }
  /// How many commands of each request type it carried out, since it was made.
  const std::map<std::string, std::uint64_t>& carried_out() const { return carried_out_; }
  /// The personal recovery key that is in force; empty without FileVault.
  const std::string& recovery_key() const { return recovery_key_; }
  /// The RotateFileVaultKey that made it; empty for the first one.
  const CommandUuid& recovery_key_command() const { return recovery_key_command_; }
  /// Held in Setup Assistant until DeviceConfigured.
  bool awaits_configuration() const { return awaiting_configuration_; }
  /// Counts Authenticate (user channels: TokenUpdate) starts; 1 during the first enrollment.
  int epoch() const { return epoch_; }
  const std::vector<InstalledProfile>& profiles() const { return profiles_; }
  const InstalledProfile* FindProfile(const PayloadIdentifier& payload_identifier) const;
  /// Apps that MDM brought, also those still on their way.
  const DeviceApps& apps() const { return apps_; }
  /// Short names of the accounts that AccountConfiguration made.
  const std::vector<std::string>& accounts() const { return accounts_; }
  /// The newest `kDeviceLogMax` things that it did, oldest first.
  const std::deque<DeviceLogEntry>& log() const { return log_; }

 private:
  enum class Sent { kNothing, kAuthenticate, kTokenUpdate, kCheckOut, kIdle, kResult };

  struct Outcome {
    CommandStatus status = CommandStatus::kAcknowledged;
    PlistDict extra;
    std::vector<ErrorChainEntry> error_chain;
  };

  static Outcome Failed(std::vector<ErrorChainEntry> error_chain);
  static Outcome FormatError();

  bool IsUserChannel() const { return !facts_.user_id.empty(); }
  void StartEpoch();
  void StartSetup();
  PlistDict IdentityKeys() const;
  DeviceMessage Send(Sent sent, DeviceMessage message);
  std::optional<DeviceMessage> HandleAccepted(const std::string& body, Timestamp now);
  std::optional<DeviceMessage> HandleCommand(const std::string& body, Timestamp now);
  std::optional<DeviceMessage> EndSession();
  std::optional<DeviceMessage> GoOn(const std::string& body, Timestamp now);
  DeviceMessage PollOrAnswer();
  DeviceMessage SendAuthenticate(Timestamp now);
  void RenewIdentity(Timestamp now);
  void Unenroll(std::string_view why, Timestamp now);

  const NotNowPhase* ActiveNotNow(std::string_view request_type, Timestamp now);
  Outcome Run(const ReceivedCommand& command, Timestamp now);
  Outcome RunInstallProfile(const PlistDict& body, Timestamp now);
  Outcome RunRemoveProfile(const PlistDict& body, Timestamp now);
  Outcome RunProfileList() const;
  Outcome RunDeviceInformation(const PlistDict& body) const;
  Outcome RunSecurityInfo() const;
  Outcome RunCertificateList() const;
  Outcome RunInstalledApplicationList(const PlistDict& body, Timestamp now);
  Outcome RunManagedApplicationList(const PlistDict& body, Timestamp now);
  Outcome RunInstallApp(const ReceivedCommand& command, Timestamp now);
  Outcome FailApp(const AppToInstall& app, bool is_package, const AppFailure& failure,
                  Timestamp now);
  Outcome RunRemoveApplication(const PlistDict& body, Timestamp now);
  Outcome RunAccountConfiguration(const PlistDict& body, Timestamp now);
  Outcome RunDeviceConfigured();
  bool HasGoodPin(const PlistDict& body) const;
  Outcome RunDeviceLock(const PlistDict& body, Timestamp now);
  Outcome RunEraseDevice(const PlistDict& body);
  Outcome RunSetRecoveryLock(const PlistDict& body);
  Outcome RunVerifyRecoveryLock(const PlistDict& body) const;
  Outcome RunRotateFileVaultKey(const ReceivedCommand& command, Timestamp now);
  void StartFileVault();
  /// Replaces or adds; false when the device is full.
  bool Put(InstalledProfile profile, Timestamp now);
  std::optional<std::vector<ErrorChainEntry>> RefuseMdmPayload(
      const InstalledProfile& profile) const;
  std::optional<std::vector<ErrorChainEntry>> PlannedFailure(const PayloadIdentifier& identifier);
  const AppFailure* PlannedAppFailure(const std::string& identifier);
  std::string EncodeResult(const ReceivedCommand& command, const Outcome& outcome) const;

  void AdvanceDeletions(Timestamp now);
  void AdvanceApps(Timestamp now);
  void DeleteApp(const std::string& identifier, Timestamp now);
  void DeleteAnyProfile(Timestamp now);
  void Note(Timestamp now, std::string_view text);

  DeviceFacts facts_;
  DeviceBehaviour behaviour_;
  SeededRandom random_;
  SeededRandom key_random_;
  EnrollmentState state_ = EnrollmentState::kNotEnrolled;
  int epoch_ = 0;
  std::string token_;
  std::string push_magic_;
  bool awaiting_configuration_ = false;
  bool is_dark_ = false;
  bool leaves_ = false;  ///< the enrollment profile was removed: CheckOut follows the answer
  std::optional<Timestamp> unlocks_at_;
  std::string recovery_lock_password_;
  DeviceIdentity identity_;
  int identity_in_use_ = 0;  ///< a new one signs from its Authenticate on
  int renewals_ = 0;
  bool is_renewing_ = false;  ///< until the server has taken its TokenUpdate
  std::deque<Timestamp> renewal_authenticates_;
  /// The answer to the command of a renewal comes after its Authenticate.
  bool authenticates_first_ = false;
  std::string recovery_key_;
  CommandUuid recovery_key_command_;
  bool is_erased_ = false;  ///< EraseDevice was taken: it begins anew after the answer

  Sent sent_ = Sent::kNothing;
  int session_messages_ = 0;
  std::string undelivered_result_;
  bool last_was_not_now_ = false;
  std::optional<Timestamp> not_now_until_;
  std::optional<Timestamp> self_poll_at_;

  std::vector<InstalledProfile> profiles_;
  std::map<PayloadIdentifier, int> install_tries_;
  DeviceApps apps_;
  std::map<std::string, int> app_tries_;
  std::vector<std::string> accounts_;
  std::map<std::string, std::uint64_t> carried_out_;
  int os_updates_ = 0;
  std::size_t os_updates_done_ = 0;
  std::size_t app_events_done_ = 0;
  std::size_t reenrollments_done_ = 0;
  std::deque<DeviceLogEntry> log_;
};

}  // namespace director
