#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "mdm/profile.h"
#include "simulator/device.h"
#include "simulator/mdm_stand_in.h"
#include "store/store.h"
#include "tests/simulation/director_process.h"
#include "tests/simulation/kernel.h"
#include "tests/simulation/ledger.h"
#include "tests/simulation/scenario.h"

namespace director::simulation {

/// A broken promise.
struct Violation {
  std::string rule;  ///< `I1` .. `I10`, or a name of docs/testing.md
  std::string text;
  EnrollmentId enrollment_id;  ///< empty when it is about no single one
};

/// Holds what Director does against what it promises, with knowledge of its own: the owners'
/// ledger, the devices themselves, what was recorded, what the devices did. Reads Director's
/// database, trusts none of its decisions. Keeps the first violation and stops the kernel.
class Checker final : public ProcessWatcher {
 public:
  Checker(Kernel& kernel, Store& database, MdmStandIn& server, const Ledger& ledger,
          const Scenario& scenario);

  void AddDevice(const VirtualDevice& device);
  /// Another device with the enrollment id of one that was added.
  void AddTwin(const EnrollmentId& id) { twins_.insert(id); }
  void SetProcess(DirectorProcess& process) { process_ = &process; }
  /// From now on a command that changes something is a violation.
  void QuietBegins() { is_quiet_ = true; }

  void WatchEnqueue(const EnqueueRequest& request, Timestamp step_began_at) override;
  void WatchEnqueued(const EnqueueRequest& request,
                     const std::vector<EnqueueTargetResult>& results) override;
  void WatchPush(const EnrollmentId& id) override;
  void WatchEscrow(const std::string& serial_number, const std::string& secret) override;
  void WatchRecorded(const MdmEvent& event, Timestamp said_at) override;
  void WatchContact(const EnrollmentId& id) { At(id).contact_at = kernel_.Now(); }
  void WatchLog(std::string_view line);

  /// Every enrollment times item has a state, a reason and a time (I2); queues are bounded.
  void CheckFleet();
  /// The first thing that keeps the fleet from being as desired, with the enrollment's id in front;
  /// empty when it is. Begins where the last call found something.
  std::string Unconverged();
  /// Nothing secret in what people read.
  void CheckTexts();
  /// A person can read the recovery lock password of every Mac that has one.
  void CheckRecoveryLocks();
  /// A person can read the recovery key of every Mac whose answer with it Director has heard, and
  /// it is in escrow when Director says so.
  void CheckRecoveryKeys();

  void Report(std::string rule, std::string text, const EnrollmentId& id = {});
  const std::optional<Violation>& violation() const { return violation_; }
  /// What Director says about an enrollment, for the report of a failure.
  std::string Explain(const EnrollmentId& id);

  std::uint64_t changes_sent() const { return changes_sent_; }
  std::uint64_t questions_sent() const { return questions_sent_; }
  /// Profiles that were there and went out again after an OS update.
  std::uint64_t reinstalls_sent() const { return reinstalls_sent_; }

