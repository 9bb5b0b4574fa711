#include "signing/seal.h"

#include <fmt/core.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/invariant.h"
#include "base/text.h"
#include "signing/openssl_ptr.h"

namespace director {
namespace {

constexpr std::string_view kSealVersion = "v1:";
constexpr std::size_t kSealingKeyBytes = 32;
constexpr std::size_t kNonceBytes = 12;
constexpr std::size_t kTagBytes = 16;
constexpr std::size_t kSealedPartMaxBytes = std::size_t{1024} * 1024;

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

unsigned char* Bytes(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

/// What AES-GCM makes of a secret, in the order in which it is stored.
struct SealedParts {
  std::string_view nonce;
  std::string_view ciphertext;
  std::string_view tag;
};

/// Returns false when the library fails. `sealed` holds the nonce, and gets ciphertext and tag.
bool EncryptAndTag(const Secret& key, std::string_view plain, std::string_view context,
                   std::string& sealed) {
  const CipherContextPtr cipher(EVP_CIPHER_CTX_new());
  std::string ciphertext(plain.size(), '\0');
  std::array<unsigned char, kTagBytes> tag{};
  int size = 0;
  const bool made = cipher != nullptr &&
                    EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr,
                                       Bytes(key.Reveal()), Bytes(sealed)) == 1 &&
                    EVP_EncryptUpdate(cipher.get(), nullptr, &size, Bytes(context),
                                      static_cast<int>(context.size())) == 1 &&
                    EVP_EncryptUpdate(cipher.get(), Bytes(ciphertext), &size, Bytes(plain),
                                      static_cast<int>(plain.size())) == 1 &&
                    EVP_EncryptFinal_ex(cipher.get(), tag.data(), &size) == 1 &&
                    EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG,
                                        static_cast<int>(tag.size()), tag.data()) == 1;
  if (!made) return false;
  sealed += ciphertext;
  sealed.append(tag.begin(), tag.end());
  return true;
}

/// Returns nothing when the tag does not fit; kUnavailable when the library fails before it can
/// tell.
Result<std::optional<Secret>> DecryptAndCheck(const Secret& key, const SealedParts& parts,
                                              std::string_view context) {
  const CipherContextPtr cipher(EVP_CIPHER_CTX_new());
  std::string plain(parts.ciphertext.size(), '\0');
  std::string tag(parts.tag);  // the library wants it writable
  int size = 0;
  const bool decrypted =
      cipher != nullptr &&
      EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, Bytes(key.Reveal()),
                         Bytes(parts.nonce)) == 1 &&
      EVP_DecryptUpdate(cipher.get(), nullptr, &size, Bytes(context),
                        static_cast<int>(context.size())) == 1 &&
      EVP_DecryptUpdate(cipher.get(), Bytes(plain), &size, Bytes(parts.ciphertext),
                        static_cast<int>(parts.ciphertext.size())) == 1 &&
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, static_cast<int>(tag.size()),
                          tag.data()) == 1;
  if (!decrypted) return FailOpenssl(ErrorKind::kUnavailable, "the secret could not be opened");
  std::array<unsigned char, kTagBytes> nothing_more{};
  if (EVP_DecryptFinal_ex(cipher.get(), nothing_more.data(), &size) != 1) {
    return std::optional<Secret>();
  }
  return std::optional<Secret>(Secret(std::move(plain)));
}

/// Returns the bytes behind the version. kInvalid for any text that `Seal` cannot have made.
Result<std::string> DecodeSealed(std::string_view sealed) {
  if (sealed.starts_with(kSealVersion)) {
    const std::string_view text = sealed.substr(kSealVersion.size());
    Result<std::string> bytes = DecodeBase64(text);
    const bool is_sealed = bytes && bytes->size() >= kNonceBytes + kTagBytes &&
                           bytes->size() <= kNonceBytes + kSealedPartMaxBytes + kTagBytes;
    // Exactly one spelling: the decoder also takes white space and stray bits at the end.
    if (is_sealed && EncodeBase64(*bytes) == text) return bytes;
  }
  return Fail(ErrorKind::kInvalid, "this is no sealed secret, or a newer version sealed it");
}

