#include "signing/openssl_ptr.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <chrono>
#include <climits>
#include <cstring>
#include <ctime>
#include <utility>

#include "base/invariant.h"
#include "base/text.h"
#include "signing/cms.h"

namespace director {
namespace {

constexpr std::size_t kErrorTextMaxBytes = 1024;

bool IsUnsupportedAlgorithm(unsigned long code) {
  // Decoders report "unsupported" for every form that they tried in vain; only EVP means an
  // algorithm.
  if (ERR_GET_LIB(code) != ERR_LIB_EVP) return false;
  const int reason = ERR_GET_REASON(code);
  return reason == ERR_R_UNSUPPORTED || reason == EVP_R_UNSUPPORTED_ALGORITHM ||
         reason == EVP_R_UNKNOWN_PBE_ALGORITHM || reason == EVP_R_UNSUPPORTED_CIPHER;
}

struct PasswordRequest {
  const std::string& password;
  bool asked = false;
};

// OpenSSL's pem_password_cb. A missing password is a failure: the default would ask the terminal.
int GivePassword(char* buffer, int size, int /*for_writing*/, void* context) {
  auto* request = static_cast<PasswordRequest*>(context);
  request->asked = true;
  const std::string& password = request->password;
  if (password.empty() || size < 0 || password.size() > static_cast<std::size_t>(size)) return -1;
  std::memcpy(buffer, password.data(), password.size());
  return static_cast<int>(password.size());
}

}  // namespace

OpensslErrorScope::OpensslErrorScope() { ERR_clear_error(); }
OpensslErrorScope::~OpensslErrorScope() { ERR_clear_error(); }

OpensslErrors TakeOpensslErrors() {
  OpensslErrors errors;
  const char* data = nullptr;
  int flags = 0;
  while (const unsigned long code = ERR_get_error_all(nullptr, nullptr, nullptr, &data, &flags)) {
    errors.unsupported_algorithm = errors.unsupported_algorithm || IsUnsupportedAlgorithm(code);
    char text[256] = {};
    ERR_error_string_n(code, text, sizeof(text));
    if (!errors.text.empty()) errors.text += "; ";
    errors.text += text;
    if ((flags & ERR_TXT_STRING) != 0 && data != nullptr && *data != '\0') {
      errors.text.append(": ").append(data);
    }
  }
  errors.text = Printable(errors.text, kErrorTextMaxBytes);
  return errors;
}

tl::unexpected<Error> FailOpenssl(ErrorKind kind, std::string message) {
  Error error = MakeError(kind, std::move(message));
  error.detail = TakeOpensslErrors().text;
  return Fail(std::move(error));
}

BioPtr ReadingBio(std::string_view bytes) {
  INVARIANT(bytes.size() <= INT_MAX);
  // A null pointer means "a C string" to OpenSSL, even with length 0.
  const char* data = bytes.data() == nullptr ? "" : bytes.data();
  BioPtr bio(BIO_new_mem_buf(data, static_cast<int>(bytes.size())));
  INVARIANT(bio != nullptr);
  return bio;
}

BioPtr WritingBio() {
  BioPtr bio(BIO_new(BIO_s_mem()));
  INVARIANT(bio != nullptr);
  return bio;
}

std::string BioText(const BioPtr& bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

PemKey ReadPemKey(std::string_view pem, const Secret& password) {
  const BioPtr bio = ReadingBio(pem);
  PasswordRequest request{password.Reveal()};
  PemKey result;
  result.key.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, GivePassword, &request));
  result.block_found = pem.find("PRIVATE KEY-----") != std::string_view::npos;
  result.password_asked = request.asked;
  return result;
}

CertificatePtr ReadPemCertificate(const BioPtr& bio) {
  const std::string no_password;
  PasswordRequest request{no_password};
  return CertificatePtr(PEM_read_bio_X509(bio.get(), nullptr, GivePassword, &request));
}

Result<std::string> SignCms(const CmsIdentity& identity, std::string_view content,
                            CmsContent placement) {
  const OpensslErrorScope scope;
  if (content.size() > kCmsSizeMaxBytes) {
    return Fail(ErrorKind::kInvalid, "the content to sign is larger than 32 MiB");
  }
  const unsigned int flags = CMS_BINARY | CMS_NOSMIMECAP | CMS_PARTIAL |
                             (placement == CmsContent::kDetached ? CMS_DETACHED : 0U);
  const BioPtr input = ReadingBio(content);
  const BioPtr output = WritingBio();
  const CmsPtr cms(CMS_sign(nullptr, nullptr, identity.chain, nullptr, flags));
  const bool made = cms != nullptr &&
                    CMS_add1_signer(cms.get(), identity.certificate, identity.key, EVP_sha256(),
                                    flags) != nullptr &&
                    CMS_final(cms.get(), input.get(), nullptr, flags) == 1 &&
                    i2d_CMS_bio(output.get(), cms.get()) == 1;
  if (!made) return FailOpenssl(ErrorKind::kUnavailable, "the CMS signature could not be made");
  return BioText(output);
}

Result<Timestamp> FromAsn1Time(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return Fail(ErrorKind::kInvalid, "not a time");
  using std::chrono::day, std::chrono::month, std::chrono::year;
  const std::chrono::sys_days date = year(parts.tm_year + 1900) /
                                     month(static_cast<unsigned>(parts.tm_mon + 1)) /
                                     day(static_cast<unsigned>(parts.tm_mday));
  return Timestamp(date + std::chrono::hours(parts.tm_hour) + std::chrono::minutes(parts.tm_min) +
                   std::chrono::seconds(parts.tm_sec));
}

}  // namespace director
