#include "store/report_json.h"

#include <nlohmann/json.hpp>
#include <utility>

namespace director {
namespace {

using Json = nlohmann::json;

/// Short keys: a report is stored for every enrollment.
constexpr const char* kIdentifierKey = "id";
constexpr const char* kUuidKey = "uuid";
constexpr const char* kNameKey = "name";
constexpr const char* kMdmKey = "mdm";
constexpr const char* kDeclarativeKey = "ddm";

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

bool ReadString(const Json& object, const char* key, std::string& out) {
  const auto found = object.find(key);
  if (found == object.end()) return true;
  if (!found->is_string()) return false;
  out = found->get<std::string>();
  return true;
}

bool ReadFlag(const Json& object, const char* key, bool& out) {
  const auto found = object.find(key);
  if (found == object.end()) return true;
  if (!found->is_boolean()) return false;
  out = found->get<bool>();
  return true;
}

Json ToJson(const ReportedProfile& profile) {
  Json json = Json::object();
  json[kIdentifierKey] = profile.payload_identifier.value();
  if (!profile.payload_uuid.empty()) json[kUuidKey] = profile.payload_uuid;
  if (!profile.display_name.empty()) json[kNameKey] = profile.display_name;
  if (profile.has_mdm_payload) json[kMdmKey] = true;
  if (profile.is_declarative) json[kDeclarativeKey] = true;
  return json;
}

bool FromJson(const Json& json, ReportedProfile& profile) {
  std::string identifier;
  const bool read = json.is_object() && ReadString(json, kIdentifierKey, identifier) &&
                    ReadString(json, kUuidKey, profile.payload_uuid) &&
                    ReadString(json, kNameKey, profile.display_name) &&
                    ReadFlag(json, kMdmKey, profile.has_mdm_payload) &&
                    ReadFlag(json, kDeclarativeKey, profile.is_declarative);
  profile.payload_identifier = PayloadIdentifier(std::move(identifier));
  return read && !profile.payload_identifier.empty();
}

Result<Json> ParseArray(std::string_view text) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_array()) return Fail(ErrorKind::kCorrupt, "stored JSON is not an array");
  return json;
}

}  // namespace

std::string EncodeReportedProfiles(const std::vector<ReportedProfile>& profiles) {
  Json json = Json::array();
  for (const ReportedProfile& profile : profiles) json.push_back(ToJson(profile));
  return Dump(json);
}

Result<std::vector<ReportedProfile>> DecodeReportedProfiles(std::string_view text) {
  const Result<Json> json = ParseArray(text);
  if (!json) return Fail(json.error());
  std::vector<ReportedProfile> profiles(json->size());
  for (std::size_t i = 0; i < profiles.size(); ++i) {
    if (!FromJson((*json)[i], profiles[i])) {
      return Fail(ErrorKind::kCorrupt, "stored report holds an entry that is no profile");
    }
  }
  return profiles;
}

std::string EncodeStrings(const std::vector<std::string>& strings) { return Dump(Json(strings)); }

Result<std::vector<std::string>> DecodeStrings(std::string_view text) {
  const Result<Json> json = ParseArray(text);
  if (!json) return Fail(json.error());
  std::vector<std::string> strings;
  for (const Json& entry : *json) {
    if (!entry.is_string()) return Fail(ErrorKind::kCorrupt, "stored JSON holds no string");
    strings.push_back(entry.get<std::string>());
  }
  return strings;
}

bool Outdates(const ProfileListReport& kept, const ProfileListReport& report, Timestamp now) {
  if (kept.epoch != report.epoch) return kept.epoch > report.epoch;
  return kept.reported_at > report.reported_at && !IsOfAnotherTime(kept, now);
}

}  // namespace director
