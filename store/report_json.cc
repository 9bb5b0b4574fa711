#include "store/report_json.h"

#include <simdjson.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <variant>

#include "base/text.h"
#include "base/time.h"

namespace director {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kParserRoomMaxBytes = 256 * 1024;

/// Short keys: a report is stored for every enrollment.
constexpr const char* kIdentifierKey = "id";
constexpr const char* kUuidKey = "uuid";
constexpr const char* kNameKey = "name";
constexpr const char* kMdmKey = "mdm";
constexpr const char* kDeclarativeKey = "ddm";
constexpr const char* kInstallingKey = "installing";
constexpr const char* kShortVersionKey = "short";
constexpr const char* kStatusKey = "status";
constexpr const char* kVersionKey = "version";

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

void AppendKey(std::string& out, const char* key) {
  if (out.back() != '{') out += ',';
  out += '"';
  out += key;
  out += "\":";
}

bool IsPlain(char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; }

/// Most texts need no escapes; the library knows about the others.
void AppendText(std::string& out, const std::string& text) {
  if (!std::all_of(text.begin(), text.end(), IsPlain)) {
    out += Dump(Json(text));
    return;
  }
  out += '"';
  out += text;
  out += '"';
}

void AppendMember(std::string& out, const char* key, const std::string& text) {
  if (text.empty()) return;
  AppendKey(out, key);
  AppendText(out, text);
}

void AppendMember(std::string& out, const char* key, bool flag) {
  if (!flag) return;
  AppendKey(out, key);
  out += "true";
}

/// Keys in the order of the alphabet.
void AppendEntry(std::string& out, const ReportedProfile& profile) {
  out += '{';
  AppendMember(out, kDeclarativeKey, profile.is_declarative);
  AppendMember(out, kIdentifierKey, profile.payload_identifier.value());
  AppendMember(out, kMdmKey, profile.has_mdm_payload);
  AppendMember(out, kNameKey, profile.display_name);
  AppendMember(out, kUuidKey, profile.payload_uuid);
  out += '}';
}

/// The same.
void AppendEntry(std::string& out, const ReportedApp& app) {
  out += '{';
  AppendMember(out, kIdentifierKey, app.identifier);
  AppendMember(out, kInstallingKey, app.is_installing);
  AppendMember(out, kShortVersionKey, app.short_version);
  AppendMember(out, kVersionKey, app.version);
  out += '}';
}

/// The same.
void AppendEntry(std::string& out, const ReportedManagedApp& app) {
  out += '{';
  AppendMember(out, kIdentifierKey, app.identifier);
  AppendMember(out, kStatusKey, app.status);
  out += '}';
}

/// False when there is a value of another type; an absent key leaves `out` as it is.
template <typename T>
bool Read(const simdjson::dom::object& object, const char* key, T& out) {
  const simdjson::error_code error = object[key].get(out);
  return error == simdjson::SUCCESS || error == simdjson::NO_SUCH_FIELD;
}

bool FromJson(const simdjson::dom::element& json, ReportedProfile& profile) {
  simdjson::dom::object object;
  std::string_view identifier, uuid, name;
  const bool read = json.get(object) == simdjson::SUCCESS &&
                    Read(object, kIdentifierKey, identifier) && Read(object, kUuidKey, uuid) &&
                    Read(object, kNameKey, name) &&
                    Read(object, kMdmKey, profile.has_mdm_payload) &&
                    Read(object, kDeclarativeKey, profile.is_declarative);
  profile.payload_identifier = PayloadIdentifier(std::string(identifier));
  profile.payload_uuid = uuid;
  profile.display_name = name;
  return read && !identifier.empty();
}

bool FromJson(const simdjson::dom::element& json, ReportedApp& app) {
  simdjson::dom::object object;
  std::string_view identifier, version, short_version;
  const bool read =
      json.get(object) == simdjson::SUCCESS && Read(object, kIdentifierKey, identifier) &&
      Read(object, kVersionKey, version) && Read(object, kShortVersionKey, short_version) &&
      Read(object, kInstallingKey, app.is_installing);
  app.identifier = identifier;
  app.version = version;
  app.short_version = short_version;
  return read && !identifier.empty();
}

bool FromJson(const simdjson::dom::element& json, ReportedManagedApp& app) {
  simdjson::dom::object object;
  std::string_view identifier, status;
  const bool read = json.get(object) == simdjson::SUCCESS &&
                    Read(object, kIdentifierKey, identifier) && Read(object, kStatusKey, status);
  app.identifier = identifier;
  app.status = status;
  return read && !identifier.empty() && !status.empty();
}

template <typename T>
std::string EncodeEntries(const std::vector<T>& entries) {
  std::string out = "[";
  for (const T& entry : entries) {
    if (out.size() > 1) out += ',';
    AppendEntry(out, entry);
  }
  return out + "]";
}

template <typename T>
Result<std::vector<T>> DecodeEntries(std::string_view text) {
  thread_local simdjson::dom::parser parser;
  simdjson::dom::array array;
  if (text.empty() || parser.parse(text.data(), text.size()).get(array) != simdjson::SUCCESS) {
    return Fail(ErrorKind::kCorrupt, "stored report is no JSON array");
  }
  std::vector<T> entries;
  for (const simdjson::dom::element json : array) {
    if (!FromJson(json, entries.emplace_back())) {
      return Fail(ErrorKind::kCorrupt, "stored report holds an entry of another kind");
    }
  }
  // A rare large report does not keep its room.
  if (parser.capacity() > kParserRoomMaxBytes) parser = simdjson::dom::parser();
  return entries;
}

Json AnswerJson(const PlistValue& value);

struct AnswerEncoder {
  Json operator()(bool flag) const { return flag; }
  Json operator()(const PlistInteger& integer) const {
    if (!integer.negative) return integer.magnitude;
    return integer.ToSigned(0);
  }
  Json operator()(double real) const { return real; }
  Json operator()(const std::string& text) const { return text; }
  Json operator()(const PlistData& data) const { return EncodeBase64(data.bytes); }
  Json operator()(const PlistDate& date) const {
    return FormatTime(FromUnixMs(date.unix_seconds * 1000));
  }
  Json operator()(const PlistArray& array) const {
    Json json = Json::array();
    for (const PlistValue& entry : array) json.push_back(AnswerJson(entry));
    return json;
  }
  Json operator()(const PlistDict& dict) const {
    Json json = Json::object();
    for (const auto& [key, value] : dict.entries()) json[key] = AnswerJson(value);
    return json;
  }
};

Json AnswerJson(const PlistValue& value) { return std::visit(AnswerEncoder{}, value.variant()); }

Result<Json> ParseArray(std::string_view text) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_array()) return Fail(ErrorKind::kCorrupt, "stored JSON is not an array");
  return json;
}

}  // namespace

std::string EncodeReportedProfiles(const std::vector<ReportedProfile>& profiles) {
  return EncodeEntries(profiles);
}

Result<std::vector<ReportedProfile>> DecodeReportedProfiles(std::string_view text) {
  return DecodeEntries<ReportedProfile>(text);
}

std::string EncodeReportedApps(const std::vector<ReportedApp>& apps) { return EncodeEntries(apps); }

Result<std::vector<ReportedApp>> DecodeReportedApps(std::string_view text) {
  return DecodeEntries<ReportedApp>(text);
}

std::string EncodeReportedManagedApps(const std::vector<ReportedManagedApp>& apps) {
  return EncodeEntries(apps);
}

Result<std::vector<ReportedManagedApp>> DecodeReportedManagedApps(std::string_view text) {
  return DecodeEntries<ReportedManagedApp>(text);
}

std::string EncodeAnswer(const PlistValue& answer) { return Dump(AnswerJson(answer)); }

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

}  // namespace director
