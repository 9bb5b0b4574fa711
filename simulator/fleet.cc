#include "simulator/fleet.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/random.h"

namespace director {
namespace {

constexpr std::size_t kLastWordsMax = 10;
constexpr std::size_t kWaitingDeletionsMax = 100;
constexpr int kTransientFailures = 2;
constexpr Duration kRetryAfter = std::chrono::minutes(1);
constexpr auto kPauseMin = std::chrono::milliseconds(1);

Duration Spread(RandomSource& random, Duration within) {
  if (within <= Duration::zero()) return Duration::zero();
  return Duration(
      static_cast<Duration::rep>(random.Below(static_cast<std::uint64_t>(within.count()))));
}

std::vector<ErrorChainEntry> PermanentChain() {
  return InstallFailedChain("MCPayloadErrorDomain", 2004, "A field has an unsupported value.");
}

std::vector<ErrorChainEntry> TransientChain() {
  return InstallFailedChain("MCSCEPErrorDomain", 22005, "The SCEP server cannot be reached.");
}

FleetSettings Bounded(FleetSettings settings) {
  settings.device_count = std::min(settings.device_count, kFleetDevicesMax);
  settings.thread_count = std::clamp<std::size_t>(settings.thread_count, 1, 64);
  settings.time_scale = std::clamp(settings.time_scale, 0.001, 100'000.0);
  return settings;
}

}  // namespace

Fleet::Fleet(const FleetSettings& settings, DeviceTransport& transport, const Clock& clock)
    : settings_(Bounded(settings)),
      transport_(transport),
      started_at_(clock.Now()),
      steady_start_(std::chrono::steady_clock::now()) {
  for (std::size_t i = 0; i < settings_.device_count; ++i) AddDevice(i);
  for (std::size_t i = 0; i < settings_.device_count; ++i) AddUser(i);
}

Fleet::~Fleet() { Stop(); }

void Fleet::AddDevice(std::size_t index) {
  SeededRandom random(StableHash(fmt::format("kind {} {}", settings_.seed, index)));
  const bool is_iphone = random.Fraction() < settings_.iphone_share;
  const DeviceKind kind = is_iphone ? DeviceKind::kIphone : DeviceKind::kMac;
  auto member = std::make_unique<Member>(MakeDeviceFacts(kind, settings_.seed, index),
                                         MakeBehaviour(index, kind), settings_.seed);
  member->view = Look(member->device);
  by_id_.emplace(member->device.enrollment_id(), members_.size());
  members_.push_back(std::move(member));
}

void Fleet::AddUser(std::size_t index) {
  Member& parent = *members_[index];
  if (parent.device.facts().kind != DeviceKind::kMac) return;
  SeededRandom random(StableHash(fmt::format("user {} {}", settings_.seed, index)));
  if (random.Fraction() >= settings_.user_channel_share) return;
  DeviceBehaviour behaviour;
  behaviour.wake = parent.device.behaviour().wake;
  auto member = std::make_unique<Member>(MakeUserFacts(parent.device.facts(), settings_.seed),
                                         std::move(behaviour), settings_.seed);
  member->view = Look(member->device);
  member->parent = index;
  parent.user = members_.size();
  by_id_.emplace(member->device.enrollment_id(), members_.size());
  members_.push_back(std::move(member));
}

DeviceBehaviour Fleet::MakeBehaviour(std::size_t index, DeviceKind kind) const {
  SeededRandom random(StableHash(fmt::format("behaviour {} {}", settings_.seed, index)));
  DeviceBehaviour behaviour;
  behaviour.wake.awake_for = std::max(settings_.awake_for, Duration(1));
  behaviour.wake.asleep_for = settings_.asleep_for;
  behaviour.wake.offset = Spread(random, behaviour.wake.awake_for + settings_.asleep_for);
  behaviour.install_delay = settings_.install_delay;
  if (random.Fraction() < settings_.not_now_share) {
    NotNowPhase phase;
    phase.until = started_at_ + settings_.not_now_for;
    phase.scope = kind == DeviceKind::kMac ? NotNowScope::kEverything : NotNowScope::kChanges;
    behaviour.not_now.push_back(phase);
  }
  if (random.Fraction() < settings_.permanent_failure_share) {
    behaviour.install_failures.push_back(
        {settings_.failing_profile, std::nullopt, PermanentChain()});
  }
  if (random.Fraction() < settings_.transient_failure_share) {
    behaviour.install_failures.push_back(
        {settings_.failing_profile, kTransientFailures, TransientChain()});
  }
  if (random.Fraction() < settings_.deleting_share) {
    const Duration every = std::max(settings_.delete_every, Duration(1));
    behaviour.deletions.push_back(
        {PayloadIdentifier(), started_at_ + every + Spread(random, every), every});
  }
  behaviour.awaits_configuration = random.Fraction() < settings_.setup_share;
  behaviour.identity_lifetime = settings_.identity_lifetime;
  if (settings_.identity_ends_in > Duration::zero()) {
    behaviour.identity_ends_at = started_at_ + settings_.identity_ends_in;
  }
  if (settings_.adjust) settings_.adjust(index, started_at_, behaviour);
  return behaviour;
}

// --- time ---------------------------------------------------------------------------------------

Timestamp Fleet::Now() const {
  const auto real = std::chrono::steady_clock::now() - steady_start_;
  const std::chrono::duration<double, std::milli> scaled = real * settings_.time_scale;
  return started_at_ + std::chrono::duration_cast<Duration>(scaled);
}

Fleet::SteadyTime Fleet::ToSteady(Timestamp simulated) const {
  const std::chrono::duration<double, std::milli> real =
      std::chrono::duration<double, std::milli>(simulated - started_at_) / settings_.time_scale;
  // A day ahead is for ever to a waiting thread; more could overflow the clock's range.
  const auto bounded =
      std::min(real, std::chrono::duration<double, std::milli>(std::chrono::hours(24 * 365)));
  return steady_start_ + std::chrono::ceil<std::chrono::milliseconds>(bounded);
}

// --- life ---------------------------------------------------------------------------------------

void Fleet::Start() {
  const std::lock_guard lock(mutex_);
  if (!threads_.empty() || is_stopping_) return;
  SeededRandom random(StableHash(fmt::format("start {}", settings_.seed)));
  for (std::size_t i = 0; i < members_.size(); ++i) {
    // User channels begin when their device has enrolled.
    if (members_[i]->parent) continue;
    Schedule(i, ToSteady(Now() + Spread(random, settings_.enroll_within)));
  }
  for (std::size_t i = 0; i < settings_.thread_count; ++i) {
    threads_.emplace_back([this] { Run(); });
  }
}

void Fleet::Stop() {
  std::vector<std::thread> threads;
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
    threads.swap(threads_);
  }
  work_.notify_all();
  progress_.notify_all();
  for (std::thread& thread : threads) thread.join();
}

bool Fleet::IsStopping() const {
  const std::lock_guard lock(mutex_);
  return is_stopping_;
}

void Fleet::Schedule(std::size_t index, SteadyTime at) {
  Member& member = *members_[index];
  if (member.is_running) {
    member.was_woken = true;
    return;
  }
  if (member.due_at) queue_.erase({*member.due_at, index});
  member.due_at = at;
  queue_.emplace(at, index);
  work_.notify_one();
}

void Fleet::Run() {
  std::unique_lock lock(mutex_);
  while (!is_stopping_) {
    if (queue_.empty()) {
      work_.wait(lock);
      continue;
    }
    const auto [at, index] = *queue_.begin();
    if (at > std::chrono::steady_clock::now()) {
      work_.wait_until(lock, at);
      continue;
    }
    queue_.erase(queue_.begin());
    members_[index]->due_at.reset();
    RunMember(index, lock);
  }
}

void Fleet::RunMember(std::size_t index, std::unique_lock<std::mutex>& lock) {
  Member& member = *members_[index];
  member.is_running = true;
  member.was_woken = false;
  Orders orders;
  orders.deletions.swap(member.deletions);
  orders.must_restart = std::exchange(member.must_restart, false);
  orders.os = std::exchange(member.os, std::nullopt);
  lock.unlock();
  const Turn turn = RunTurn(member, orders);
  FleetDevice view = Look(member.device);
  lock.lock();
  Finish(index, turn, std::move(view));
}

Fleet::Turn Fleet::RunTurn(Member& member, const Orders& orders) {
  VirtualDevice& device = member.device;
  Turn turn;
  if (orders.must_restart) {
    member.delayed.reset();
    device.Reenroll(ReenrollmentKind::kKept, Now());
  }
  for (const PayloadIdentifier& identifier : orders.deletions) {
    device.DeleteProfile(identifier, Now());
  }
  if (orders.os) device.UpdateOs(orders.os->os_version, orders.os->build_version, Now());
  std::optional<DeviceMessage> message = std::exchange(member.delayed, std::nullopt);
  if (!message) message = device.BeginSession(Now());
  turn.was_session = message.has_value();
  while (message && !IsStopping()) {
    const DeviceReply reply = transport_.Send(device.facts(), *message);
    ++turn.messages;
    if (reply.status != 200) ++turn.unanswered;
    message = device.HandleReply(reply, Now());
    if (!message || message->delay <= Duration::zero()) continue;
    // The thread does not wait for the device: the rest of the session is its next turn.
    turn.next_at = Now() + message->delay;
    member.delayed = std::move(message);
    return turn;
  }
  turn.next_at = NextTurnAt(device, Now());
  // What could not be delivered is tried again sooner than the next poll.
  const auto retry_at = device.NextAwakeTime(Now() + kRetryAfter);
  if (turn.unanswered > 0 && retry_at && turn.next_at) {
    turn.next_at = std::min(*turn.next_at, *retry_at);
  }
  return turn;
}

std::optional<Timestamp> Fleet::NextTurnAt(const VirtualDevice& device, Timestamp now) const {
  std::optional<Timestamp> next = device.NextAwakeTime(now + settings_.poll_interval);
  const auto earlier = [&](std::optional<Timestamp> at) {
    if (at && (!next || *at < *next)) next = at;
  };
  earlier(device.self_poll_at());
  // A device that sleeps notices what happened when it wakes.
  if (const auto own = device.NextOwnEventAt()) {
    const auto awake = device.NextAwakeTime(std::max(*own, now));
    earlier(awake ? awake : own);
  }
  return next;
}

void Fleet::Finish(std::size_t index, const Turn& turn, FleetDevice view) {
  Member& member = *members_[index];
  member.is_running = false;
  view.last_session_at = turn.was_session ? std::optional(Now()) : member.view.last_session_at;
  member.view = std::move(view);
  counters_.messages += turn.messages;
  counters_.unanswered += turn.unanswered;
  if (turn.was_session) ++counters_.sessions;
  const SteadyTime now = std::chrono::steady_clock::now();
  // A device in the middle of an installation answers first; its push is served by that same
  // session.
  const bool is_working = member.delayed.has_value();
  const bool has_left =
      member.parent && members_[*member.parent]->view.state == EnrollmentState::kGone;
  if (has_left) {
    // A user channel ends with its device, silently; a new enrollment starts it again.
    member.delayed.reset();
  } else if (member.was_woken && !is_working) {
    Schedule(index, now);
  } else if (turn.next_at) {
    Schedule(index, std::max(ToSteady(*turn.next_at), now + kPauseMin));
  }
  FollowParent(index);
  progress_.notify_all();
}

void Fleet::FollowParent(std::size_t index) {
  const Member& parent = *members_[index];
  if (!parent.user || parent.view.state != EnrollmentState::kEnrolled) return;
  Member& user = *members_[*parent.user];
  if (user.parent_epoch == parent.view.epoch) return;
  user.must_restart = user.parent_epoch != 0;
  user.parent_epoch = parent.view.epoch;
  Schedule(*parent.user, std::chrono::steady_clock::now());
}

// --- faces --------------------------------------------------------------------------------------

void Fleet::Wake(const EnrollmentId& enrollment_id) {
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(enrollment_id);
  if (found == by_id_.end() || is_stopping_) return;
  ++counters_.pushes;
  Member& member = *members_[found->second];
  const FleetDevice& view = member.view;
  const bool is_reachable = view.state == EnrollmentState::kEnrolled && !view.is_dark &&
                            IsAwakeAt(member.device.behaviour().wake, Now());
  if (!is_reachable) {
    ++counters_.pushes_missed;
    return;
  }
  // `delayed` belongs to the running thread; at rest it is ours under the lock.
  if (!member.is_running && member.delayed) return;
  Schedule(found->second, std::chrono::steady_clock::now());
}

bool Fleet::DeleteProfile(const EnrollmentId& enrollment_id,
                          const PayloadIdentifier& payload_identifier) {
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(enrollment_id);
  if (found == by_id_.end()) return false;
  Member& member = *members_[found->second];
  if (member.deletions.size() >= kWaitingDeletionsMax) return false;
  member.deletions.push_back(payload_identifier);
  const bool is_busy = member.is_running || member.delayed.has_value();
  if (!is_busy) Schedule(found->second, std::chrono::steady_clock::now());
  if (member.is_running) member.was_woken = true;
  return true;
}

void Fleet::UpdateOs(const std::string& os_version, const std::string& build_version) {
  const std::lock_guard lock(mutex_);
  for (const auto& member : members_) {
    if (!member->parent) member->os = OsBuild{os_version, build_version};
  }
}

FleetDevice Fleet::Look(const VirtualDevice& device) {
  FleetDevice look;
  look.facts = device.facts();
  look.enrollment_id = device.enrollment_id();
  look.state = device.state();
  look.epoch = device.epoch();
  look.is_dark = device.is_dark();
  look.awaits_configuration = device.awaits_configuration();
  for (const InstalledProfile& profile : device.profiles()) {
    look.profiles.push_back(profile.payload_identifier);
  }
  const auto installs = device.carried_out().find(std::string(request_type::kInstallProfile));
  look.installs = installs == device.carried_out().end() ? 0 : installs->second;
  look.renewals = device.renewals();
  look.os_updates = device.os_updates();
  const auto& log = device.log();
  const std::size_t first = log.size() > kLastWordsMax ? log.size() - kLastWordsMax : 0;
  look.last_words.assign(log.begin() + static_cast<std::ptrdiff_t>(first), log.end());
  return look;
}

std::vector<FleetDevice> Fleet::SnapshotLocked() const {
  std::vector<FleetDevice> devices;
  devices.reserve(members_.size());
  const Timestamp now = Now();
  for (const auto& member : members_) {
    devices.push_back(member->view);
    devices.back().is_asleep = !IsAwakeAt(member->device.behaviour().wake, now);
  }
  return devices;
}

std::vector<FleetDevice> Fleet::Snapshot() const {
  const std::lock_guard lock(mutex_);
  return SnapshotLocked();
}

bool Fleet::AllOf(const std::function<bool(const FleetDevice&)>& holds) const {
  const std::lock_guard lock(mutex_);
  return std::all_of(members_.begin(), members_.end(),
                     [&](const auto& member) { return holds(member->view); });
}

FleetCounters Fleet::counters() const {
  const std::lock_guard lock(mutex_);
  return counters_;
}

bool Fleet::WaitUntil(const std::function<bool(const std::vector<FleetDevice>&)>& done,
                      Duration timeout) const {
  std::unique_lock lock(mutex_);
  return progress_.wait_for(lock, timeout, [&] { return done(SnapshotLocked()); });
}

}  // namespace director
