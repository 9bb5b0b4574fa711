#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "simulator/mdm_stand_in.h"
#include "store/store.h"
#include "tests/simulation/checker.h"
#include "tests/simulation/device_actor.h"
#include "tests/simulation/director_process.h"
#include "tests/simulation/kernel.h"
#include "tests/simulation/ledger.h"
#include "tests/simulation/owner.h"
#include "tests/simulation/scenario.h"
#include "tests/simulation/tally.h"

namespace director::simulation {

/// How one world ended.
struct Outcome {
  std::uint64_t trace_hash = 0;
  std::uint64_t trace_lines = 0;
  Duration virtual_time{};
  Duration convergence{};  ///< from the end of the faults until the fleet was as desired
  std::uint64_t changes_sent = 0;
  std::uint64_t questions_sent = 0;
  int deaths = 0;
  Tally tally;
  std::optional<Violation> violation;
  std::string report;  ///< of the violation: last events, explanation
};

/// One life of a fleet: faults, then calm until everything is as desired, then a quiet day.
class World {
 public:
  explicit World(const Scenario& scenario);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  void PrintTrace() { kernel_.PrintTrace(); }
  Outcome Run();

 private:
  std::unique_ptr<MdmStandIn> MakeServer();
  void AddDevices();
  void AddDevice(DeviceFacts facts, DeviceBehaviour behaviour);
  void AddTwin(const DeviceFacts& facts);
  void InstallForeignProfile(VirtualDevice& device);
  void PlanFaults();
  void PlanEach(double per_day, std::function<void()> action);
  void PlanChecks();
  void Deliver(const std::string& body);
  void DeliverGarbage(const std::string& body);
  void Push(const EnrollmentId& id);
  DeviceActor& AnyDevice();
  void RunFaults();
  void RunCalm();
  void RunQuiet();
  Tally CountAll() const;
  std::string Unconverged();
  std::string DescribeViolation();

  const Scenario scenario_;
  SeededRandom random_;
  Timestamp begin_;
  Kernel kernel_;
  bool is_calm_ = false;
  std::unique_ptr<Store> database_;
  std::unique_ptr<MdmStandIn> server_;
  Ledger ledger_;
  std::unique_ptr<Checker> checker_;
  std::unique_ptr<DirectorProcess> director_;
  std::unique_ptr<Owner> owner_;
  std::vector<std::unique_ptr<DeviceActor>> devices_;
  std::multimap<EnrollmentId, DeviceActor*> by_id_;
  std::vector<DeviceFacts> nameable_;
  Faults device_faults_;  ///< zero when calm
  Duration convergence_{};
};

}  // namespace director::simulation
