#include "signing/signer.h"

#include <fmt/core.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <system_error>
#include <utility>

#include "base/digest.h"
#include "base/text.h"
#include "signing/openssl_ptr.h"

namespace director {
namespace {

constexpr std::size_t kFileMaxBytes = std::size_t{1024} * 1024;
constexpr std::size_t kPathTextMaxBytes = 512;
constexpr std::size_t kSubjectMaxBytes = 512;
constexpr int kChainMax = 32;
constexpr int kRsaBitsMin = 2048;
// Neither a MAC nor padding can tell the one from the other.
constexpr std::string_view kWrongPassword = "wrong password, or the file is damaged";
constexpr std::string_view kNoPassword = "is encrypted but no password is set";

/// A certificate with its key, and the files that messages name.
struct LoadedIdentity {
  CertificatePtr certificate;
  KeyPtr key;
  CertificateStackPtr chain;
  std::string certificate_file;
  std::string key_file;
};

std::string FileMessage(std::string_view file, std::string_view problem) {
  return fmt::format("signing file {}: {}", Printable(file, kPathTextMaxBytes), problem);
}

tl::unexpected<Error> FailFile(std::string_view file, std::string_view problem) {
  return FailOpenssl(ErrorKind::kInvalid, FileMessage(file, problem));
}

struct FileCloser {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

Result<std::string> ReadSigningFile(const std::string& path) {
  errno = 0;
  const std::unique_ptr<std::FILE, FileCloser> file(std::fopen(path.c_str(), "rb"));
  std::string bytes(kFileMaxBytes + 1, '\0');
  const std::size_t size = file ? std::fread(bytes.data(), 1, bytes.size(), file.get()) : 0;
  if (!file || std::ferror(file.get()) != 0) {
    const std::string reason = std::generic_category().message(errno);
    return FailFile(path, fmt::format("cannot be read: {}", reason));
  }
  if (size > kFileMaxBytes) return FailFile(path, "is larger than 1 MiB");
  bytes.resize(size);
  return bytes;
}

bool EndOfPem() {
  const unsigned long code = ERR_peek_last_error();
  return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

bool Contains(const LoadedIdentity& identity, const X509* certificate) {
  if (X509_cmp(identity.certificate.get(), certificate) == 0) return true;
  for (int i = 0; i < sk_X509_num(identity.chain.get()); ++i) {
    if (X509_cmp(sk_X509_value(identity.chain.get(), i), certificate) == 0) return true;
  }
  return false;
}

/// Appends to the chain, once: CMS refuses the same certificate twice. False when it is full.
bool AddToChain(LoadedIdentity& identity, CertificatePtr certificate) {
  if (Contains(identity, certificate.get())) return true;
  if (sk_X509_num(identity.chain.get()) >= kChainMax) return false;
  if (sk_X509_push(identity.chain.get(), certificate.get()) <= 0) return false;
  static_cast<void>(certificate.release());  // the stack owns it now
  return true;
}

constexpr std::string_view kChainTooLong = "holds more than 32 intermediate certificates";

Status ReadCertificates(std::string_view pem, LoadedIdentity& identity) {
  const BioPtr bio = ReadingBio(pem);
  identity.chain.reset(sk_X509_new_null());
  while (CertificatePtr certificate = ReadPemCertificate(bio)) {
    if (identity.certificate == nullptr) {
      identity.certificate = std::move(certificate);
    } else if (!AddToChain(identity, std::move(certificate))) {
      return FailFile(identity.certificate_file, kChainTooLong);
    }
  }
  if (!EndOfPem()) {
    return FailFile(identity.certificate_file, "a certificate in it cannot be parsed");
  }
  ERR_clear_error();
  if (identity.certificate == nullptr) {
    return FailFile(identity.certificate_file, "contains no PEM certificate");
  }
  return {};
}

/// Says why a key could not be read, from what the attempt left behind.
tl::unexpected<Error> FailKey(const std::string& file, const PemKey& attempt,
                              const Secret& password) {
  if (!attempt.block_found) return FailFile(file, "contains no PEM private key");
  if (!attempt.password_asked) return FailFile(file, "the private key in it cannot be parsed");
  if (password.empty())
    return FailFile(file, "the private key is encrypted but no password is set");
  OpensslErrors errors = TakeOpensslErrors();
  const std::string_view problem =
      errors.unsupported_algorithm ? "the private key is encrypted with a cipher that OpenSSL no "
                                     "longer offers; encrypt it anew with openssl pkcs8 -topk8"
                                   : kWrongPassword;
  Error error = MakeError(ErrorKind::kInvalid, FileMessage(file, problem));
  error.detail = std::move(errors.text);
  return Fail(std::move(error));
}

Status ReadKey(const SigningFiles& files, LoadedIdentity& identity) {
  const Result<std::string> pem = ReadSigningFile(files.key_file);
  if (!pem) return Fail(pem.error());
  PemKey attempt = ReadPemKey(*pem, files.password);
  if (attempt.key == nullptr) return FailKey(files.key_file, attempt, files.password);
  identity.key = std::move(attempt.key);
  return {};
}

Result<LoadedIdentity> LoadPem(const SigningFiles& files) {
  LoadedIdentity identity;
  identity.certificate_file = files.certificate_file;
  identity.key_file = files.key_file;
  const Result<std::string> pem = ReadSigningFile(files.certificate_file);
  if (!pem) return Fail(pem.error());
  if (Status read = ReadCertificates(*pem, identity); !read) return Fail(read.error());
  if (Status read = ReadKey(files, identity); !read) return Fail(read.error());
  return identity;
}

Pkcs12Ptr DecodePkcs12(std::string_view bytes, OSSL_LIB_CTX* library) {
  const BioPtr bio = ReadingBio(bytes);
  PKCS12* container = PKCS12_init_ex(NID_pkcs7_data, library, nullptr);
  if (container == nullptr) return nullptr;
  const bool decoded = d2i_PKCS12_bio(bio.get(), &container) != nullptr;
  // A failure may or may not have freed the container; if it did, the pointer is null now.
  Pkcs12Ptr owner(container);
  return decoded ? std::move(owner) : nullptr;
}

bool MacFits(PKCS12* container, const Secret& password) {
  const std::string& text = password.Reveal();
  if (!text.empty()) {
    return PKCS12_verify_mac(container, text.c_str(), static_cast<int>(text.size())) == 1;
  }
  // Tools differ in how they write "no password": absent or empty.
  return PKCS12_verify_mac(container, nullptr, 0) == 1 || PKCS12_verify_mac(container, "", 0) == 1;
}

Status CheckPassword(PKCS12* container, const std::string& file, const Secret& password) {
  if (PKCS12_mac_present(container) == 0) {
    // Versions of OpenSSL differ in whether they open these; refusing is the same everywhere.
    return FailFile(file, "has no integrity check (MAC); export the identity again with one");
  }
  if (MacFits(container, password)) return {};
  if (ERR_peek_error() != 0) {
    return FailFile(file, "its integrity check uses an algorithm that OpenSSL does not offer here");
  }
  return FailFile(file, password.empty() ? kNoPassword : kWrongPassword);
}

/// Opens the container into `identity`; false with the error queue filled when that fails.
bool OpenPkcs12(PKCS12* container, const Secret& password, LoadedIdentity& identity) {
  EVP_PKEY* key = nullptr;
  X509* certificate = nullptr;
  STACK_OF(X509)* others = nullptr;
  const int opened =
      PKCS12_parse(container, password.Reveal().c_str(), &key, &certificate, &others);
  identity.key.reset(key);
  identity.certificate.reset(certificate);
  identity.chain.reset(others);
  return opened == 1;
}

CertificatePtr CopyToDefaultLibrary(const X509* certificate) {
  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate, &der);
  if (size <= 0) return nullptr;
  const unsigned char* cursor = der;
  CertificatePtr copy(d2i_X509(nullptr, &cursor, size));
  OPENSSL_free(der);
  return copy;
}

KeyPtr CopyToDefaultLibrary(const EVP_PKEY* key) {
  unsigned char* der = nullptr;
  const int size = i2d_PrivateKey(key, &der);
  if (size <= 0) return nullptr;
  const unsigned char* cursor = der;
  KeyPtr copy(d2i_AutoPrivateKey(nullptr, &cursor, size));
  OPENSSL_clear_free(der, static_cast<std::size_t>(size));
  return copy;
}

/// Replaces key and certificates by copies without ties to the library context they were read in.
bool MoveToDefaultLibrary(LoadedIdentity& identity) {
  if (identity.key != nullptr) {
    identity.key = CopyToDefaultLibrary(identity.key.get());
    if (identity.key == nullptr) return false;
  }
  if (identity.certificate != nullptr) {
    identity.certificate = CopyToDefaultLibrary(identity.certificate.get());
    if (identity.certificate == nullptr) return false;
  }
  CertificateStackPtr chain(sk_X509_new_null());
  for (int i = 0; i < sk_X509_num(identity.chain.get()); ++i) {
    CertificatePtr copy = CopyToDefaultLibrary(sk_X509_value(identity.chain.get(), i));
    if (copy == nullptr || sk_X509_push(chain.get(), copy.get()) <= 0) return false;
    static_cast<void>(copy.release());  // the stack owns it now
  }
  identity.chain = std::move(chain);
  return true;
}

/// Opens a container whose ciphers only OpenSSL's legacy provider knows. The provider lives in a
/// private library context for the time of the call, so that nothing else can use such ciphers.
Status OpenLegacyPkcs12(std::string_view bytes, const Secret& password, LoadedIdentity& identity) {
  const std::string& file = identity.certificate_file;
  const LibraryContextPtr library(OSSL_LIB_CTX_new());
  const ProviderPtr standard(OSSL_PROVIDER_load(library.get(), "default"));
  const ProviderPtr legacy(OSSL_PROVIDER_load(library.get(), "legacy"));
  if (library == nullptr || standard == nullptr || legacy == nullptr) {
    return FailFile(
        file,
        "uses old ciphers (such as RC2-40) that need OpenSSL's legacy provider, which is "
        "not installed; install it (Debian: openssl-provider-legacy) or export the "
        "identity again with AES");
  }
  LoadedIdentity opened;
  const Pkcs12Ptr container = DecodePkcs12(bytes, library.get());
  const bool copied = container != nullptr && OpenPkcs12(container.get(), password, opened) &&
                      MoveToDefaultLibrary(opened);
  identity.certificate = std::move(opened.certificate);
  identity.key = std::move(opened.key);
  identity.chain = std::move(opened.chain);
  if (!copied) return FailFile(file, kWrongPassword);
  return {};
}

Status OpenAnyPkcs12(std::string_view bytes, const Secret& password, LoadedIdentity& identity) {
  const std::string& file = identity.certificate_file;
  const Pkcs12Ptr container = DecodePkcs12(bytes, nullptr);
  if (container == nullptr) return FailFile(file, "is not a PKCS#12 file");
  if (Status fits = CheckPassword(container.get(), file, password); !fits) return fits;
  if (OpenPkcs12(container.get(), password, identity)) return {};
  OpensslErrors errors = TakeOpensslErrors();
  if (errors.unsupported_algorithm) return OpenLegacyPkcs12(bytes, password, identity);
  Error error = MakeError(ErrorKind::kInvalid, FileMessage(file, kWrongPassword));
  error.detail = std::move(errors.text);
  return Fail(std::move(error));
}

Result<LoadedIdentity> LoadPkcs12(const SigningFiles& files) {
  const std::string& file = files.pkcs12_file;
  LoadedIdentity identity;
  identity.certificate_file = file;
  identity.key_file = file;
  const Result<std::string> bytes = ReadSigningFile(file);
  if (!bytes) return Fail(bytes.error());
  if (Status opened = OpenAnyPkcs12(*bytes, files.password, identity); !opened) {
    return Fail(opened.error());
  }
  if (identity.key == nullptr) return FailFile(file, "contains no private key");
  if (identity.certificate == nullptr) {
    return FailFile(file, "contains no certificate that its private key fits");
  }
  const CertificateStackPtr others =
      std::exchange(identity.chain, CertificateStackPtr(sk_X509_new_null()));
  while (CertificatePtr other{sk_X509_shift(others.get())}) {
    if (!AddToChain(identity, std::move(other))) return FailFile(file, kChainTooLong);
  }
  return identity;
}

Result<LoadedIdentity> LoadIdentity(const SigningFiles& files) {
  const bool names_pem = !files.certificate_file.empty() || !files.key_file.empty();
  if (!files.pkcs12_file.empty()) {
    if (!names_pem) return LoadPkcs12(files);
    return FailFile(files.pkcs12_file, "is set together with PEM files; set one or the other");
  }
  if (files.certificate_file.empty()) {
    return names_pem ? FailFile(files.key_file, "is set as key, but no certificate file is set")
                     : Fail(ErrorKind::kInvalid, "no signing files are set");
  }
  if (files.key_file.empty()) {
    return FailFile(files.certificate_file, "is set as certificate, but no key file is set");
  }
  return LoadPem(files);
}

Status CheckKey(const LoadedIdentity& identity) {
  const int type = EVP_PKEY_get_base_id(identity.key.get());
  const int bits = EVP_PKEY_get_bits(identity.key.get());
  if (type != EVP_PKEY_RSA && type != EVP_PKEY_EC) {
    return FailFile(identity.key_file, "the private key is neither RSA nor EC");
  }
  if (type == EVP_PKEY_RSA && bits < kRsaBitsMin) {
    return FailFile(
        identity.key_file,
        fmt::format("the RSA key has {} bits; at least {} are needed", bits, kRsaBitsMin));
  }
  if (X509_check_private_key(identity.certificate.get(), identity.key.get()) != 1) {
    return FailFile(identity.key_file,
                    fmt::format("the private key does not fit the first certificate of {}",
                                Printable(identity.certificate_file, kPathTextMaxBytes)));
  }
  return {};
}

/// Returns until when the certificate is valid. RFC 5280 counts both ends as valid.
Result<Timestamp> CheckValidity(const LoadedIdentity& identity, Timestamp now) {
  const std::string& file = identity.certificate_file;
  const Result<Timestamp> from = FromAsn1Time(X509_get0_notBefore(identity.certificate.get()));
  const Result<Timestamp> until = FromAsn1Time(X509_get0_notAfter(identity.certificate.get()));
  if (!from || !until) return FailFile(file, "the certificate's dates cannot be parsed");
  if (now < *from) {
    return FailFile(file, fmt::format("the certificate is not valid before {}", FormatTime(*from)));
  }
  if (std::chrono::floor<std::chrono::seconds>(now) > *until) {
    return FailFile(file, fmt::format("the certificate expired at {}", FormatTime(*until)));
  }
  return until;
}

std::string Fingerprint(const X509* certificate) {
  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate, &der);
  if (size <= 0) return {};
  std::string hex = Sha256Hex({reinterpret_cast<const char*>(der), static_cast<std::size_t>(size)});
  OPENSSL_free(der);
  return hex;
}

std::string Subject(const X509* certificate) {
  // One line as UTF-8: XN_FLAG_ONELINE would spell out every byte of "Ä".
  constexpr unsigned long kFlags = (XN_FLAG_ONELINE & ~static_cast<unsigned long>(XN_FLAG_SPC_EQ)) &
                                   ~static_cast<unsigned long>(ASN1_STRFLGS_ESC_MSB);
  const BioPtr bio = WritingBio();
  X509_NAME_print_ex(bio.get(), X509_get_subject_name(certificate), 0, kFlags);
  return Printable(BioText(bio), kSubjectMaxBytes);
}

class CmsSigner final : public Signer {
 public:
  CmsSigner(LoadedIdentity identity, Timestamp not_after)
      : identity_(std::move(identity)),
        not_after_(not_after),
        fingerprint_(Fingerprint(identity_.certificate.get())),
        subject_(Subject(identity_.certificate.get())) {}

  Result<std::string> Sign(std::string_view content) const override {
    return SignCms({identity_.certificate.get(), identity_.key.get(), identity_.chain.get()},
                   content, CmsContent::kAttached);
  }
  std::string CertificateFingerprint() const override { return fingerprint_; }
  Timestamp CertificateNotAfter() const override { return not_after_; }
  std::string CertificateSubject() const override { return subject_; }

 private:
  LoadedIdentity identity_;
  Timestamp not_after_;
  std::string fingerprint_;
  std::string subject_;
};

}  // namespace

Result<std::shared_ptr<const Signer>> LoadSigner(const SigningFiles& files, Timestamp now) {
  const OpensslErrorScope scope;
  Result<LoadedIdentity> identity = LoadIdentity(files);
  if (!identity) return Fail(identity.error());
  if (Status key = CheckKey(*identity); !key) return Fail(key.error());
  const Result<Timestamp> not_after = CheckValidity(*identity, now);
  if (!not_after) return Fail(not_after.error());
  return std::make_shared<const CmsSigner>(std::move(*identity), *not_after);
}

}  // namespace director
