#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "base/time.h"
#include "simulator/device.h"
#include "simulator/transport.h"

namespace director {

/// Who is in the fleet and how they behave. Shares are 0 .. 1 and drawn from the seed per device.
/// All durations are simulated time, see `time_scale`.
struct FleetSettings {
  std::size_t device_count = 10;  ///< device channels; at most `kFleetDevicesMax`
  double iphone_share = 0.3;      ///< the others are Macs
  double user_channel_share = 0;  ///< of the Macs
  std::uint64_t seed = 1;
  std::size_t thread_count = 2;  ///< 1 .. 64
  double time_scale = 1;         ///< simulated seconds per real second; 0.001 .. 100000
  Duration enroll_within = Duration::zero();  ///< the first sessions are spread over this time
  Duration poll_interval =
      std::chrono::minutes(15);  ///< while awake, without a push; at least 1 ms real time
  Duration awake_for = std::chrono::hours(1);
  Duration asleep_for = Duration::zero();  ///< zero: never asleep
  Duration install_delay = Duration::zero();

  double not_now_share = 0;  ///< Macs say NotNow to all, iPhones to changes ...
  Duration not_now_for = std::chrono::minutes(30);  ///< ... for so long after the start
  double permanent_failure_share = 0;               ///< refuse `failing_profile` always
  double transient_failure_share = 0;               ///< refuse it twice
  PayloadIdentifier failing_profile;                ///< empty: every profile
  double deleting_share = 0;                        ///< have a user who deletes a profile ...
  Duration delete_every = std::chrono::hours(2);    ///< ... so often
  double setup_share = 0;  ///< are held in Setup Assistant until DeviceConfigured
  Duration identity_lifetime = Duration::zero();  ///< zero: identities never end, none is listed
  Duration identity_ends_in = Duration::zero();   ///< the first ones; zero: a lifetime

  /// Last word on one device's behaviour (index, start time, behaviour); called by the constructor
  /// only.
  std::function<void(std::size_t, Timestamp, DeviceBehaviour&)> adjust;
};

inline constexpr std::size_t kFleetDevicesMax = 200'000;

struct FleetCounters {
  std::uint64_t sessions = 0;
  std::uint64_t messages = 0;
  std::uint64_t unanswered = 0;     ///< messages without an HTTP 200
  std::uint64_t pushes = 0;         ///< `Wake` calls for a known enrollment
  std::uint64_t pushes_missed = 0;  ///< of those: asleep, dark or gone
};

/// One channel as the demo's page shows it.
struct FleetDevice {
  DeviceFacts facts;
  EnrollmentId enrollment_id;
  EnrollmentState state = EnrollmentState::kNotEnrolled;
  int epoch = 0;
  bool is_asleep = false;
  bool is_dark = false;
  bool awaits_configuration = false;  ///< held in Setup Assistant
  std::vector<PayloadIdentifier> profiles;
  std::uint64_t installs = 0;  ///< InstallProfile that it carried out, since the fleet was made
  int renewals = 0;            ///< of them those that gave it a new identity
  int os_updates = 0;
  std::vector<DeviceLogEntry> last_words;  ///< newest last, at most 10; times are simulated
  std::optional<Timestamp> last_session_at;
};

/// Runs virtual devices in real time on a few threads over one queue ordered by time: they enroll,
/// poll, obey, sleep.
///
/// Simulated time starts at the clock's time at construction and runs `time_scale` times as fast. A
/// push reaches only who is awake, as with Apple's single delivery attempt. A device is handled by
/// one thread at a time. Thread-safe.
class Fleet {
 public:
  /// `transport` must be thread-safe; it and `clock` outlive the fleet. Starts nothing.
  Fleet(const FleetSettings& settings, DeviceTransport& transport, const Clock& clock);
  /// Calls Stop.
  ~Fleet();
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;

  /// Starts the threads; once only, further calls do nothing.
  void Start();
  /// Ends after the messages under way (the transport's time-out at most) and joins. Idempotent.
  void Stop();

  /// A push: the device polls now if it is awake. Unknown ids are ignored. Never blocks on the
  /// network.
  void Wake(const EnrollmentId& enrollment_id);
  /// A person deletes a profile at the device's next turn, which is now. False for an unknown
  /// enrollment, or when 100 such wishes already wait.
  bool DeleteProfile(const EnrollmentId& enrollment_id,
                     const PayloadIdentifier& payload_identifier);

  /// All devices run another OS from their next turn on.
  void UpdateOs(const std::string& os_version, const std::string& build_version);

  /// All channels as they were after their last session, device channels first.
  std::vector<FleetDevice> Snapshot() const;
  /// As they were after their last session; `holds` is called under the fleet's lock.
  bool AllOf(const std::function<bool(const FleetDevice&)>& holds) const;
  FleetCounters counters() const;
  /// Simulated time.
  Timestamp Now() const;

  /// Waits until `done` says yes; it is asked after each session. False after `timeout` (real
  /// time). For tests and demos.
  bool WaitUntil(const std::function<bool(const std::vector<FleetDevice>&)>& done,
                 Duration timeout) const;

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;

  struct OsBuild {
    std::string os_version;
    std::string build_version;
  };
  struct Member {
    Member(DeviceFacts facts, DeviceBehaviour behaviour, std::uint64_t seed)
        : device(std::move(facts), std::move(behaviour), seed) {}
    VirtualDevice device;                  // the thread that runs it
    std::optional<DeviceMessage> delayed;  // the same: an answer that the device still works on
    // All below: guarded by mutex_.
    FleetDevice view;
    std::optional<SteadyTime> due_at;  // in queue_ under this time
    bool is_running = false;
    bool was_woken = false;
    std::vector<PayloadIdentifier> deletions;
    std::optional<std::size_t> parent;
    std::optional<std::size_t> user;
    int parent_epoch = 0;
    bool must_restart = false;
    std::optional<OsBuild> os;  // to come
  };
  /// How one turn of a device ended.
  struct Turn {
    std::uint64_t messages = 0;
    std::uint64_t unanswered = 0;
    std::optional<Timestamp> next_at;  // simulated
    bool was_session = false;
  };
  struct Orders {
    std::vector<PayloadIdentifier> deletions;
    bool must_restart = false;
    std::optional<OsBuild> os;
  };

  void AddDevice(std::size_t index);
  void AddUser(std::size_t index);
  DeviceBehaviour MakeBehaviour(std::size_t index, DeviceKind kind) const;
  void Run();
  void RunMember(std::size_t index, std::unique_lock<std::mutex>& lock);
  Turn RunTurn(Member& member, const Orders& orders);
  std::optional<Timestamp> NextTurnAt(const VirtualDevice& device, Timestamp now) const;
  void Finish(std::size_t index, const Turn& turn, FleetDevice view);
  void FollowParent(std::size_t index);
  void Schedule(std::size_t index, SteadyTime at);
  SteadyTime ToSteady(Timestamp simulated) const;
  static FleetDevice Look(const VirtualDevice& device);
  std::vector<FleetDevice> SnapshotLocked() const;
  bool IsStopping() const;

  const FleetSettings settings_;
  DeviceTransport& transport_;
  const Timestamp started_at_;  // simulated
  SteadyTime steady_start_;

  mutable std::mutex mutex_;
  std::condition_variable work_;
  mutable std::condition_variable progress_;
  std::vector<std::unique_ptr<Member>> members_;
  std::map<EnrollmentId, std::size_t> by_id_;
  std::set<std::pair<SteadyTime, std::size_t>> queue_;
  FleetCounters counters_;
  bool is_stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace director
