// Apps by the URL of their manifest, as clients of MDMDirector hand them in and see them.
#include <fmt/core.h>

#include <set>
#include <utility>

#include "base/digest.h"
#include "base/text.h"
#include "director/mdmdirector_api.h"
#include "director/mdmdirector_changes.h"
#include "director/mdmdirector_support.h"
#include "director/revisions.h"
#include "mdm/app.h"
#include "mdm/mdmdirector_document.h"

namespace director::mdmdirector {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kUrlsPerRequestMax = 100;

/// `{"url": ..., "bootstrap_only": ...}`. What is for enrollment only is not sent before the next.
Result<WantedItem> ReadApp(const nlohmann::json& entry, Timestamp now) {
  Result<JsonBody> body = JsonBody::Of(entry);
  if (!body) return Fail(body.error());
  body->LowerCaseKeys();
  AppSpec spec;
  spec.manifest_url = body->RequiredString("url");
  const bool bootstrap_only = body->OptionalBool("bootstrap_only");
  if (!body->problems().empty()) return Fail(body->problems().front());
  const Result<ItemDefinition> app = DefineApp(spec);
  if (!app) return Fail(app.error());
  WantedItem wanted;
  wanted.revision = ToRevision(*app, kSource, now);
  wanted.assignment.payload_identifier = app->item;
  wanted.assignment.payload_uuid = wanted.revision->payload_uuid;
  wanted.assignment.at_enrollment_only = bootstrap_only;
  return wanted;
}

std::vector<WantedItem> ReadAppList(JsonBody& body, Timestamp now) {
  std::vector<WantedItem> apps;
  const nlohmann::json* list = body.Find("manifest_urls");
  if (list == nullptr) return apps;
  if (!list->is_array() || list->size() > kUrlsPerRequestMax) {
    body.Problem("manifest_urls", fmt::format("must be an array of at most {}", kUrlsPerRequestMax));
    return apps;
  }
  std::set<PayloadIdentifier> seen;
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string place = fmt::format("manifest_urls[{}]", i);
    Result<WantedItem> app = ReadApp((*list)[i], now);
    if (!app) {
      body.Problem(place, app.error().message);
    } else if (seen.insert(app->assignment.payload_identifier).second) {
      apps.push_back(std::move(*app));
    }
  }
  return apps;
}

/// A client that names devices wants the app sent now, also where it was sent before.
Status SendAgain(StoreWriter& writer, const Decision& decision, Timestamp now) {
  for (std::size_t i = 0; i < decision.devices.size(); ++i) {
    for (const Outcome& outcome : decision.outcomes[i]) {
      const Assignment& assignment = outcome.item->assignment;
      if (outcome.changed || assignment.at_enrollment_only) continue;
      const Status retried = writer.RetryItem(decision.devices[i].channel.enrollment_id,
                                              assignment.payload_identifier, now);
      if (!retried && retried.error().kind != ErrorKind::kNotFound) return retried;
    }
  }
  return {};
}

/// What is shared by MDMDirector's clients.
Result<std::vector<Assignment>> SharedApps(StoreReader& reader) {
  auto assignments = reader.ListAssignments({.target_kind = TargetKind::kAll});
  if (!assignments) return assignments;
  std::erase_if(*assignments, [](const Assignment& row) {
    return row.source != kSource || row.presence == Presence::kAbsent ||
           KindOf(row.payload_identifier) != ItemKind::kApp;
  });
  return assignments;
}

Result<Json> SharedAppsJson(StoreReader& reader) {
  const auto shared = SharedApps(reader);
  if (!shared) return Fail(shared.error());
  Json apps = Json::array();
  for (const Assignment& row : *shared) {
    const Result<Revision> revision = reader.LoadRevision(row.payload_uuid);
    if (!revision) return Fail(revision.error());
    const Result<ItemDefinition> app = DecodeDefinition(revision->content);
    if (!app) return Fail(app.error());
    apps.push_back({{"ID", ToLowerAscii(NameUuid(fmt::format("assignment {}", row.assignment_id)))},
                    {"ManifestURL", TextAt(app->arguments, "ManifestURL")}});
  }
  return apps;
}

}  // namespace

HttpServerResponse Api::PostApps(const HttpServerRequest& request) {
  Result<JsonBody> body = JsonBody::Parse(request.body);
  if (!body) return Problem(body.error());
  const Timestamp now = deps_.clock.Now();
  const Targets targets = ReadTargets(*body, Method::kPost);
  const std::vector<WantedItem> apps = ReadAppList(*body, now);
  CheckSize(*body, "manifest_urls", apps.size(), targets);
  if (!body->problems().empty()) return Problem(body->problems().front());
  const Status done = deps_.store.Write([&](StoreWriter& writer) -> Status {
    if (Status locked = writer.LockDesired(); !locked) return locked;
    const Result<Decision> decision = Decide(writer, targets, apps, now);
    if (!decision) return Fail(decision.error());
    if (Status applied = Apply(writer, decision->changes, now); !applied) return applied;
    return SendAgain(writer, *decision, now);
  });
  if (!done) return Problem(done.error());
  deps_.notify();
  return Done();
}

HttpServerResponse Api::ListSharedApps(const HttpServerRequest&) {
  Json apps;
  const Status done = deps_.store.Read([&](StoreReader& reader) -> Status {
    Result<Json> found = SharedAppsJson(reader);
    if (!found) return Fail(found.error());
    apps = std::move(*found);
    return {};
  });
  if (!done) return Problem(done.error());
  return Answer(apps);
}

HttpServerResponse Api::DeleteApps(const HttpServerRequest& request) {
  Result<JsonBody> body = JsonBody::Parse(request.body);
  if (!body) return Problem(body.error());
  const Timestamp now = deps_.clock.Now();
  body->LowerCaseKeys();
  const std::vector<WantedItem> apps = ReadAppList(*body, now);
  if (!body->problems().empty()) return Problem(body->problems().front());
  std::set<PayloadIdentifier> named;
  for (const WantedItem& app : apps) named.insert(app.assignment.payload_identifier);
  const Status done = deps_.store.Write([&](StoreWriter& writer) -> Status {
    if (Status locked = writer.LockDesired(); !locked) return locked;
    const auto shared = SharedApps(writer);
    if (!shared) return Fail(shared.error());
    bool any = false;
    for (const Assignment& row : *shared) {
      if (!named.contains(row.payload_identifier)) continue;
      any = true;
      Status deleted = writer.DeleteAssignment(row.assignment_id, now);
      if (!deleted) return deleted;
    }
    return any ? Status() : Fail(ErrorKind::kNotFound, "no shared app has one of these URLs");
  });
  if (!done) return Problem(done.error());
  deps_.notify();
  return {204, "", "", {}};
}

}  // namespace director::mdmdirector
