#include "director/identity.h"

#include <algorithm>

#include "signing/certificate.h"

namespace director {
namespace {

/// Older systems send integers for booleans.
bool IsIdentity(const PlistDict& listed) {
  const PlistValue* value = listed.Find("IsIdentity");
  if (value == nullptr) return false;
  if (const bool* flag = value->AsBool()) return *flag;
  const PlistInteger* number = value->AsInteger();
  return number != nullptr && number->ToSigned(0) != 0;
}

std::optional<MdmIdentity> ReadIdentity(const PlistDict& listed,
                                        const std::vector<std::string>& issuers) {
  const PlistValue* value = listed.Find("Data");
  const PlistData* data = value == nullptr ? nullptr : value->AsData();
  if (data == nullptr) return std::nullopt;
  const Result<CertificateFacts> facts = ReadCertificate(data->bytes);
  if (!facts || std::find(issuers.begin(), issuers.end(), facts->issuer) == issuers.end()) {
    return std::nullopt;
  }
  return MdmIdentity{facts->issuer, facts->not_before, facts->not_after};
}

}  // namespace

std::optional<MdmIdentity> FindIdentity(const PlistArray& certificates,
                                        const std::vector<std::string>& issuers) {
  std::optional<MdmIdentity> found;
  std::size_t looked_at = 0;
  for (const PlistValue& certificate : certificates) {
    const PlistDict* listed = certificate.AsDict();
    if (listed == nullptr || !IsIdentity(*listed)) continue;
    if (++looked_at > kIdentitiesReadMax) break;
    std::optional<MdmIdentity> identity = ReadIdentity(*listed, issuers);
    if (identity && (!found || identity->not_after > found->not_after)) found = identity;
  }
  return found;
}

void TakeIdentity(const std::vector<std::string>& issuers, MdmEvent& event) {
  auto* result = std::get_if<ResultEvent>(&event.body);
  if (issuers.empty() || result == nullptr || !result->inventory) return;
  const PlistArray* answer = result->inventory->answer.AsArray();
  if (result->inventory->kind != InventoryKind::kCertificateList || answer == nullptr) return;
  result->identity = FindIdentity(*answer, issuers);
}

}  // namespace director
