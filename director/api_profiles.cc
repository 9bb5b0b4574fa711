#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/text.h"
#include "director/api.h"
#include "director/api_support.h"
#include "director/json_body.h"
#include "director/profile_upload.h"
#include "director/revisions.h"
#include "mdm/profile.h"

namespace director {
namespace {

using Json = nlohmann::json;
constexpr std::size_t kProfilesPerRequestMax = 100;

bool IsJson(const HttpServerRequest& request) {
  return request.Header("content-type").starts_with("application/json");
}

/// The files in a request: the raw body, or base64 in `profiles[].mobileconfig`.
Result<std::vector<std::string>> ReadFiles(const HttpServerRequest& request, std::string& source,
                                           std::vector<Error>& problems) {
  if (!IsJson(request)) return std::vector<std::string>{request.body};
  Result<JsonBody> body = JsonBody::Parse(request.body);
  if (!body) return Fail(body.error());
  source = body->OptionalString("source", source);
  problems = body->problems();
  std::vector<std::string> files;
  const auto list = body->json().find("profiles");
  if (list == body->json().end() || !list->is_array() || list->empty() ||
      list->size() > kProfilesPerRequestMax) {
    return Fail(InvalidField(
        "profiles", fmt::format("must be an array of 1 to {} objects", kProfilesPerRequestMax)));
  }
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string field = fmt::format("profiles[{}].mobileconfig", i);
    const Json& entry = (*list)[i];
    if (!entry.is_object() || entry.size() != 1 || !entry.contains("mobileconfig") ||
        !entry["mobileconfig"].is_string()) {
      problems.push_back(InvalidField(field, "must be the only key and a base64 string"));
      continue;
    }
    Result<std::string> bytes = DecodeBase64(entry["mobileconfig"].get_ref<const std::string&>());
    if (!bytes) problems.push_back(InvalidField(field, bytes.error().message));
    files.push_back(bytes ? std::move(*bytes) : std::string());
  }
  for (const auto& [key, value] : body->json().items()) {
    if (key != "profiles" && key != "source") problems.push_back(InvalidField(key, "unknown key"));
  }
  return files;
}

/// Parses every file; all problems at once, each with the place of its file.
std::vector<Profile> ParseAll(const std::vector<std::string>& files, std::vector<Error>& problems) {
  std::vector<Profile> profiles;
  std::map<PayloadIdentifier, std::size_t> first;
  for (std::size_t i = 0; i < files.size(); ++i) {
    const std::string place = files.size() == 1 ? "" : fmt::format("profiles[{}].", i);
    Result<Profile> profile = ParseUploadedProfile(files[i]);
    if (!profile) {
      problems.push_back(profile.error());
      problems.back().field = place + profile.error().field;
      continue;
    }
    const auto [twin, is_first] = first.emplace(profile->payload_identifier, i);
    if (!is_first) {
      problems.push_back(
          InvalidField(place + "PayloadIdentifier",
                       fmt::format("{} stands in profiles[{}] already",
                                   profile->payload_identifier.value(), twin->second)));
    }
    profiles.push_back(std::move(*profile));
  }
  return profiles;
}

Json WarningsJson(const Profile& profile) {
  Json warnings = Json::array();
  for (const ProfileWarning& warning : LintProfile(profile)) {
    warnings.push_back({{"field", warning.field}, {"message", warning.message}});
  }
  return warnings;
}

}  // namespace

HttpServerResponse Api::PostProfiles(const HttpServerRequest& request) {
  if (Status ok = CheckQuery(request, {"source"}); !ok) return ProblemResponse(ok.error());
  std::string source = QueryValue(request, "source");
  if (source.empty()) source = "api";
  std::vector<Error> problems;
  const Result<std::vector<std::string>> files = ReadFiles(request, source, problems);
  if (!files) return ProblemResponse(files.error());
  if (source.size() > kSourceSizeMaxBytes || !IsValidUtf8(source)) {
    problems.push_back(InvalidField("source", "must be at most 64 bytes of UTF-8"));
  }
  std::vector<Profile> profiles;
  if (problems.empty()) profiles = ParseAll(*files, problems);
  if (!problems.empty()) {
    const bool refused = std::all_of(problems.begin(), problems.end(), [](const Error& problem) {
      return problem.kind == ErrorKind::kRejected;
    });
    return ProblemResponse(refused ? 422 : 400, "nothing was stored: the request has problems",
                           problems);
  }
  Json stored = Json::array();
  bool any_new = false;
  const Status done = deps_.store.Write([&](StoreWriter& writer) -> Status {
    stored = Json::array();
    any_new = false;
    for (const Profile& profile : profiles) {
      const Revision revision = ToRevision(profile, source, deps_.clock.Now());
      const Result<bool> is_new = writer.SaveRevision(revision);
      if (!is_new) return Fail(is_new.error());
      any_new = any_new || *is_new;
      Json entry = RevisionJson(revision);
      entry["is_new"] = *is_new;
      entry["warnings"] = WarningsJson(profile);
      stored.push_back(std::move(entry));
    }
    return {};
  });
  if (!done) return ProblemResponse(done.error());
  return JsonResponse(any_new ? 201 : 200, {{"profiles", std::move(stored)}});
}

HttpServerResponse Api::ListProfiles(const HttpServerRequest& request) {
  return ListRevisions(deps_.store, request, ItemKind::kProfile, "profiles", RevisionJson);
}

namespace {

Result<Revision> LoadNamedRevision(Store& store, const HttpServerRequest& request) {
  Result<Revision> revision = Fail(ErrorKind::kNotFound, "no such revision");
  const PayloadUuid payload_uuid(ToUpperAscii(request.path_values.at("payload_uuid")));
  const Status done = store.Read([&](StoreReader& reader) -> Status {
    revision = reader.LoadRevision(payload_uuid);
    if (!revision) return Fail(revision.error());
    return {};
  });
  if (!done) return Fail(done.error());
  if (KindOf(revision->payload_identifier) != ItemKind::kProfile) {
    return Fail(ErrorKind::kNotFound, "no such revision of a profile");
  }
  return revision;
}

}  // namespace

HttpServerResponse Api::GetProfile(const HttpServerRequest& request) {
  const Result<Revision> revision = LoadNamedRevision(deps_.store, request);
  if (!revision) return ProblemResponse(revision.error());
  return JsonResponse(200, RevisionJson(*revision));
}

HttpServerResponse Api::GetMobileconfig(const HttpServerRequest& request) {
  Result<Revision> revision = LoadNamedRevision(deps_.store, request);
  if (!revision) return ProblemResponse(revision.error());
  return {200, "application/x-apple-aspen-config", std::move(revision->content), {}};
}

}  // namespace director
