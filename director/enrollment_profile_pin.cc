#include "director/enrollment_profile_pin.h"

#include <nlohmann/json.hpp>

namespace director {
namespace {

using Json = nlohmann::json;

void DropQuery(std::string& url) { url.resize(std::min(url.find('?'), url.size())); }

}  // namespace

std::string EncodePin(const EnrollmentProfile& profile) {
  Json json = {{"topic", profile.topic},
               {"server_url", profile.server_url},
               {"check_in_url", profile.check_in_url},
               {"access_rights", nullptr},
               {"assigned_managed_apple_id", profile.assigned_managed_apple_id},
               {"enrollment_mode", profile.enrollment_mode},
               {"required_app_id_for_mdm", profile.required_app_id_for_mdm},
               {"has_per_user_connections", profile.has_per_user_connections}};
  if (profile.access_rights) json["access_rights"] = *profile.access_rights;
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<EnrollmentProfile> DecodePin(std::string_view text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  EnrollmentProfile profile;
  try {
    profile.topic = json.at("topic").get<std::string>();
    profile.server_url = json.at("server_url").get<std::string>();
    profile.check_in_url = json.at("check_in_url").get<std::string>();
    if (const Json& rights = json.at("access_rights"); !rights.is_null()) {
      profile.access_rights = rights.get<std::int64_t>();
    }
    profile.assigned_managed_apple_id = json.at("assigned_managed_apple_id").get<std::string>();
    profile.enrollment_mode = json.at("enrollment_mode").get<std::string>();
    profile.required_app_id_for_mdm = json.at("required_app_id_for_mdm").get<std::string>();
    profile.has_per_user_connections = json.at("has_per_user_connections").get<bool>();
  } catch (const Json::exception&) {
    return Fail(ErrorKind::kCorrupt, "what is pinned of the enrollment profile cannot be read");
  }
  return profile;
}

EnrollmentProfile WithoutDevice(EnrollmentProfile profile) {
  DropQuery(profile.server_url);
  DropQuery(profile.check_in_url);
  profile.assigned_managed_apple_id.clear();
  return profile;
}

}  // namespace director
