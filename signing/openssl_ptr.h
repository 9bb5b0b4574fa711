#pragma once

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/cms.h>
#include <openssl/evp.h>
#include <openssl/pkcs12.h>
#include <openssl/provider.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"

/// Internal to `signing`: owners of OpenSSL's objects and the few steps that its .cc files share.
/// No other module includes this.
namespace director {

template <auto kFree>
struct OpensslDeleter {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};

struct CertificateStackDeleter {
  void operator()(STACK_OF(X509) * certificates) const {
    sk_X509_pop_free(certificates, X509_free);
  }
};

using BioPtr = std::unique_ptr<BIO, OpensslDeleter<BIO_free>>;
using NumberPtr = std::unique_ptr<BIGNUM, OpensslDeleter<BN_free>>;
using CipherContextPtr = std::unique_ptr<EVP_CIPHER_CTX, OpensslDeleter<EVP_CIPHER_CTX_free>>;
using CmsPtr = std::unique_ptr<CMS_ContentInfo, OpensslDeleter<CMS_ContentInfo_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, OpensslDeleter<EVP_PKEY_free>>;
using Pkcs12Ptr = std::unique_ptr<PKCS12, OpensslDeleter<PKCS12_free>>;
using CertificatePtr = std::unique_ptr<X509, OpensslDeleter<X509_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, OpensslDeleter<X509_EXTENSION_free>>;
using CertificateStackPtr = std::unique_ptr<STACK_OF(X509), CertificateStackDeleter>;
using LibraryContextPtr = std::unique_ptr<OSSL_LIB_CTX, OpensslDeleter<OSSL_LIB_CTX_free>>;
using ProviderPtr = std::unique_ptr<OSSL_PROVIDER, OpensslDeleter<OSSL_PROVIDER_unload>>;

/// Empties this thread's error queue at both ends: what is left over would be blamed on the next
/// caller, TLS connections included.
class OpensslErrorScope {
 public:
  OpensslErrorScope();
  ~OpensslErrorScope();
  OpensslErrorScope(const OpensslErrorScope&) = delete;
  OpensslErrorScope& operator=(const OpensslErrorScope&) = delete;
};

/// What the error queue of this thread held.
struct OpensslErrors {
  std::string text;                    ///< On one line, for `Error::detail`; holds no secrets.
  bool unsupported_algorithm = false;  ///< No loaded provider offers the algorithm.
};

/// Empties the queue into a value.
OpensslErrors TakeOpensslErrors();

/// Makes a failure with `message`; the error queue becomes its `detail`.
tl::unexpected<Error> FailOpenssl(ErrorKind kind, std::string message);

/// Makes a BIO that reads `bytes`, which must outlive it. Requires: at most INT_MAX bytes.
BioPtr ReadingBio(std::string_view bytes);
/// Makes a BIO that collects what is written; `BioText` returns it.
BioPtr WritingBio();
std::string BioText(const BioPtr& bio);

/// Whole seconds. kInvalid when it is no time.
Result<Timestamp> FromAsn1Time(const ASN1_TIME* time);

/// The first private key of a PEM text, or why there is none.
struct PemKey {
  KeyPtr key;                   ///< Null when there is none or it cannot be read.
  bool block_found = false;     ///< Something in the text calls itself a private key.
  bool password_asked = false;  ///< The key is encrypted.
};

/// Reads the first private key (PKCS#1, PKCS#8, SEC1, encrypted or not). Never asks a terminal.
/// On failure the error queue says more.
PemKey ReadPemKey(std::string_view pem, const Secret& password);

/// Reads the next certificate and passes over other blocks. Null at the end and for a broken one.
CertificatePtr ReadPemCertificate(const BioPtr& bio);

enum class CmsContent { kAttached, kDetached };

/// Who signs; borrowed pointers. `chain` may be null, and never holds `certificate` itself.
struct CmsIdentity {
  X509* certificate = nullptr;
  EVP_PKEY* key = nullptr;
  STACK_OF(X509) * chain = nullptr;
};

/// Makes DER of a CMS SignedData (SHA-256) with all certificates. kInvalid when `content` is larger
/// than `kCmsSizeMaxBytes`, kUnavailable when the library fails.
Result<std::string> SignCms(const CmsIdentity& identity, std::string_view content,
                            CmsContent placement);

}  // namespace director
