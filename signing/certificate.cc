#include "signing/certificate.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "signing/openssl_ptr.h"

namespace director {
namespace {

constexpr std::size_t kNameTextMaxBytes = 1024;

std::string NameText(const X509_NAME* name) {
  const BioPtr out = WritingBio();
  // UTF-8 as it is: the text goes into JSON.
  X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
  return Printable(BioText(out), kNameTextMaxBytes);
}

Result<CertificateFacts> FactsOf(const X509& certificate) {
  const Result<Timestamp> from = FromAsn1Time(X509_get0_notBefore(&certificate));
  const Result<Timestamp> until = FromAsn1Time(X509_get0_notAfter(&certificate));
  if (!from || !until) return Fail(ErrorKind::kInvalid, "the certificate's dates cannot be read");
  return CertificateFacts{NameText(X509_get_subject_name(&certificate)),
                          NameText(X509_get_issuer_name(&certificate)), *from, *until};
}

}  // namespace

Result<CertificateFacts> ReadCertificate(std::string_view der) {
  const OpensslErrorScope errors;
  const BioPtr in = ReadingBio(der);
  const CertificatePtr certificate(d2i_X509_bio(in.get(), nullptr));
  if (!certificate) return FailOpenssl(ErrorKind::kInvalid, "not an X.509 certificate");
  return FactsOf(*certificate);
}

Result<std::vector<CertificateFacts>> ReadSignedDataCertificates(std::string_view message) {
  const OpensslErrorScope errors;
  const BioPtr in = ReadingBio(message);
  const CmsPtr cms(d2i_CMS_bio(in.get(), nullptr));
  if (!cms) return FailOpenssl(ErrorKind::kInvalid, "not a CMS message");
  const CertificateStackPtr certificates(CMS_get1_certs(cms.get()));
  std::vector<CertificateFacts> all;
  if (!certificates) return all;
  const int count =
      std::min(sk_X509_num(certificates.get()), static_cast<int>(kSignedDataCertificatesMax));
  for (int i = 0; i < count; ++i) {
    Result<CertificateFacts> facts = FactsOf(*sk_X509_value(certificates.get(), i));
    if (!facts) return Fail(facts.error());
    all.push_back(std::move(*facts));
  }
  return all;
}

}  // namespace director
