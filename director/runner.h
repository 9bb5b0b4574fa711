#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "director/executor.h"
#include "director/new_keys.h"
#include "director/upstreams.h"
#include "reconciler/plan.h"
#include "store/store.h"

namespace director {

/// Takes due enrollments, decides, journals, sends. `Step` is the whole loop once, on the caller's
/// thread; `Start` runs it on worker threads. Each worker has one request to an MDM server under
/// way at most, and no two workers the same enrollment.
class Runner {
 public:
  /// An idle worker looks every `poll_interval` for what another process has changed.
  Runner(Store& store, Upstreams& upstreams, Executor& executor, const Clock& clock,
         RandomSource& random, const Settings& settings,
         Duration poll_interval = std::chrono::seconds(1))
      : store_(store),
        upstreams_(upstreams),
        executor_(executor),
        clock_(clock),
        random_(random),
        settings_(settings),
        poll_interval_(poll_interval) {}
  /// Stops the workers after what they have in hand.
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  /// Takes up to `kClaimMax` due enrollments through the whole loop. Returns how many were claimed.
  /// Errors: those of the store; an enrollment that breaks an invariant, cannot be read or whose
  /// plan the store refuses is set aside for an hour and harms nobody else.
  Result<std::size_t> Step();

  void Start(int workers);
  void Stop();
  /// Something became due: wakes a worker, which wakes another one when there is more than one step
  /// of work. Does not block.
  void Notify();

  static constexpr std::size_t kClaimMax = 200;

 private:
  /// What one step has in hand.
  struct Round {
    std::size_t claimed = 0;
    Timestamp lease_until;
    std::int64_t lease_id = 0;  ///< of those that are sent commands and keep no secret; 0: nobody
    std::vector<PlanCommit> commits;
    std::vector<CommandBatch> batches;
  };

  void Work();
  Result<std::size_t> StepGuarded();
  /// Waits until notified, something is due, or at most `poll_interval`.
  void WaitForDue();
  Status DecideUpTo(std::size_t limit, Round& round);
  Status Decide(StoreWriter& writer, std::size_t limit, Timestamp now, Round& round);
  Result<std::size_t> SetOneAside(const Error& why);
  static Result<std::map<EnrollmentId, Snapshot>> LoadSnapshots(
      StoreReader& reader, const std::vector<EnrollmentId>& ids);
  std::optional<PlanCommit> DecideOne(const EnrollmentId& id, Snapshot snapshot,
                                      Timestamp now) const;
  void NameLeases(Round& round);
  Status Perform(const Round& round);
  Status Send(const Round& round, std::vector<DispatchOutcome>& outcomes);
  Status KeepNewKeys(const Round& round, NewKeys::EscrowServer& server);
  Status EscrowSecrets(const Round& round, NewKeys::EscrowServer server);
  Status RecordEscrow(const PlanCommit& commit, const std::optional<Status>& deposited);
  Status Push(const std::vector<PlanCommit>& commits, const std::vector<DispatchOutcome>& outcomes);

  Store& store_;
  Upstreams& upstreams_;
  Executor& executor_;
  const Clock& clock_;
  RandomSource& random_;
  const Settings settings_;
  const Duration poll_interval_;

  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  bool notified_ = false;
  std::vector<std::thread> workers_;
};

}  // namespace director