 private:
  struct ReportSeen {
    Timestamp recorded_at;
    Timestamp reported_at;
    std::vector<ReportedProfile> profiles;
  };
  struct AppListSeen {
    Timestamp recorded_at;
    Timestamp reported_at;
    std::vector<ReportedApp> apps;
  };
  /// The revision that a device last answered for, and its OS build as recorded then.
  struct BuildSeen {
    std::string payload_uuid;
    std::string build;
  };
  struct InstallSeen {
    CommandUuid command_uuid;
    std::string payload_uuid;
    std::optional<Timestamp> failed_at;  ///< the device's refusal was recorded
    Duration skew{};                     ///< of Director's clock, then
  };
  struct Refusal {
    Timestamp at;  ///< when it was recorded
    std::int64_t epoch = 0;
    Duration skew{};  ///< of Director's clock, then
  };
  /// What the checker knows about one enrollment.
  struct Known {
    const VirtualDevice* device = nullptr;
    Timestamp contact_at = Timestamp::min();        ///< the server last handled a message of it
    Timestamp authenticated_at = Timestamp::min();  ///< by the server's clock
    Timestamp authenticate_recorded_at = Timestamp::min();
    /// A TokenUpdate said last that the device is in Setup Assistant, where it comes wiped.
    Timestamp setup_recorded_at = Timestamp::min();
    Timestamp checked_out_at = Timestamp::min();
    Timestamp check_out_recorded_at = Timestamp::min();
    Duration check_out_skew{};  ///< of Director's clock, then
    Timestamp last_word_at =
        Timestamp::min();  ///< newest event but CheckOut, by the server's clock
    std::deque<ReportSeen> reports;
    std::deque<AppListSeen> app_lists;
    std::string build;        ///< recorded last
    std::string first_build;  ///< of this epoch
    bool is_mac_known = false;
    /// What the last list of certificates said, and when it was recorded.
    std::optional<Timestamp> identity_until;
    Timestamp certificates_recorded_at = Timestamp::min();
    std::optional<std::int64_t> epoch;  ///< of the enrollment, after the last word
    /// Since when what was recorded says that it is held in Setup Assistant.
    std::optional<Timestamp> held_since;
    Timestamp token_said_at = Timestamp::min();
    Timestamp facts_said_at = Timestamp::min();
    Timestamp let_go_sent_at = Timestamp::min();
    CommandUuid let_go_command;  ///< the last DeviceConfigured
    std::map<PayloadIdentifier, Timestamp> tried_at;
    std::map<PayloadIdentifier, BuildSeen> builds;
    std::map<PayloadIdentifier, InstallSeen> installs;  ///< the last of each
    std::map<PayloadIdentifier, std::deque<Timestamp>> sends;
    std::deque<Timestamp> questions;
    CommandUuid managed_question;  ///< the last ManagedApplicationList
    std::optional<Refusal> managed_refused;
    /// Each kind of list since the last change.
    std::map<std::string, std::deque<Timestamp>> idle_questions;
    std::deque<Timestamp> pushes;
    /// Commands that were proposed and may be in the server's queue or beyond.
    std::map<std::string, std::set<CommandUuid>> proposed;
  };

  /// A command that installs or removes an item, as a device reads it.
  struct Change {
    std::string command;
    PayloadIdentifier item;  ///< empty when the command cannot be read
    std::optional<Profile> profile;
    std::string payload_uuid{};  ///< of what is installed
  };

