// Apps and the accounts of Setup Assistant: items that are no profiles.
#include <fmt/core.h>

#include <utility>

#include "base/text.h"
#include "director/api.h"
#include "director/api_support.h"
#include "director/json_body.h"
#include "director/profile_upload.h"
#include "director/revisions.h"
#include "mdm/account_configuration.h"
#include "mdm/app.h"

namespace director {
namespace {

using Json = nlohmann::json;
constexpr std::size_t kAppsPerRequestMax = 100;

std::optional<std::int64_t> OptionalNumber(JsonBody& body, const std::string& key) {
  const Json* value = body.Find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_number_integer()) return value->get<std::int64_t>();
  body.Problem(key, "must be a whole number");
  return std::nullopt;
}

std::string OptionalBase64(JsonBody& body, const std::string& key) {
  const std::string text = body.OptionalString(key, "");
  Result<std::string> bytes = DecodeBase64(text);
  if (bytes) return std::move(*bytes);
  body.Problem(key, "must be base64");
  return {};
}

AppSpec ReadAppSpec(JsonBody& body) {
  AppSpec spec;
  spec.identifier = body.OptionalString("identifier", "");
  spec.version = body.OptionalString("version", "");
  spec.manifest = OptionalBase64(body, "manifest");
  spec.manifest_url = body.OptionalString("manifest_url", "");
  spec.itunes_store_id = OptionalNumber(body, "itunes_store_id");
  spec.is_app_store = body.OptionalBool("app_store");
  spec.purchase_method = OptionalNumber(body, "purchase_method");
  spec.management_flags = OptionalNumber(body, "management_flags");
  spec.install_as_managed = body.OptionalBool("install_as_managed");
  spec.take_management = body.OptionalBool("take_management");
  spec.configuration = OptionalBase64(body, "configuration");
  body.RefuseUnknownKeys();
  return spec;
}

/// Appends the problems of one entry, each with its place.
void AddProblems(const std::vector<Error>& found, const std::string& place,
                 std::vector<Error>& problems) {
  for (const Error& problem : found) {
    problems.push_back(problem);
    problems.back().field = problem.field.empty() ? place : place + "." + problem.field;
  }
}

/// Reads every app of the request; all problems at once.
std::vector<ItemDefinition> ReadApps(JsonBody& body, std::vector<Error>& problems) {
  std::vector<ItemDefinition> apps;
  const Json* list = body.Find("apps");
  if (list == nullptr || !list->is_array() || list->empty() || list->size() > kAppsPerRequestMax) {
    body.Problem("apps", fmt::format("must be an array of 1 to {} objects", kAppsPerRequestMax));
    return apps;
  }
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string place = fmt::format("apps[{}]", i);
    Result<JsonBody> entry = JsonBody::Of((*list)[i]);
    if (!entry) {
      AddProblems({entry.error()}, place, problems);
      continue;
    }
    const AppSpec spec = ReadAppSpec(*entry);
    AddProblems(entry->problems(), place, problems);
    if (!entry->problems().empty()) continue;
    Result<ItemDefinition> app = DefineApp(spec);
    if (app) {
      apps.push_back(std::move(*app));
    } else {
      AddProblems({app.error()}, place, problems);
    }
  }
  return apps;
}

Json DefinitionJson(const Revision& revision) {
  return {{"payload_identifier", revision.payload_identifier.value()},
          {"payload_uuid", revision.payload_uuid.value()},
          {"request_type", revision.request_type},
          {"version", revision.app_version.empty() ? Json() : Json(revision.app_version)},
          {"size_bytes", revision.size_bytes},
          {"source", revision.source},
          {"created_at", TimeJson(revision.created_at)}};
}

/// Stores the definitions as revisions; 201 when one of them is new.
HttpServerResponse StoreDefinitions(Store& store, const std::vector<ItemDefinition>& definitions,
                                    const std::string& source, const char* name, Timestamp now) {
  Json stored = Json::array();
  bool any_new = false;
  const Status done = store.Write([&](StoreWriter& writer) -> Status {
    stored = Json::array();
    any_new = false;
    for (const ItemDefinition& definition : definitions) {
      const Revision revision = ToRevision(definition, source, now);
      const Result<bool> is_new = writer.SaveRevision(revision);
      if (!is_new) return Fail(is_new.error());
      any_new = any_new || *is_new;
      Json entry = DefinitionJson(revision);
      entry["is_new"] = *is_new;
      stored.push_back(std::move(entry));
    }
    return {};
  });
  if (!done) return ProblemResponse(done.error());
  return JsonResponse(any_new ? 201 : 200, {{name, std::move(stored)}});
}

HttpServerResponse Refused(const std::vector<Error>& problems) {
  return ProblemResponse(400, "nothing was stored: the request has problems", problems);
}

}  // namespace

HttpServerResponse Api::PostApps(const HttpServerRequest& request) {
  if (Status ok = CheckQuery(request, {}); !ok) return ProblemResponse(ok.error());
  Result<JsonBody> body = JsonBody::Parse(request.body);
  if (!body) return ProblemResponse(body.error());
  const std::string source = ReadSource(*body);
  std::vector<Error> problems;
  const std::vector<ItemDefinition> apps = ReadApps(*body, problems);
  body->RefuseUnknownKeys();
  problems.insert(problems.end(), body->problems().begin(), body->problems().end());
  if (!problems.empty()) return Refused(problems);
  return StoreDefinitions(deps_.store, apps, source, "apps", deps_.clock.Now());
}

HttpServerResponse Api::ListApps(const HttpServerRequest& request) {
  return ListRevisions(deps_.store, request, ItemKind::kApp, "apps", DefinitionJson);
}

HttpServerResponse Api::PostAccounts(const HttpServerRequest& request) {
  if (Status ok = CheckQuery(request, {}); !ok) return ProblemResponse(ok.error());
  Result<JsonBody> body = JsonBody::Parse(request.body);
  if (!body) return ProblemResponse(body.error());
  const std::string source = ReadSource(*body);
  body->RequiredString("account_configuration");
  const std::string bytes = OptionalBase64(*body, "account_configuration");
  body->RefuseUnknownKeys();
  if (!body->problems().empty()) return Refused(body->problems());
  const Result<ItemDefinition> accounts = DefineAccounts(bytes);
  if (!accounts) {
    std::vector<Error> problems;
    AddProblems({accounts.error()}, "account_configuration", problems);
    return Refused(problems);
  }
  return StoreDefinitions(deps_.store, {*accounts}, source, "accounts", deps_.clock.Now());
}

HttpServerResponse Api::ListAccounts(const HttpServerRequest& request) {
  return ListRevisions(deps_.store, request, ItemKind::kAccounts, "accounts", DefinitionJson);
}

}  // namespace director
