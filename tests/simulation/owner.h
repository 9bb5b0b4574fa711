#pragma once

#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "mdm/item_definition.h"
#include "tests/simulation/director_process.h"
#include "tests/simulation/kernel.h"
#include "tests/simulation/ledger.h"
#include "tests/simulation/scenario.h"

namespace director::simulation {

/// Marks the settings of every profile that the owner uploads: must be in no log line and no event.
inline constexpr std::string_view kProfileSecret = "SECRET-in-a-profile";

/// A small profile; another `edition` is another revision.
std::string MakeProfile(const PayloadIdentifier& item, int edition);

/// The administrator: uploads, assigns to all or to single devices, withdraws, removes, proposes
/// locks and erases, at random times through the API; repeats what was not answered until it is.
class Owner {
 public:
  /// `devices`: whom single assignments may name. `problem` is called when an answer is wrong.
  Owner(Kernel& kernel, DirectorProcess& director, Ledger& ledger, const Scenario& scenario,
        std::vector<DeviceFacts> devices, std::function<void(std::string)> problem);

  /// First profiles at once, changes until `until`.
  void Start(Timestamp until);

 private:
  void Change();
  void ProposeSomething();
  void ProposeRotation();
  std::string UnlockingPassword(const DeviceFacts& device);
  void Propose(const DeviceFacts& device, ProposalKind kind);
  void ChangeApp();
  /// Apps and accounts: stores the definition, as an upload would, and assigns it.
  void DefineAndAssign(const ItemDefinition& definition, const std::string& target);
  Wanted Marked(const PayloadIdentifier& item, Wanted wanted) const;
  std::string RandomTarget(RandomSource& random);
  /// I10: no more are accepted in an hour than the budget allows.
  void CheckBudget();
  void CancelProposal(const EnrollmentId& id, std::int64_t proposal_id);
  void Assign(const PayloadIdentifier& item, AssignmentChannel channel, const std::string& target,
              Wanted wanted);
  void Withdraw(const PayloadIdentifier& item, AssignmentChannel channel,
                const std::string& target);
  void UploadAndAssign(const PayloadIdentifier& item, AssignmentChannel channel,
                       const std::string& target, int edition);
  void Retry(std::function<void()> again);
  void PlanEach(double per_day, Timestamp until, RandomSource& random,
                const std::function<void()>& action);

  Kernel& kernel_;
  DirectorProcess& director_;
  Ledger& ledger_;
  const Scenario& scenario_;
  const std::vector<DeviceFacts> devices_;
  std::function<void(std::string)> problem_;
  SeededRandom random_;
  SeededRandom proposal_random_;
  SeededRandom key_random_;
  SeededRandom app_random_;
  int edition_ = 0;
  std::deque<Timestamp> accepted_;  ///< proposals, in the last hour
  bool is_busy_ = false;  ///< one request at a time: the ledger's order is the database's order
};

}  // namespace director::simulation