  /// Read once for all targets and for what follows: the next call replaces it.
  const Change& ChangeOf(const EnqueueRequest& request);
  Known& At(const EnrollmentId& id) { return known_[id]; }
  void CheckTarget(const EnqueueRequest& request, const EnrollmentId& id, Timestamp step_began_at);
  void CheckJournaled(const EnqueueRequest& request, const EnrollmentId& id);
  void CheckChange(const EnqueueRequest& request, const EnrollmentId& id, Timestamp step_began_at);
  void CheckProposed(const EnqueueRequest& request, const EnrollmentId& id,
                     Timestamp step_began_at);
  void CheckUnlocking(const ReceivedCommand& command, const EnrollmentId& id);
  void CheckAwake(const EnrollmentId& id, Timestamp step_began_at);
  void CheckInstall(const CommandUuid& command_uuid, const Profile& profile, const EnrollmentId& id,
                    Timestamp step_began_at);
  void CheckBackOff(const CommandUuid& command_uuid, const PayloadIdentifier& item,
                    const std::string& payload_uuid, const EnrollmentId& id);
  void CheckDefined(const CommandUuid& command_uuid, const Change& change, const EnrollmentId& id,
                    Timestamp step_began_at);
  void CheckAppNeeded(const Change& change, const EnrollmentId& id, Timestamp step_began_at);
  void CheckRemoveApp(const PayloadIdentifier& item, const EnrollmentId& id,
                      Timestamp step_began_at);
  void CheckAccounts(const EnrollmentId& id, Timestamp step_began_at);
  void CheckLetGo(const EnqueueRequest& request, const EnrollmentId& id, Timestamp step_began_at);
  bool HoldsInSetup(const EnrollmentId& id, const PayloadIdentifier& item,
                    Timestamp step_began_at) const;
  void CheckRenewal(const Profile& profile, const EnrollmentId& id, Timestamp step_began_at);
  bool IsOfRenewal(const MdmEvent& event, Timestamp said_at, const Known& known) const;
  void WatchIdentity(const MdmEvent& event, Timestamp said_at, Known& known);
  std::string WhyIdentityLost(const EnrollmentId& id, const VirtualDevice& device) const;
  bool IsReinstalled(const EnrollmentId& id, const Profile& profile) const;
  void WatchSetup(const MdmEvent& event, Timestamp said_at, Known& known);
  void WatchBuilds(const MdmEvent& event, Timestamp said_at, Known& known);
  bool IsFreshEvidence(const Known& known, Timestamp recorded_at, Timestamp reported_at,
                       Timestamp step_began_at) const;
  std::optional<IntentState> JournaledState(const EnrollmentId& id,
                                            const CommandUuid& command_uuid);
  std::string WhyAppUnconverged(const VirtualDevice& device, const PayloadIdentifier& item,
                                const Wanted& wanted, const Snapshot& snapshot,
                                const ItemRecord* record) const;
  std::string WhyReinstallUnconverged(const VirtualDevice& device, const ItemRecord& record,
                                      const Snapshot& snapshot) const;
  bool MayPark(const VirtualDevice& device, const PayloadIdentifier& item,
               const Wanted& wanted) const;
  void CheckRemove(const PayloadIdentifier& item, const EnrollmentId& id, Timestamp step_began_at);
  bool IsRecordedAsFailed(const MdmEvent& event, const ResultEvent& result);
  bool IsBaseless(const EnrollmentId& id, const Profile& profile, Timestamp step_began_at);
  bool WasReported(const Known& known, const PayloadIdentifier& item, bool adopt,
                   Timestamp step_began_at) const;
  void CheckOneInFlight(const EnqueueRequest& request, const EnrollmentId& id,
                        const PayloadIdentifier& item);
  void CheckIdleQuestions(const EnqueueRequest& request, const EnrollmentId& id);
  void CheckManagedQuestion(const EnqueueRequest& request, const EnrollmentId& id);
  void WatchManagedRefusal(const MdmEvent& event, const ResultEvent& result, Known& known);
  void CheckEnrollment(const EnrollmentRow& row, const Snapshot& snapshot);
  /// The device's proposals whose secret is this one.
  std::vector<Proposal> Revealing(const std::string& secret, const EnrollmentId& id);
  bool IsDark(const VirtualDevice& device) const;
  std::string WhyUnconverged(const EnrollmentId& id, const Known& known);
  std::string WhyUnconverged(const VirtualDevice& device, const PayloadIdentifier& item,
                             const std::optional<Snapshot>& snapshot) const;
  std::optional<Snapshot> Load(const EnrollmentId& id);
  std::optional<Enrollment> LoadEnrollment(const EnrollmentId& id);
  static void Forget(std::deque<Timestamp>& times, Timestamp before);

  Kernel& kernel_;
  Store& database_;
  MdmStandIn& server_;
  const Ledger& ledger_;
  const Scenario& scenario_;
  DirectorProcess* process_ = nullptr;
  std::map<EnrollmentId, Known> known_;
  Change last_change_;
  std::map<std::string, std::set<std::string>> escrowed_;  ///< secrets by serial number
  /// RotateFileVaultKey commands whose answers with a new key were recorded.
  std::set<CommandUuid> keys_recorded_;
  std::set<EnrollmentId> twins_;
  EnrollmentId last_unconverged_;
  bool is_quiet_ = false;
  std::optional<Violation> violation_;
  std::uint64_t changes_sent_ = 0;
  std::uint64_t questions_sent_ = 0;
  std::uint64_t reinstalls_sent_ = 0;
};

}  // namespace director::simulation
