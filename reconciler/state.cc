#include "reconciler/state.h"

#include <algorithm>

#include "mdm/item_definition.h"
#include "reconciler/name_table.h"

namespace director {
namespace {

constexpr NameTable<EnrollmentStatus, 4> kEnrollmentStatusNames{{
    {EnrollmentStatus::kAuthenticated, "authenticated"},
    {EnrollmentStatus::kEnrolled, "enrolled"},
    {EnrollmentStatus::kCheckedOut, "checked_out"},
    {EnrollmentStatus::kQuarantined, "quarantined"},
}};

constexpr NameTable<EnrollmentStep, 4> kEnrollmentStepNames{{
    {EnrollmentStep::kNone, ""},
    {EnrollmentStep::kTokenUpdate, "token_update"},
    {EnrollmentStep::kFirstAnswer, "first_answer"},
    {EnrollmentStep::kProfileList, "profile_list"},
}};

constexpr NameTable<Presence, 2> kPresenceNames{{
    {Presence::kPresent, "present"},
    {Presence::kAbsent, "absent"},
}};

constexpr NameTable<TargetKind, 2> kTargetKindNames{{
    {TargetKind::kAll, "all"},
    {TargetKind::kDevice, "device"},
}};

constexpr NameTable<ItemState, 8> kItemStateNames{{
    {ItemState::kPending, "pending"},
    {ItemState::kInFlight, "in_flight"},
    {ItemState::kNotNow, "not_now"},
    {ItemState::kAcknowledged, "acknowledged"},
    {ItemState::kVerified, "verified"},
    {ItemState::kBackingOff, "backing_off"},
    {ItemState::kParked, "parked"},
    {ItemState::kBlocked, "blocked"},
}};

constexpr NameTable<IntentState, 10> kIntentStateNames{{
    {IntentState::kJournaled, "journaled"},
    {IntentState::kSent, "sent"},
    {IntentState::kUnknown, "unknown"},
    {IntentState::kNotNow, "not_now"},
    {IntentState::kAcknowledged, "acknowledged"},
    {IntentState::kDenied, "denied"},
    {IntentState::kFailed, "failed"},
    {IntentState::kNotSent, "not_sent"},
    {IntentState::kRefused, "refused"},
    {IntentState::kLost, "lost"},
}};

}  // namespace

std::string_view EnrollmentStatusName(EnrollmentStatus status) {
  return NameOf(kEnrollmentStatusNames, status);
}
Result<EnrollmentStatus> ParseEnrollmentStatus(std::string_view name) {
  return ValueOf(kEnrollmentStatusNames, name);
}

std::string_view EnrollmentStepName(EnrollmentStep step) {
  return NameOf(kEnrollmentStepNames, step);
}
Result<EnrollmentStep> ParseEnrollmentStep(std::string_view name) {
  return ValueOf(kEnrollmentStepNames, name);
}

std::string_view PresenceName(Presence presence) { return NameOf(kPresenceNames, presence); }
Result<Presence> ParsePresence(std::string_view name) { return ValueOf(kPresenceNames, name); }

std::string_view TargetKindName(TargetKind kind) { return NameOf(kTargetKindNames, kind); }
Result<TargetKind> ParseTargetKind(std::string_view name) {
  return ValueOf(kTargetKindNames, name);
}

std::string_view ItemStateName(ItemState state) { return NameOf(kItemStateNames, state); }
Result<ItemState> ParseItemState(std::string_view name) { return ValueOf(kItemStateNames, name); }

const std::vector<ItemState>& AllItemStates() {
  static const std::vector<ItemState> states = [] {
    std::vector<ItemState> all;
    for (const auto& [state, name] : kItemStateNames) all.push_back(state);
    return all;
  }();
  return states;
}

std::string_view IntentStateName(IntentState state) { return NameOf(kIntentStateNames, state); }
Result<IntentState> ParseIntentState(std::string_view name) {
  return ValueOf(kIntentStateNames, name);
}

Timestamp SeenAt(const DeviceReport& report) {
  return std::max(report.reported_at, report.asked_at.value_or(report.reported_at));
}

const ReportedProfile* FindEnrollmentProfile(const Snapshot& snapshot) {
  const auto& list = snapshot.profile_list;
  if (!list || list->epoch != snapshot.enrollment.epoch) return nullptr;
  const ReportedProfile* found = nullptr;
  for (const ReportedProfile& profile : list->profiles) {
    if (!profile.has_mdm_payload) continue;
    if (found != nullptr) return nullptr;
    found = &profile;
  }
  return found;
}

bool IsOpen(IntentState state) {
  switch (state) {
    case IntentState::kJournaled:
    case IntentState::kSent:
    case IntentState::kUnknown:
    case IntentState::kNotNow:
      return true;
    case IntentState::kAcknowledged:
    case IntentState::kDenied:
    case IntentState::kFailed:
    case IntentState::kNotSent:
    case IntentState::kRefused:
    case IntentState::kLost:
      return false;
  }
  return false;
}

void AddUnfinished(Proposal proposal, Snapshot& snapshot) {
  if (IsOpen(proposal.state)) {
    snapshot.proposal = std::move(proposal);
  } else {
    snapshot.answered.push_back(std::move(proposal));
  }
}

const DeviceReport* FindReport(const Snapshot& snapshot, const PayloadIdentifier& item) {
  switch (KindOf(item)) {
    case ItemKind::kProfile:
      return snapshot.profile_list ? &*snapshot.profile_list : nullptr;
    case ItemKind::kApp:
      return snapshot.app_list ? &*snapshot.app_list : nullptr;
    case ItemKind::kAccounts:
    case ItemKind::kIdentity:
      return nullptr;
  }
  return nullptr;
}

PerInventoryKind<Duration> DefaultInventoryIntervals() {
  PerInventoryKind<Duration> intervals;
  for (const InventoryKind kind : kInventoryKinds) intervals[kind] = kDay;
  intervals[InventoryKind::kManagedApplicationList] = Duration::zero();
  intervals[InventoryKind::kInstalledApplicationList] = 7 * kDay;
  return intervals;
}

}  // namespace director
