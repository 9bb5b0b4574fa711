// Where the passwords of SetRecoveryLock and VerifyRecoveryLock come from.
#include "director/recovery_lock.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/text.h"
#include "mdm/app.h"
#include "reconciler/recovery_lock.h"
#include "signing/seal.h"

namespace director {
namespace {

using Json = nlohmann::json;

/// Source: Apple device-management schema, mdm/commands/passcode.recovery.set.
constexpr std::string_view kOldestVersion = "11.5";
constexpr std::size_t kHistoryPageSize = 200;
constexpr int kHistoryPagesMax = 50;

Status CheckPassword(const std::string& field, const Secret& password) {
  return CheckProposalText(field, password.Reveal(), kRecoveryPasswordMaxBytes);
}

/// False only when the Mac itself said so.
Result<bool> MayHaveAppleSilicon(StoreReader& reader, const EnrollmentId& id) {
  const auto inventory = reader.LoadInventory({id}, {InventoryKind::kDeviceInformation});
  if (!inventory) return Fail(inventory.error());
  if (inventory->empty()) return true;
  const Json answer = Json::parse(inventory->begin()->second.answer, nullptr, false);
  if (!answer.is_object()) return true;
  const auto said = answer.find("IsAppleSilicon");
  return said == answer.end() || (*said != false && *said != 0);
}

Status CheckHasRecoveryLock(StoreReader& reader, const Enrollment& enrollment) {
  if (!MayBeMac(enrollment)) {
    return Fail(ErrorKind::kRejected, "only a Mac with Apple silicon has a recovery lock");
  }
  if (enrollment.channel.type == ChannelType::kUserEnrollmentDevice) {
    return Fail(ErrorKind::kRejected, "the recovery lock cannot be set in User Enrollment");
  }
  const bool is_old =
      !enrollment.os_version.empty() && CompareVersions(enrollment.os_version, kOldestVersion) < 0;
  if (is_old) {
    return Fail(ErrorKind::kRejected,
                fmt::format("the Mac has macOS {}; the recovery lock needs {}",
                            Printable(enrollment.os_version, 32), kOldestVersion));
  }
  const Result<bool> may = MayHaveAppleSilicon(reader, enrollment.channel.enrollment_id);
  if (!may) return Fail(may.error());
  if (*may) return {};
  return Fail(ErrorKind::kRejected,
              "the Mac says that it has no Apple silicon, so it has no recovery lock");
}

/// The device's proposals, newest first, as far as they matter.
Result<std::vector<Proposal>> LoadRecoveryLockHistory(StoreReader& reader, const EnrollmentId& id) {
  std::vector<Proposal> history;
  PageRequest page{"", kHistoryPageSize};
  for (int i = 0; i < kHistoryPagesMax; ++i) {
    const auto found = reader.ListProposals({.enrollment_id = id}, page);
    if (!found) return Fail(found.error());
    for (const Proposal& proposal : *found) {
      history.push_back(proposal);
      if (SettlesRecoveryLock(proposal)) return history;
    }
    if (found->size() < page.limit) return history;
    page.after = std::to_string(history.back().proposal_id);
  }
  return Fail(ErrorKind::kRejected,
              "the device has too many proposals to look for its recovery lock password");
}

Result<std::vector<RecoveryLockCandidate>> LoadRecoveryLockCandidates(
    StoreReader& reader, const Enrollment& enrollment) {
  const auto history = LoadRecoveryLockHistory(reader, enrollment.channel.enrollment_id);
  if (!history) return Fail(history.error());
  return RecoveryLockCandidates(*history, enrollment.epoch);
}

std::string DescribeCandidates(const std::vector<RecoveryLockCandidate>& candidates) {
  std::string text;
  for (const RecoveryLockCandidate& candidate : candidates) {
    if (!text.empty()) text += " or ";
    text += candidate.has_secret ? fmt::format("that of proposal {}", candidate.proposal_id)
                                 : "none that Director knows";
  }
  return text;
}

Result<std::string> SealPassword(const Secrets& secrets, const Secret& password,
                                 const EnrollmentId& id) {
  if (secrets.can_seal()) return secrets.Seal(password, id);
  return Fail(ErrorKind::kRejected,
              "a recovery lock password is only kept sealed: set data_key_file");
}

/// The secret of another proposal of this device, sealed as it is there.
Result<std::string> CopySealedSecret(StoreReader& reader, std::int64_t proposal_id) {
  auto sealed = reader.LoadSealedSecrets(proposal_id);
  if (!sealed) return Fail(sealed.error());
  return std::move(sealed->secret);
}

SealedSecrets OnlySecret(std::string sealed_secret) {
  SealedSecrets sealed;
  sealed.secret = std::move(sealed_secret);
  return sealed;
}

/// The password that the Mac wants to see before it takes a new one, sealed; empty when there is
/// none.
Result<std::string> FindSealedCurrent(StoreReader& reader, const Enrollment& enrollment) {
  const auto candidates = LoadRecoveryLockCandidates(reader, enrollment);
  if (!candidates) return Fail(candidates.error());
  if (candidates->size() > 1) {
    return Fail(ErrorKind::kConflict,
                fmt::format("which recovery lock password is in force is not certain: {}. Propose "
                            "VerifyRecoveryLock first",
                            DescribeCandidates(*candidates)));
  }
  if (!candidates->front().has_secret) return std::string();
  return CopySealedSecret(reader, candidates->front().proposal_id);
}

Result<std::string> SealNew(const Secrets& secrets, const EnrollmentId& id,
                            const ProposalRequest& request) {
  if (request.new_password && request.new_password->empty()) return std::string();
  const Result<Secret> password =
      request.new_password ? Result<Secret>(*request.new_password) : MakeRecoveryPassword();
  if (!password) return Fail(password.error());
  return SealPassword(secrets, *password, id);
}

/// The one that brought the password of this proposal.
Result<std::int64_t> FindRoot(StoreReader& reader, const EnrollmentId& id,
                              std::int64_t proposal_id) {
  const auto proposal = reader.LoadProposal(proposal_id);
  if (!proposal) return Fail(proposal.error());
  const bool fits =
      proposal->enrollment_id == id && IsAboutRecoveryLock(proposal->kind) && proposal->has_secret;
  if (fits) return proposal->verifies != 0 ? proposal->verifies : proposal_id;
  return Fail(ErrorKind::kNotFound, "that proposal has no recovery lock password of this device");
}

/// Named, or the newest that may be in force.
Result<std::int64_t> FindProposalToVerify(StoreReader& reader, const Enrollment& enrollment,
                                          const ProposalRequest& request) {
  const EnrollmentId& id = enrollment.channel.enrollment_id;
  if (request.verifies != 0) return FindRoot(reader, id, request.verifies);
  const auto candidates = LoadRecoveryLockCandidates(reader, enrollment);
  if (!candidates) return Fail(candidates.error());
  const auto known = std::find_if(candidates->begin(), candidates->end(),
                                  [](const auto& candidate) { return candidate.has_secret; });
  if (known != candidates->end()) return FindRoot(reader, id, known->proposal_id);
  return Fail(ErrorKind::kConflict,
              "no recovery lock password of this device is known; give password or verifies");
}

}  // namespace

Status CheckRecoveryLock(const ProposalRequest& request) {
  const bool sets = request.kind == ProposalKind::kSetRecoveryLock;
  const bool verifies = request.kind == ProposalKind::kVerifyRecoveryLock;
  const bool rotates = request.kind == ProposalKind::kRotateFileVaultKey;
  if ((sets || verifies || rotates) && !request.pin.empty()) {
    return Fail(InvalidField("pin", "is only for a lock or an erase"));
  }
  if (!sets && request.new_password) {
    return Fail(InvalidField("new_password", "is only for SetRecoveryLock"));
  }
  if (!verifies && !rotates && !request.password.empty()) {
    return Fail(InvalidField("password", "is only for VerifyRecoveryLock and RotateFileVaultKey"));
  }
  if (!verifies && request.verifies != 0) {
    return Fail(InvalidField("verifies", "is only for VerifyRecoveryLock"));
  }
  if (!request.password.empty() && request.verifies != 0) {
    return Fail(InvalidField("verifies", "and password exclude each other"));
  }
  if (request.new_password) return CheckPassword("new_password", *request.new_password);
  return CheckPassword("password", request.password);
}

Result<SealedSecrets> SealRecoveryLock(StoreReader& reader, const Secrets& secrets,
                                       const Enrollment& enrollment, const ProposalRequest& request,
                                       Proposal& proposal) {
  const EnrollmentId& id = enrollment.channel.enrollment_id;
  if (Status has = CheckHasRecoveryLock(reader, enrollment); !has) return Fail(has.error());
  if (request.kind == ProposalKind::kSetRecoveryLock) {
    Result<std::string> current = FindSealedCurrent(reader, enrollment);
    if (!current) return Fail(current.error());
    Result<std::string> secret = SealNew(secrets, id, request);
    if (!secret) return Fail(secret.error());
    SealedSecrets sealed;
    sealed.secret = std::move(*secret);
    sealed.current = std::move(*current);
    return sealed;
  }
  if (!request.password.empty()) {
    Result<std::string> secret = SealPassword(secrets, request.password, id);
    if (!secret) return Fail(secret.error());
    return OnlySecret(std::move(*secret));
  }
  const Result<std::int64_t> verified = FindProposalToVerify(reader, enrollment, request);
  if (!verified) return Fail(verified.error());
  proposal.verifies = *verified;
  Result<std::string> secret = CopySealedSecret(reader, *verified);
  if (!secret) return Fail(secret.error());
  return OnlySecret(std::move(*secret));
}

}  // namespace director
