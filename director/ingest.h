#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <string_view>
#include <thread>
#include <variant>
#include <vector>

#include "mdm/event.h"
#include "store/store.h"

namespace director {

/// One webhook body as it was understood, or what is kept when it was not.
struct Incoming {
  Timestamp received_at;
  std::variant<MdmEvent, DeadLetter> content;
};

/// Decodes a body, and finds the identity of a device among its certificates, of which it is one of
/// these issuers. Never fails: what cannot be read becomes a dead letter.
Incoming DecodeIncoming(std::string_view body, const UpstreamName& upstream, Timestamp received_at,
                        const std::vector<std::string>& identity_issuers = {});

/// Leaves out the polls that change nothing, as most do: they need no transaction that writes.
/// Those of an enrollment that says more in the same batch stay, and maybe some of a batch that
/// came in over minutes. What a poll would change because of a decision that is being stored at
/// this moment, it changes when it comes again. When the store refuses an id, all stay.
/// kUnavailable when it is out of reach.
Result<std::vector<Incoming>> WithoutIdlePolls(Store& store, std::vector<Incoming> batch);

/// What is recorded beside what devices say.
struct RecordOptions {
  /// A device that enrolls again loses what is assigned to it alone; see `WithdrawOwn`.
  bool clear_device_on_enroll = false;
  /// How long after an event its enrollment becomes due, at once for the MDM servers that are not
  /// here. Who is due earlier than `UpstreamLimits::settle_time` is claimed in vain.
  std::map<UpstreamName, Duration> settle_times = {};
};

/// Called when a transaction has only its commit left; a second time when it begins anew.
using BeforeCommit = std::function<void()>;

/// Records a batch in one transaction: facts, answered intents, reports, due times. When the store
/// calls one of them corrupt, the others are recorded all the same and that one becomes a dead
/// letter. kUnavailable when nothing was recorded.
Status RecordIncoming(
    Store& store, const std::vector<Incoming>& batch, const RecordOptions& options = {},
    const BeforeCommit& before_commit = [] {});

/// Group commit of webhooks: many requests wait for one transaction. What comes while it is made is
/// the next batch, which another thread takes when the first has only its commit left: so batches
/// are large and nobody waits for the disk but who has to. Two may be recorded in either order, as
/// webhooks may come in any. Thread-safe.
class Ingest {
 public:
  /// Called after a commit that made enrollments due; must not block.
  using OnDue = std::function<void()>;

  Ingest(Store& store, OnDue on_due, RecordOptions options = {});
  /// Finishes what was accepted, then stops.
  ~Ingest();
  Ingest(const Ingest&) = delete;
  Ingest& operator=(const Ingest&) = delete;

  /// Returns after `incoming` is on disk. kUnavailable when the queue (`kQueueMax`) is full, the
  /// store fails, or it is stopping.
  Status Accept(Incoming incoming);

  /// Requests waiting for their commit.
  std::size_t QueueDepth() const;

  static constexpr std::size_t kThreads = 2;
  static constexpr std::size_t kQueueMax = 1024;
  static constexpr std::size_t kBatchMax = 256;

 private:
  struct Waiting {
    Incoming incoming;
    std::promise<Status> outcome;
  };
  void Run();
  Status Take(std::vector<Incoming> batch, const BeforeCommit& before_commit);

  Store& store_;
  OnDue on_due_;
  const RecordOptions options_;
  std::mutex turn_;  ///< of the one batch that is made; taken before `mutex_`
  mutable std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<Waiting> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace director
