#include "tests/simulation/owner.h"

#include <fmt/core.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "director/revisions.h"
#include "mdm/plist.h"
#include "tests/simulation/catalogue.h"

namespace director::simulation {
namespace {

using Json = nlohmann::json;
using std::chrono::seconds;

constexpr char kAssignments[] = "/api/v1/assignments";

bool IsDone(int status) { return status >= 200 && status < 300; }
/// Nothing was heard, or Director asks to come again.
bool IsToBeRepeated(int status) { return status == 0 || status >= 500; }

}  // namespace

std::string MakeProfile(const PayloadIdentifier& item, int edition) {
  // Every other one makes the device ask the same certificate authority.
  const bool asks_authority = item.value().back() % 2 == 1;
  PlistDict payload;
  payload.Set("PayloadType", asks_authority ? "com.apple.security.acme" : "com.apple.screensaver");
  if (asks_authority) payload.Set("DirectoryURL", "https://ca.example.com/directory");
  payload.Set("PayloadVersion", PlistInteger::FromSigned(1));
  payload.Set("PayloadIdentifier", item.value() + ".payload");
  payload.Set("PayloadUUID", "22222222-0000-4000-8000-000000000002");
  payload.Set("loginWindowModulePath", fmt::format("{} {}", kProfileSecret, edition));
  PlistArray content;
  content.push_back(payload);
  PlistDict root;
  root.Set("PayloadType", "Configuration");
  root.Set("PayloadVersion", PlistInteger::FromSigned(1));
  root.Set("PayloadIdentifier", item.value());
  root.Set("PayloadUUID", "11111111-0000-4000-8000-000000000001");
  root.Set("PayloadDisplayName", item.value());
  root.Set("PayloadContent", content);
  return EncodePlistXml(root);
}

Owner::Owner(Kernel& kernel, DirectorProcess& director, Ledger& ledger, const Scenario& scenario,
             std::vector<DeviceFacts> devices, std::function<void(std::string)> problem)
    : kernel_(kernel),
      director_(director),
      ledger_(ledger),
      scenario_(scenario),
      devices_(std::move(devices)),
      problem_(std::move(problem)),
      random_(scenario.seed ^ StableHash("owner")),
      proposal_random_(scenario.seed ^ StableHash("owner's proposals")),
      key_random_(scenario.seed ^ StableHash("owner's rotations")),
      app_random_(scenario.seed ^ StableHash("owner's apps")) {}

void Owner::Start(Timestamp until) {
  for (std::size_t i = 0; i < scenario_.items; ++i) {
    const PayloadIdentifier item(fmt::format("com.example.item{}", i));
    const bool for_users = scenario_.user_channels > 0 && random_.Below(3) == 0;
    UploadAndAssign(item, for_users ? AssignmentChannel::kUser : AssignmentChannel::kDevice, {},
                    ++edition_);
  }
  for (std::size_t i = 0; i < scenario_.apps; ++i) {
    DefineAndAssign(CatalogueDefinition(static_cast<CatalogueApp>(i), ++edition_), {});
  }
  if (scenario_.accounts) DefineAndAssign(AccountsDefinition(1), {});
  PlanEach(scenario_.changes_per_day, until, random_, [this] { Change(); });
  if (scenario_.apps > 0) {
    PlanEach(scenario_.app_changes_per_day, until, app_random_, [this] { ChangeApp(); });
  }
  PlanEach(scenario_.proposals_per_day, until, proposal_random_, [this] { ProposeSomething(); });
  PlanEach(scenario_.proposals_per_day, until, key_random_, [this] { ProposeRotation(); });
}

void Owner::PlanEach(double per_day, Timestamp until, RandomSource& random,
                     const std::function<void()>& action) {
  if (per_day <= 0) return;
  Timestamp at = kernel_.Now();
  const auto mean_ms = static_cast<double>(kDay.count()) / per_day;
  while (true) {
    at += Duration(1 + static_cast<std::int64_t>(2 * mean_ms * random.Fraction()));
    if (at >= until) return;
    kernel_.At(at, action);
  }
}

std::string Owner::RandomTarget(RandomSource& random) {
  if (random.Below(2) == 0) return {};
  // Each device has one name for owners: two names for one device may not contradict each other.
  const std::size_t index = random.Below(devices_.size());
  return index % 2 == 0 ? devices_[index].udid : devices_[index].serial_number;
}

void Owner::Change() {
  if (is_busy_) return;
  const PayloadIdentifier item(fmt::format("com.example.item{}", random_.Below(scenario_.items)));
  const AssignmentChannel channel = scenario_.user_channels > 0 && random_.Below(3) == 0
                                        ? AssignmentChannel::kUser
                                        : AssignmentChannel::kDevice;
  const std::string target = RandomTarget(random_);
  if (random_.Below(20) == 0) {  // a mistake that would end the management of a fleet
    Assign(PayloadIdentifier("com.example.simulator.enrollment"), channel, target,
           {Presence::kAbsent, "", true});
    return;
  }
  switch (random_.Below(4)) {
    case 0:
      Assign(item, channel, target, {Presence::kAbsent, "", random_.Below(2) == 0});
      return;
    case 1:
      Withdraw(item, channel, target);
      return;
    case 2:  // an old revision again
      UploadAndAssign(item, channel, target, static_cast<int>(1 + random_.Below(3)));
      return;
    default:
      UploadAndAssign(item, channel, target, ++edition_);
      return;
  }
}

void Owner::ChangeApp() {
  if (is_busy_) return;
  if (scenario_.accounts && app_random_.Below(6) == 0) {
    return DefineAndAssign(AccountsDefinition(++edition_), RandomTarget(app_random_));
  }
  const auto app = static_cast<CatalogueApp>(app_random_.Below(scenario_.apps));
  const PayloadIdentifier item = CatalogueItem(app);
  const bool for_all = app == CatalogueApp::kAtEnrollment;
  const std::string target = for_all ? std::string() : RandomTarget(app_random_);
  // What has no bundle identifier no device can be asked to remove.
  const bool can_be_absent = !for_all && app != CatalogueApp::kUnnamed;
  switch (app_random_.Below(4)) {
    case 0:
      if (!can_be_absent) return Withdraw(item, AssignmentChannel::kDevice, target);
      return Assign(item, AssignmentChannel::kDevice, target, {Presence::kAbsent, "", false});
    case 1:
      return Withdraw(item, AssignmentChannel::kDevice, target);
    case 2:  // an old version again
      return DefineAndAssign(CatalogueDefinition(app, static_cast<int>(1 + app_random_.Below(3))),
                             target);
    default:
      return DefineAndAssign(CatalogueDefinition(app, ++edition_), target);
  }
}

/// Comes again after a minute; until then no other change begins.
void Owner::Retry(std::function<void()> again) {
  is_busy_ = true;
  kernel_.After(seconds(60), [this, again = std::move(again)] {
    is_busy_ = false;
    again();
  });
}

void Owner::UploadAndAssign(const PayloadIdentifier& item, AssignmentChannel channel,
                            const std::string& target, int edition) {
  const HttpServerResponse stored =
      director_.CallApi("POST", "/api/v1/profiles", {}, MakeProfile(item, edition));
  if (IsToBeRepeated(stored.status)) {
    return Retry([=, this] { UploadAndAssign(item, channel, target, edition); });
  }
  if (!IsDone(stored.status)) return problem_("upload refused: " + stored.body);
  const std::string payload_uuid =
      Json::parse(stored.body)["profiles"][0]["payload_uuid"].get<std::string>();
  ledger_.AddRevision(item, payload_uuid);
  Assign(item, channel, target, {Presence::kPresent, payload_uuid, false});
}

void Owner::Assign(const PayloadIdentifier& item, AssignmentChannel channel,
                   const std::string& target, Wanted wanted) {
  Json body = {{"payload_identifier", item.value()},
               {"presence", PresenceName(wanted.presence)},
               {"channel", AssignmentChannelName(channel)}};
  if (wanted.presence == Presence::kPresent) body["payload_uuid"] = wanted.payload_uuid;
  if (wanted.adopt) body["adopt"] = true;
  wanted = Marked(item, std::move(wanted));
  if (wanted.during_setup) body["during_setup"] = true;
  if (wanted.at_enrollment_only) body["at_enrollment_only"] = true;
  if (target.empty()) {
    body["target"] = "all";
  } else {
    body["devices"] = {target};
  }
  ledger_.Propose(item, channel, target, wanted);
  const HttpServerResponse done = director_.CallApi("POST", kAssignments, {}, body.dump());
  kernel_.Trace(fmt::format("owner: {} {} for {} ({}): {}", item.value(),
                            wanted.presence == Presence::kPresent ? wanted.payload_uuid : "absent",
                            target.empty() ? "all" : target, AssignmentChannelName(channel),
                            done.status));
  if (IsToBeRepeated(done.status)) {
    return Retry([=, this] { Assign(item, channel, target, wanted); });
  }
  if (!IsDone(done.status)) return problem_("assignment refused: " + done.body);
  ledger_.Set(item, channel, target, std::move(wanted), kernel_.Now());
}

Wanted Owner::Marked(const PayloadIdentifier& item, Wanted wanted) const {
  if (wanted.presence == Presence::kAbsent) return wanted;
  wanted.during_setup = scenario_.setup_profile && item.value() == "com.example.item0";
  for (std::size_t i = 0; i < scenario_.setup_apps; ++i) {
    if (item == CatalogueItem(static_cast<CatalogueApp>(i))) wanted.during_setup = true;
  }
  wanted.at_enrollment_only =
      scenario_.apps > 0 && item == CatalogueItem(CatalogueApp::kAtEnrollment);
  return wanted;
}

void Owner::DefineAndAssign(const ItemDefinition& definition, const std::string& target) {
  const Revision revision = ToRevision(definition, "api", director_.Now());
  const Status stored = director_.WriteForOwner([&](StoreWriter& writer) -> Status {
    const Result<bool> saved = writer.SaveRevision(revision);
    return saved ? Status() : Fail(saved.error());
  });
  if (!stored) return Retry([=, this] { DefineAndAssign(definition, target); });
  ledger_.AddDefinition(definition);
  Assign(definition.item, AssignmentChannel::kDevice, target,
         {Presence::kPresent, revision.payload_uuid.value(), false});
}

void Owner::Withdraw(const PayloadIdentifier& item, AssignmentChannel channel,
                     const std::string& target) {
  const HttpServerResponse list = director_.CallApi("GET", kAssignments, {}, {});
  if (IsToBeRepeated(list.status)) {
    return Retry([=, this] { Withdraw(item, channel, target); });
  }
  if (!IsDone(list.status)) return problem_("list refused: " + list.body);
  ledger_.Propose(item, channel, target, std::nullopt);
  const Json assignments = Json::parse(list.body)["assignments"];
  for (const Json& assignment : assignments) {
    const Json& named = assignment["target"];
    const bool is_it = assignment["payload_identifier"] == item.value() &&
                       assignment["channel"] == std::string(AssignmentChannelName(channel)) &&
                       (named.is_null() ? target.empty() : named == target);
    if (!is_it) continue;
    const auto id = assignment["assignment_id"].get<std::int64_t>();
    const HttpServerResponse done =
        director_.CallApi("DELETE", std::string(kAssignments) + "/{assignment_id}",
                          {{"assignment_id", std::to_string(id)}}, {});
    kernel_.Trace(fmt::format("owner: {} withdrawn for {}: {}", item.value(),
                              target.empty() ? "all" : target, done.status));
    if (IsToBeRepeated(done.status)) {
      return Retry([=, this] { Withdraw(item, channel, target); });
    }
    if (!IsDone(done.status)) return problem_("withdrawal refused: " + done.body);
    break;
  }
  ledger_.Set(item, channel, target, std::nullopt, kernel_.Now());
}

void Owner::ProposeSomething() {
  const DeviceFacts& device = devices_[proposal_random_.Below(devices_.size())];
  Propose(device, kProposalKinds[proposal_random_.Below(kProposalKinds.size())]);
}

/// Most that can go wrong with a recovery key needs a second one.
void Owner::ProposeRotation() {
  Propose(devices_[key_random_.Below(devices_.size())], ProposalKind::kRotateFileVaultKey);
}

/// An administrator types the password, leaves it to Director (empty), or mistypes.
std::string Owner::UnlockingPassword(const DeviceFacts& device) {
  const std::uint64_t chance = key_random_.Below(8);
  if (chance == 0) return "mistyped";
  return chance < 4 ? std::string() : FileVaultPassword(device);
}

/// What is not answered may be there all the same: it is not asked for twice.
void Owner::Propose(const DeviceFacts& device, ProposalKind kind) {
  const EnrollmentId id = EnrollmentIdOf(device);
  std::vector<OwnersProposal>& book = ledger_.proposed()[id];
  book.push_back({kind, kernel_.Now()});
  Json body{{"request_type", ProposalKindName(kind)}, {"reason", "Lost"}};
  if (kind == ProposalKind::kRotateFileVaultKey) {
    const std::string password = UnlockingPassword(device);
    if (!password.empty()) body["password"] = password;
  }
  const HttpServerResponse done = director_.CallApi("POST", "/api/v1/devices/{device}/proposals",
                                                    {{"device", device.udid}}, body.dump());
  kernel_.Trace(fmt::format("owner: {} proposed for {}: {}", ProposalKindName(kind), id.value(),
                            done.status));
  if (IsToBeRepeated(done.status)) return;
  if (!IsDone(done.status)) {  // not enrolled, quarantined, another one is open, too many
    book.pop_back();
    return;
  }
  const auto proposal_id = Json::parse(done.body)["proposal_id"].get<std::int64_t>();
  book.back().proposal_id = proposal_id;
  CheckBudget();
  if (proposal_random_.Below(4) != 0) return;
  kernel_.After(seconds(proposal_random_.Below(1800)),
                [this, id, proposal_id] { CancelProposal(id, proposal_id); });
}

void Owner::CheckBudget() {
  if (scenario_.faults.clock_jump > 0) return;  // its hours are not ours
  accepted_.push_back(kernel_.Now());
  while (accepted_.front() <= kernel_.Now() - std::chrono::hours(1)) accepted_.pop_front();
  if (accepted_.size() > static_cast<std::size_t>(scenario_.proposals_per_hour_max)) {
    problem_(fmt::format("I10: {} proposals accepted in an hour", accepted_.size()));
  }
}

void Owner::CancelProposal(const EnrollmentId& id, std::int64_t proposal_id) {
  const HttpServerResponse done =
      director_.CallApi("DELETE", "/api/v1/proposals/{proposal_id}",
                        {{"proposal_id", std::to_string(proposal_id)}}, {});
  kernel_.Trace(fmt::format("owner: proposal {} cancelled: {}", proposal_id, done.status));
  if (!IsDone(done.status)) return;
  for (OwnersProposal& proposal : ledger_.proposed()[id]) {
    if (proposal.proposal_id == proposal_id) proposal.is_cancelled = true;
  }
}

}  // namespace director::simulation
