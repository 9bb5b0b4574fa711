#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "director/api.h"
#include "director/config.h"
#include "director/executor.h"
#include "director/payloads.h"
#include "director/runner.h"
#include "director/upstreams.h"
#include "mdm/event.h"
#include "simulator/mdm_stand_in.h"
#include "store/store.h"
#include "tests/simulation/kernel.h"
#include "tests/simulation/scenario.h"
#include "upstream/http_client.h"

namespace director::simulation {

inline const UpstreamName kServerName("mdm");

/// What the process shows to whoever checks it. Called outside of transactions.
class ProcessWatcher {
 public:
  virtual ~ProcessWatcher() = default;
  /// Before a command goes out. `step_began_at`: everything that its plan rests on was read after.
  virtual void WatchEnqueue(const EnqueueRequest& request, Timestamp step_began_at) = 0;
  virtual void WatchEnqueued(const EnqueueRequest& request,
                             const std::vector<EnqueueTargetResult>& results) = 0;
  virtual void WatchPush(const EnrollmentId& id) = 0;
  /// The escrow server has taken a PIN.
  virtual void WatchEscrow(const std::string& serial_number, const std::string& secret) = 0;
  /// After a webhook with an event was recorded. `said_at`: by the MDM server's clock, whatever
  /// Director's clock makes of it.
  virtual void WatchRecorded(const MdmEvent& event, Timestamp said_at) = 0;
};

/// Director as one process: the real runner, executor, upstream client, webhook recording and API
/// over a database that outlives it. Lets time pass at each transaction and request, so that
/// devices, webhooks and owners act in between; dies at any of them.
class DirectorProcess {
 public:
  DirectorProcess(Kernel& kernel, Store& database, MdmStandIn& server, const Scenario& scenario,
                  ProcessWatcher& watcher);
  ~DirectorProcess();
  DirectorProcess(const DirectorProcess&) = delete;
  DirectorProcess& operator=(const DirectorProcess&) = delete;

  void Start();
  /// From now on neither its clock jumps nor does it die nor do its database and network fail.
  void Calm();
  bool is_alive() const { return is_alive_; }
  int deaths() const { return deaths_; }

  /// A webhook arrives. Nothing is recorded while the process is dead.
  void Receive(const std::string& body);
  /// An owner calls the API: method, pattern of the route, values of the pattern, body. Status 0
  /// when the process is dead.
  HttpServerResponse CallApi(const std::string& method, const std::string& pattern,
                             std::map<std::string, std::string> path_values, std::string body);

  /// What the API would do for an owner, done in a transaction of this process.
  Status WriteForOwner(const std::function<Status(StoreWriter&)>& body);

  void JumpClock(Duration by);
  void SetServerDown(bool is_down) { server_is_down_ = is_down; }
  Timestamp Now() const { return clock_.Now(); }
  /// How far its clock is ahead of everybody else's.
  Duration skew() const { return clock_.skew; }
  /// When its clock was last set back, by everybody else's clock.
  Timestamp set_back_at() const { return set_back_at_; }

 private:
  class SkewedClock final : public Clock {
   public:
    explicit SkewedClock(const Kernel& kernel) : kernel_(kernel) {}
    Timestamp Now() const override { return kernel_.Now() + skew; }
    Duration skew = Duration::zero();

   private:
    const Kernel& kernel_;
  };
  class ProcessStore;
  class Wire;
  class EscrowServer;
  class EnrollmentProfiles;
  class WatchedUpstream;
  struct Parts;

  std::unique_ptr<Upstream> MakeClient();
  void Die(const char* where);
  void Notify();
  void PlanStep(Timestamp at);
  void Step();
  void StepOnce();
  /// Other threads and machines act; nothing happens when the caller is one of them.
  void Breathe(Duration duration);
  bool Happens(double probability) { return !is_calm_ && random_.Fraction() < probability; }

  Kernel& kernel_;
  Store& database_;
  MdmStandIn& server_;
  const Scenario& scenario_;
  ProcessWatcher& watcher_;
  SeededRandom random_;
  SkewedClock clock_;
  const Config config_;
  const Secrets secrets_;

  bool is_calm_ = false;
  bool is_alive_ = false;
  bool is_stepping_ = false;
  bool is_breathing_ = false;
  bool server_is_down_ = false;
  int deaths_ = 0;
  std::uint64_t commits_ = 0;
  Timestamp set_back_at_ = Timestamp::min();
  Timestamp step_began_at_;
  Timestamp step_planned_at_ = Timestamp::max();
  std::uint64_t step_plan_ = 0;

  std::unique_ptr<ProcessStore> store_;
  std::unique_ptr<Parts> parts_;
};

}  // namespace director::simulation
