#include "signing/cms.h"

#include <openssl/objects.h>

#include "signing/openssl_ptr.h"

namespace director {
namespace {

constexpr char kSequenceTag = 0x30;

Status CheckIsSignedData(const CMS_ContentInfo* cms) {
  switch (OBJ_obj2nid(CMS_get0_type(cms))) {
    case NID_pkcs7_signed:
      return {};
    case NID_pkcs7_enveloped:
    case NID_pkcs7_encrypted:
    case NID_id_smime_ct_authEnvelopedData:
      return Fail(ErrorKind::kInvalid,
                  "the CMS message is encrypted; only a signed one can be read");
    default:
      return Fail(ErrorKind::kInvalid, "the CMS message is not SignedData");
  }
}

}  // namespace

bool LooksLikeCms(std::string_view bytes) { return !bytes.empty() && bytes[0] == kSequenceTag; }

Result<std::string> UnwrapSignedData(std::string_view bytes) {
  if (bytes.size() > kCmsSizeMaxBytes) {
    return Fail(ErrorKind::kInvalid, "the CMS message is larger than 32 MiB");
  }
  if (!LooksLikeCms(bytes)) return Fail(ErrorKind::kInvalid, "not a CMS message");

  const OpensslErrorScope scope;
  const auto* cursor = reinterpret_cast<const unsigned char*>(bytes.data());
  const unsigned char* const end = cursor + bytes.size();
  const CmsPtr cms(d2i_CMS_ContentInfo(nullptr, &cursor, static_cast<long>(bytes.size())));
  if (cms == nullptr) {
    return FailOpenssl(ErrorKind::kInvalid, "the CMS message is broken or is other ASN.1");
  }
  if (cursor != end) return Fail(ErrorKind::kInvalid, "bytes follow the CMS message");
  if (Status signed_data = CheckIsSignedData(cms.get()); !signed_data) {
    return Fail(signed_data.error());
  }
  ASN1_OCTET_STRING** content = CMS_get0_content(cms.get());
  if (content == nullptr || *content == nullptr) {
    return Fail(ErrorKind::kInvalid, "the CMS signature is detached: it has no content");
  }
  return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(*content)),
                     static_cast<std::size_t>(ASN1_STRING_length(*content)));
}

}  // namespace director
