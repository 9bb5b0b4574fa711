// What a device said about itself, in the shape of MDMDirector.
#include <map>
#include <string>

#include "base/digest.h"
#include "base/text.h"
#include "director/mdmdirector_support.h"
#include "signing/certificate.h"

namespace director::mdmdirector {
namespace {

using Json = nlohmann::ordered_json;

/// MDMDirector's names of keys that Apple spells otherwise.
const std::map<std::string, std::string, std::less<>>& AppleNames() {
  static const std::map<std::string, std::string, std::less<>> names = {
      {"FDEEnabled", "FDE_Enabled"},
      {"FDEHasPersonalRecoveryKey", "FDE_HasPersonalRecoveryKey"},
      {"FDEHasInstitutionalRecoveryKey", "FDE_HasInstitutionalRecoveryKey"},
      {"FDEPersonalRecoveryKeyCMS", "FDE_PersonalRecoveryKeyCMS"},
      {"FDEPersonalRecoveryKeyDeviceKey", "FDE_PersonalRecoveryKeyDeviceKey"},
      {"SecureBootReducedSecurity", "ReducedSecurity"}};
  return names;
}

const Json* FindAnswer(const Json& answer, const std::string& key) {
  const auto name = AppleNames().find(key);
  const auto found = answer.find(name == AppleNames().end() ? key : name->second);
  return found == answer.end() ? nullptr : &*found;
}

/// DataRoamingEnabled is a text in MDMDirector and a boolean on devices.
Json AsText(const Json& value) {
  if (value.is_boolean()) return value.get<bool>() ? "true" : "false";
  return value.is_string() ? value : Json("");
}

/// Replaces the zero values of `shape` by what `answer` has of the same type; its keys stay.
void Fill(Json& shape, const Json& answer, const std::string& udid) {
  if (shape.contains("DeviceUDID")) shape["DeviceUDID"] = udid;
  for (auto& [key, value] : shape.items()) {
    const Json* said = FindAnswer(answer, key);
    if (said == nullptr) continue;
    if (value.is_object()) {
      if (said->is_object()) Fill(value, *said, udid);
    } else if (value.is_number()) {
      if (said->is_number()) value = *said;
    } else if (value.is_boolean()) {
      if (said->is_boolean()) value = *said;
    } else {
      value = AsText(*said);
    }
  }
}

Json ParseAnswer(const InventoryRecord& record) {
  return Json::parse(record.answer, nullptr, /*allow_exceptions=*/false);
}

Json CertificateJson(const Json& entry, const std::string& udid) {
  const auto data = entry.find("Data");
  if (data == entry.end() || !data->is_string()) return nullptr;
  const Result<std::string> der = DecodeBase64(data->get_ref<const std::string&>());
  if (!der) return nullptr;
  const Result<CertificateFacts> facts = ReadCertificate(*der);
  if (!facts) return nullptr;
  const auto name = entry.find("CommonName");
  return {{"ID", ToLowerAscii(NameUuid("certificate " + udid + " " + Sha256Hex(*der)))},
          {"CommonName", name == entry.end() ? Json("") : AsText(*name)},
          {"Subject", facts->subject},
          {"NotAfter", FormatTime(facts->not_after)},
          {"NotBefore", FormatTime(facts->not_before)},
          {"Data", *data},
          {"Issuer", facts->issuer},
          {"DeviceUDID", udid}};
}

}  // namespace

void AddDeviceInformation(Json& device, const std::string& udid, const InventoryRecord& record) {
  const Json answer = ParseAnswer(record);
  if (answer.is_object()) Fill(device, answer, udid);
}

void AddSecurityInfo(Json& device, const std::string& udid, const InventoryRecord& record) {
  const Json answer = ParseAnswer(record);
  if (answer.is_object()) Fill(device["SecurityInfo"], answer, udid);
}

void AddCertificates(Json& device, const std::string& udid, const InventoryRecord& record) {
  const Json answer = ParseAnswer(record);
  if (!answer.is_array()) return;
  for (const Json& entry : answer) {
    Json certificate = CertificateJson(entry, udid);
    if (!certificate.is_null()) device["Certificates"].push_back(std::move(certificate));
  }
}

}  // namespace director::mdmdirector
