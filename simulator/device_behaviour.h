#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "mdm/event.h"

namespace director {

/// Alternates awake and asleep for ever. `asleep_for` zero: always awake. Both are >= 0; `offset`
/// moves the start of the first awake period after 1970-01-01T00:00:00Z.
struct WakeSchedule {
  Duration awake_for = std::chrono::hours(1);
  Duration asleep_for = Duration::zero();
  Duration offset = Duration::zero();
};

bool IsAwakeAt(const WakeSchedule& schedule, Timestamp now);
/// The first time at or after `now` at which the schedule says awake.
Timestamp NextAwakeAt(const WakeSchedule& schedule, Timestamp now);

/// Which commands a NotNow phase concerns.
enum class NotNowScope {
  kEverything,  ///< a Mac in Power Nap
  kChanges,     ///< a locked iPhone: queries are answered, what installs and removes is not
};

/// Says NotNow while `from` <= now < `until`. Source: Apple MDM, handling NotNow status responses.
struct NotNowPhase {
  Timestamp from = Timestamp::min();
  Timestamp until = Timestamp::max();
  double probability = 1.0;  ///< of saying NotNow to one command
  NotNowScope scope = NotNowScope::kEverything;
};

/// Makes InstallProfile fail. The first entry that matches decides.
struct InstallFailure {
  PayloadIdentifier payload_identifier;  ///< empty: every profile
  std::optional<int> times;  ///< how many tries per identifier fail; absent: all of them
  std::vector<ErrorChainEntry> error_chain;
};

/// Makes installs of an app come to nothing. The first entry that matches decides.
struct AppFailure {
  std::string identifier;    ///< bundle identifier; empty: every app
  std::optional<int> times;  ///< how many installs of each app fail; absent: all of them
  /// Empty: the install is acknowledged, and the app never appears.
  std::vector<ErrorChainEntry> error_chain;
  /// What the list of managed apps says of an install that was acknowledged; empty: nothing. What
  /// `IsSaidOnce` knows comes after the user was asked, once; other words stay.
  std::string managed_status{};
};

/// What happens to an app without any command.
enum class AppEventKind {
  kDeleted,  ///< by its user
  kUpdated,  ///< by itself, to a newer version
};

struct AppEvent {
  Timestamp at;
  AppEventKind kind = AppEventKind::kDeleted;
  std::string identifier;  ///< empty: any one that MDM brought
};

/// A user deletes profiles by hand; the enrollment profile is never touched.
struct ProfileDeletion {
  PayloadIdentifier payload_identifier;  ///< empty: any one of the installed profiles
  Timestamp at;
  Duration every = Duration::zero();  ///< zero: once
};

struct OsUpdate {
  Timestamp at;
  std::string os_version;
  std::string build_version;
};

enum class ReenrollmentKind {
  kKept,   ///< profiles stay (an identity renewal looks like this)
  kWiped,  ///< the device was erased
};

/// The device sends Authenticate again at its first session at or after `at`.
struct Reenrollment {
  Timestamp at;
  ReenrollmentKind kind = ReenrollmentKind::kKept;
};

/// How a virtual device behaves. The default is the best device there is: always awake, always
/// willing.
struct DeviceBehaviour {
  WakeSchedule wake;
  std::vector<NotNowPhase> not_now;
  Duration install_delay = Duration::zero();  ///< between receiving InstallProfile and its answer
  std::vector<InstallFailure> install_failures;
  std::vector<ProfileDeletion> deletions;
  std::vector<OsUpdate> os_updates;         ///< in order of time
  std::vector<Reenrollment> reenrollments;  ///< in order of time
  /// Installing this profile cuts the device off: neither the answer nor anything later is sent.
  /// Empty: none.
  PayloadIdentifier dark_after;
  /// A Mac that was locked is silent for so long; then somebody types the PIN.
  Duration unlocked_after = std::chrono::hours(2);
  /// A Mac's volume is encrypted. Its recovery key and its user's password are those of
  /// `FirstRecoveryKey` and `FileVaultPassword`.
  bool file_vault = true;
  /// TokenUpdate says AwaitingConfiguration true until DeviceConfigured was executed (ADE).
  bool awaits_configuration = false;

  /// How long its identity lives; zero: for ever, and `identity_certificate` of its facts is shown.
  Duration identity_lifetime = Duration::zero();
  /// When the first one ends; empty: a lifetime after it enrolls.
  std::optional<Timestamp> identity_ends_at;

  /// How long the user is asked about an install of a managed app before it begins or is refused.
  Duration app_prompt_delay = Duration::zero();
  /// From then, or from the answer to the install, until the app is there.
  Duration app_install_delay = Duration::zero();
  /// False: ManagedApplicationList is refused, as by a Mac before macOS 11.
  bool knows_managed_apps = true;
  bool lists_coming_apps = true;  ///< apps are listed as Installing meanwhile, or not yet
  std::vector<AppFailure> app_failures;
  std::vector<AppEvent> app_events;  ///< in order of time

  const AppFailure* FindAppFailure(const std::string& identifier) const;
  /// The first one that concerns the profile, or null.
  const InstallFailure* FindInstallFailure(const PayloadIdentifier& payload_identifier) const;
};

/// A chain as devices send it: the usual wrapper MCInstallationErrorDomain 4001, then the cause.
std::vector<ErrorChainEntry> InstallFailedChain(std::string domain, std::int64_t code,
                                                std::string text);
/// A chain of one entry.
std::vector<ErrorChainEntry> OneErrorChain(std::string domain, std::int64_t code, std::string text);

}  // namespace director
