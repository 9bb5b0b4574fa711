#include "director/secrets.h"

#include <utility>

#include "signing/seal.h"

namespace director {
namespace {

Result<SealingKeys> LoadKeys(const SecretSource& source) {
  if (!source.is_set()) {
    return Fail(
        ErrorKind::kInvalid,
        "data_key is not set: secrets cannot be kept (see `data_key` in the documentation)");
  }
  const Result<Secret> text = source.Get();
  if (!text) return Fail(text.error());
  return SealingKeys::Parse(*text);
}

}  // namespace

Result<std::string> Secrets::Seal(const Secret& secret, const EnrollmentId& id) const {
  const Result<SealingKeys> keys = LoadKeys(keys_);
  if (!keys) return Fail(keys.error());
  return keys->Seal(secret, id.value());
}

Result<Secret> Secrets::Open(const std::string& sealed, const EnrollmentId& id) const {
  const Result<SealingKeys> keys = LoadKeys(keys_);
  if (!keys) return Fail(keys.error());
  return keys->Open(sealed, id.value());
}

Status Secrets::Deposit(const std::string& serial_number, SecretType type,
                        const Secret& secret) const {
  if (escrow_ == nullptr) {
    return Fail(ErrorKind::kRejected,
                "escrow_url is not set any more; cancel the proposal and propose it again");
  }
  if (serial_number.empty()) {
    return Fail(ErrorKind::kRejected, "the device's serial number is not known yet");
  }
  return escrow_->Deposit(serial_number, type, secret);
}

Result<Secrets> MakeSecrets(const Config& config) {
  if (!config.escrow_url.is_set()) return Secrets(config.data_key, nullptr);
  const Result<Secret> url = config.escrow_url.Get();
  if (!url) return Fail(url.error());
  auto escrow = MakeCryptEscrow({url->Reveal(), config.escrow_ca_file});
  if (!escrow) return Fail(escrow.error());
  return Secrets(config.data_key, std::move(*escrow));
}

}  // namespace director