/// Blank, or a remark.
bool HoldsNoKey(std::string_view line) {
  const std::size_t begin = line.find_first_not_of(" \t\r");
  return begin == std::string_view::npos || line[begin] == '#';
}

}  // namespace

Result<SealingKeys> SealingKeys::Parse(const Secret& text) {
  std::vector<Secret> keys;
  std::string_view rest = text.Reveal();
  for (int line_number = 1; !rest.empty(); ++line_number) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (HoldsNoKey(line)) continue;
    Result<std::string> key = DecodeBase64(line);
    if (!key || key->size() != kSealingKeyBytes) {
      return Fail(ErrorKind::kInvalid, fmt::format("line {} of the sealing keys is not the base64 "
                                                   "of 32 bytes; openssl rand -base64 32 makes one",
                                                   line_number));
    }
    keys.emplace_back(std::move(*key));
  }
  if (keys.empty()) {
    return Fail(ErrorKind::kInvalid, "there is no sealing key; openssl rand -base64 32 makes one");
  }
  return SealingKeys(std::move(keys));
}

Result<std::string> SealingKeys::Seal(const Secret& plain, std::string_view context) const {
  INVARIANT(!keys_.empty());
  INVARIANT(plain.Reveal().size() <= kSealedPartMaxBytes && context.size() <= kSealedPartMaxBytes);
  const OpensslErrorScope scope;
  std::string sealed(kNonceBytes, '\0');
  if (RAND_bytes(Bytes(sealed), static_cast<int>(sealed.size())) != 1 ||
      !EncryptAndTag(keys_.front(), plain.Reveal(), context, sealed)) {
    return FailOpenssl(ErrorKind::kUnavailable, "the secret could not be sealed");
  }
  return std::string(kSealVersion) + EncodeBase64(sealed);
}

Result<Secret> SealingKeys::Open(std::string_view sealed, std::string_view context) const {
  INVARIANT(context.size() <= kSealedPartMaxBytes);
  const Result<std::string> bytes = DecodeSealed(sealed);
  if (!bytes) return Fail(bytes.error());
  const OpensslErrorScope scope;
  const std::string_view view = *bytes;
  const std::size_t tag_begin = view.size() - kTagBytes;
  const SealedParts parts{view.substr(0, kNonceBytes),
                          view.substr(kNonceBytes, tag_begin - kNonceBytes),
                          view.substr(tag_begin)};
  for (const Secret& key : keys_) {
    Result<std::optional<Secret>> opened = DecryptAndCheck(key, parts, context);
    if (!opened) return Fail(opened.error());
    if (*opened) return std::move(**opened);
  }
  return Fail(ErrorKind::kCorrupt,
              "none of the sealing keys opens this secret: the key that sealed it is missing, or "
              "the secret was changed or belongs to something else");
}

Result<Secret> MakeRecoveryPassword() {
  static constexpr std::string_view kCharacters = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
  static_assert(kCharacters.size() == 32, "every byte picks one, all equally likely");
  const OpensslErrorScope scope;
  std::string password(kRecoveryPasswordCharacters, '\0');
  if (RAND_bytes(Bytes(password), static_cast<int>(password.size())) != 1) {
    return FailOpenssl(ErrorKind::kUnavailable, "there are no random numbers for a password");
  }
  for (char& c : password) c = kCharacters[static_cast<unsigned char>(c) % kCharacters.size()];
  return Secret(std::move(password));
}

Result<Secret> MakePin() {
  const OpensslErrorScope scope;
  std::string pin;
  while (pin.size() < kPinDigits) {
    unsigned char byte = 0;
    if (RAND_bytes(&byte, 1) != 1) {
      return FailOpenssl(ErrorKind::kUnavailable, "there are no random numbers for a PIN");
    }
    if (byte >= 250) continue;  // 250 to 255 would make the digits 0 to 5 likelier
    pin.push_back(static_cast<char>('0' + byte % 10));
  }
  return Secret(std::move(pin));
}

}  // namespace director
