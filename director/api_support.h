#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "director/http_server.h"
#include "director/json_body.h"
#include "store/store.h"

namespace director {

// Shared by the API's .cc files; shows the JSON library.

inline constexpr std::size_t kApiBodySizeMaxBytes = 1024 * 1024;

HttpServerResponse JsonResponse(int status, const nlohmann::json& body);

/// `after` and `limit` of a list. kInvalid names the parameter.
Result<PageRequest> ParsePage(const HttpServerRequest& request);
/// Refuses query parameters that a route does not know.
Status CheckQuery(const HttpServerRequest& request, std::initializer_list<std::string_view> known);
/// The parameter as written, or empty.
std::string QueryValue(const HttpServerRequest& request, const std::string& key);

/// A time as RFC 3339, or null.
nlohmann::json TimeJson(const std::optional<Timestamp>& at);
nlohmann::json TimeJson(Timestamp at);

nlohmann::json RevisionJson(const Revision& revision);
nlohmann::json AssignmentJson(const Assignment& assignment);
nlohmann::json EnrollmentJson(const Enrollment& enrollment);
nlohmann::json ItemJson(const ItemRecord& item, Timestamp enrollment_due_at);
nlohmann::json IntentJson(const Intent& intent);
nlohmann::json ProposalJson(const Proposal& proposal);
nlohmann::json HappeningJson(const Happening& happening);

/// `source` of a request that wants something: `api` unless it says another.
std::string ReadSource(JsonBody& body);

/// A page of the revisions of one kind under `name`, each as `to_json` says.
HttpServerResponse ListRevisions(Store& store, const HttpServerRequest& request, ItemKind kind,
                                 const char* name, nlohmann::json (*to_json)(const Revision&));

/// A page of a list: `items` under `name`, and `next` (the cursor) when there may be more.
nlohmann::json PageJson(const char* name, nlohmann::json items, const PageRequest& page,
                        const std::string& last_key);

}  // namespace director
