// Where the secrets of RotateFileVaultKey come from.
#include "director/file_vault_key.h"

#include <fmt/core.h>

#include <string>
#include <utility>
#include <vector>

#include "base/invariant.h"
#include "base/text.h"
#include "reconciler/file_vault_key.h"
#include "signing/reply_identity.h"

namespace director {
namespace {

constexpr std::size_t kHistoryPageSize = 200;
constexpr int kHistoryPagesMax = 50;
constexpr char kHowToGive[] =
    "give the password of a FileVault user or the recovery key (password, --password-file)";

Status CheckHasFileVault(const Enrollment& enrollment) {
  if (!MayBeMac(enrollment)) return Fail(ErrorKind::kRejected, "only a Mac has FileVault");
  if (enrollment.channel.type == ChannelType::kUserEnrollmentDevice) {
    return Fail(ErrorKind::kRejected,
                "the FileVault recovery key cannot be rotated in User Enrollment");
  }
  return {};
}

Result<std::vector<Proposal>> LoadHistory(StoreReader& reader, const EnrollmentId& id) {
  std::vector<Proposal> history;
  PageRequest page{"", kHistoryPageSize};
  for (int i = 0; i < kHistoryPagesMax; ++i) {
    const auto found = reader.ListProposals({.enrollment_id = id}, page);
    if (!found) return Fail(found.error());
    history.insert(history.end(), found->begin(), found->end());
    if (found->size() < page.limit) return history;
    page.after = std::to_string(history.back().proposal_id);
  }
  return Fail(ErrorKind::kRejected,
              fmt::format("the device has too many proposals to look for its recovery key; {}",
                          kHowToGive));
}

/// The recovery key that is in force, sealed.
Result<std::string> FindSealedKey(StoreReader& reader, const EnrollmentId& id) {
  const auto history = LoadHistory(reader, id);
  if (!history) return Fail(history.error());
  const FileVaultKey key = FindFileVaultKey(*history);
  switch (key.state) {
    case FileVaultKeyState::kKnown: {
      auto sealed = reader.LoadSealedSecrets(key.proposal_id);
      if (!sealed) return Fail(sealed.error());
      return std::move(sealed->secret);
    }
    case FileVaultKeyState::kNotKnown:
      return Fail(ErrorKind::kConflict,
                  fmt::format("no recovery key of this Mac is known; {}", kHowToGive));
    case FileVaultKeyState::kBeingKept:
      return Fail(ErrorKind::kConflict,
                  fmt::format("the new key of proposal {} is not opened yet; try again later",
                              key.proposal_id));
    case FileVaultKeyState::kInDoubt:
      break;
  }
  return Fail(ErrorKind::kConflict,
              fmt::format("proposal {} may have given the Mac a recovery key that Director has not "
                          "got; {}",
                          key.proposal_id, kHowToGive));
}

}  // namespace

Result<SealedSecrets> SealFileVaultKey(StoreReader& reader, const Secrets& secrets,
                                       const Enrollment& enrollment,
                                       const ProposalRequest& request) {
  const EnrollmentId& id = enrollment.channel.enrollment_id;
  if (Status has = CheckHasFileVault(enrollment); !has) return Fail(has.error());
  if (!secrets.can_seal()) {
    return Fail(ErrorKind::kRejected, "a recovery key is only kept sealed: set data_key_file");
  }
  INVARIANT(!request.reply_identity.empty());
  Result<std::string> current =
      request.password.empty() ? FindSealedKey(reader, id) : secrets.Seal(request.password, id);
  if (!current) return Fail(current.error());
  Result<std::string> identity = secrets.Seal(request.reply_identity, id);
  if (!identity) return Fail(identity.error());
  SealedSecrets sealed;
  sealed.current = std::move(*current);
  sealed.reply_identity = std::move(*identity);
  return sealed;
}

Result<Secret> OpenNewKey(const Secrets& secrets, const SealedSecrets& sealed,
                          const EnrollmentId& id) {
  const Result<Secret> identity = secrets.Open(sealed.reply_identity, id);
  if (!identity) return Fail(identity.error());
  const Result<std::string> envelope = DecodeBase64(sealed.encrypted_key);
  if (!envelope) return Fail(envelope.error());
  const Result<Secret> key = OpenReply(*identity, *envelope);
  if (!key) return Fail(key.error());
  std::string text = key->Reveal();
  while (text.ends_with('\n') || text.ends_with('\r') || text.ends_with('\0')) text.pop_back();
  const bool is_line =
      !text.empty() && text.size() <= kRecoveryKeyMaxBytes && Printable(text, text.size()) == text;
  if (is_line) return Secret(std::move(text));
  return Fail(ErrorKind::kRejected, "what it holds is not a line of text");
}

}  // namespace director
