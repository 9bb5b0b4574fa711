#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "director/api.h"
#include "director/api_support.h"
#include "director/turns.h"
#include "mdm/item_definition.h"

namespace director {
namespace {

using Json = nlohmann::json;

Result<EnrollmentFilter> ParseFilter(const HttpServerRequest& request, Timestamp now) {
  EnrollmentFilter filter;
  if (const std::string status = QueryValue(request, "status"); !status.empty()) {
    const Result<EnrollmentStatus> parsed = ParseEnrollmentStatus(status);
    if (!parsed) return Fail(InvalidField("status", parsed.error().message));
    filter.status = *parsed;
  }
  if (const std::string state = QueryValue(request, "item_state"); !state.empty()) {
    const Result<ItemState> parsed = ParseItemState(state);
    if (!parsed) return Fail(InvalidField("item_state", parsed.error().message));
    filter.item_state = *parsed;
  }
  const std::string half_enrolled = QueryValue(request, "half_enrolled");
  if (half_enrolled == "true") filter.missing_since = now - kEnrollmentStepMax;
  if (!half_enrolled.empty() && half_enrolled != "true") {
    return Fail(InvalidField("half_enrolled", "must be true, or left out"));
  }
  filter.serial_number = QueryValue(request, "serial_number");
  filter.udid = QueryValue(request, "udid");
  filter.payload_identifier = PayloadIdentifier(QueryValue(request, "payload_identifier"));
  return filter;
}

Json RowJson(const EnrollmentRow& row) {
  Json json = EnrollmentJson(row.enrollment);
  json["due_at"] = TimeJson(row.due_at);
  Json counts = Json::object();
  for (const auto& [state, count] : row.item_counts)
    counts[std::string(ItemStateName(state))] = count;
  json["item_counts"] = std::move(counts);
  return json;
}

Json AnswerJson(InventoryKind kind, const InventoryRecord& record) {
  Json answer = Json::parse(record.answer, nullptr, /*allow_exceptions=*/false);
  return {{"kind", InventoryKindName(kind)},
          {"epoch", record.epoch},
          {"reported_at", TimeJson(record.reported_at)},
          {"answer", answer.is_discarded() ? Json() : std::move(answer)}};
}

Json ReportJson(const std::optional<ProfileListReport>& report) {
  if (!report) return nullptr;
  Json profiles = Json::array();
  for (const ReportedProfile& profile : report->profiles) {
    profiles.push_back({{"payload_identifier", profile.payload_identifier.value()},
                        {"payload_uuid", profile.payload_uuid},
                        {"display_name", profile.display_name},
                        {"is_enrollment_profile", profile.has_mdm_payload},
                        {"is_declarative", profile.is_declarative}});
  }
  return {{"reported_at", TimeJson(report->reported_at)}, {"profiles", std::move(profiles)}};
}

Json PlannedJson(const Plan& plan) {
  Json commands = Json::array();
  for (const PlannedCommand& command : plan.commands) {
    commands.push_back(
        {{"request_type", command.request_type},
         {"payload_identifier",
          command.payload_identifier.empty() ? Json() : Json(command.payload_identifier.value())},
         {"reason", command.reason}});
  }
  return commands;
}

/// How the identity of a device stands; null where no issuers are configured.
Json IdentityJson(const Enrollment& enrollment, const Plan& plan) {
  const auto item = std::find_if(plan.items.begin(), plan.items.end(), [](const ItemRecord& one) {
    return one.payload_identifier == IdentityItem();
  });
  if (item == plan.items.end()) return nullptr;
  const std::optional<MdmIdentity>& identity = enrollment.identity;
  return {{"issuer", identity ? Json(identity->issuer) : Json()},
          {"not_before", identity ? TimeJson(identity->not_before) : Json()},
          {"not_after", identity ? TimeJson(identity->not_after) : Json()},
          {"asked_at", TimeJson(enrollment.identity_asked_at)},
          {"state", ItemStateName(item->state)},
          {"state_since", TimeJson(item->state_since)},
          {"attempts", item->attempts},
          {"next_attempt_at", TimeJson(item->next_attempt_at)},
          {"reason", item->reason}};
}

/// The live decision beside what is stored: what would be done now, and why.
struct LiveView {
  Snapshot snapshot;
  Plan plan;
};

}  // namespace

HttpServerResponse Api::ListDevices(const HttpServerRequest& request) {
  if (Status ok = CheckQuery(request, {"status", "item_state", "serial_number", "udid",
                                       "payload_identifier", "half_enrolled", "after", "limit"});
      !ok) {
    return ProblemResponse(ok.error());
  }
  const Result<EnrollmentFilter> filter = ParseFilter(request, deps_.clock.Now());
  if (!filter) return ProblemResponse(filter.error());
  const Result<PageRequest> page = ParsePage(request);
  if (!page) return ProblemResponse(page.error());
  std::vector<EnrollmentRow> rows;
  const Status done = deps_.store.Read([&](StoreReader& reader) -> Status {
    auto found = reader.ListEnrollments(*filter, *page);
    if (!found) return Fail(found.error());
    rows = std::move(*found);
    return {};
  });
  if (!done) return ProblemResponse(done.error());
  Json items = Json::array();
  for (const EnrollmentRow& row : rows) items.push_back(RowJson(row));
  return JsonResponse(
      200, PageJson("devices", std::move(items), *page,
                    rows.empty() ? "" : rows.back().enrollment.channel.enrollment_id.value()));
}

namespace {

template <typename Find>
Result<LiveView> LoadLiveView(Store& store, Upstreams& upstreams, const Settings& settings,
                              Timestamp now, const Find& find) {
  LiveView view;
  const Status done = store.Read([&](StoreReader& reader) -> Status {
    const Result<EnrollmentId> id = find(reader);
    if (!id) return Fail(id.error());
    Result<Snapshot> snapshot = reader.LoadSnapshot(*id);
    if (!snapshot) return Fail(snapshot.error());
    view.snapshot = WithServers(std::move(*snapshot), upstreams, settings, now);
    return {};
  });
  if (!done) return Fail(done.error());
  view.plan = Reconcile(view.snapshot, settings, now);
  return view;
}

}  // namespace

HttpServerResponse Api::GetDevice(const HttpServerRequest& request) {
  const Result<LiveView> view = LoadLiveView(
      deps_.store, deps_.upstreams, deps_.config.settings, deps_.clock.Now(),
      [&](StoreReader& reader) { return FindDevice(reader, request.path_values.at("device")); });
  if (!view) return ProblemResponse(view.error());
  Json json = EnrollmentJson(view->snapshot.enrollment);
  json["due_at"] = TimeJson(view->plan.due_at);
  json["items"] = Json::array();
  for (const ItemRecord& item : view->plan.items)
    json["items"].push_back(ItemJson(item, view->plan.due_at));
  json["commands"] = Json::array();
  for (const Intent& intent : view->snapshot.intents)
    json["commands"].push_back(IntentJson(intent));
  // As it is stored: a live plan would say that it has been sent.
  const std::optional<Proposal>& proposal = view->snapshot.proposal;
  json["proposal"] = proposal ? ProposalJson(*proposal) : Json();
  json["profile_list"] = ReportJson(view->snapshot.profile_list);
  json["notes"] = view->plan.notes;
  json["identity"] = IdentityJson(view->snapshot.enrollment, view->plan);
  return JsonResponse(200, json);
}

HttpServerResponse Api::GetInventory(const HttpServerRequest& request) {
  if (Status known = CheckQuery(request, {"kind"}); !known) return ProblemResponse(known.error());
  std::vector<InventoryKind> kinds(kInventoryKinds.begin(), kInventoryKinds.end());
  if (const std::string name = QueryValue(request, "kind"); !name.empty()) {
    const Result<InventoryKind> kind = ParseInventoryKind(name);
    if (!kind) return ProblemResponse(InvalidField("kind", kind.error().message));
    kinds = {*kind};
  }
  Json answers;
  const Status done = deps_.store.Read([&](StoreReader& reader) -> Status {
    answers = Json::array();
    const Result<EnrollmentId> id = FindDevice(reader, request.path_values.at("device"));
    if (!id) return Fail(id.error());
    const Result<Inventory> inventory = reader.LoadInventory({*id}, kinds);
    if (!inventory) return Fail(inventory.error());
    for (const auto& [key, record] : *inventory) answers.push_back(AnswerJson(key.second, record));
    return {};
  });
  if (!done) return ProblemResponse(done.error());
  return JsonResponse(200, {{"inventory", std::move(answers)}});
}

HttpServerResponse Api::ExplainItem(const HttpServerRequest& request) {
  const Result<LiveView> view = LoadLiveView(
      deps_.store, deps_.upstreams, deps_.config.settings, deps_.clock.Now(),
      [&](StoreReader& reader) { return FindDevice(reader, request.path_values.at("device")); });
  if (!view) return ProblemResponse(view.error());
  const std::string& identifier = request.path_values.at("payload_identifier");
  const auto item =
      std::find_if(view->plan.items.begin(), view->plan.items.end(),
                   [&](const ItemRecord& i) { return i.payload_identifier.value() == identifier; });
  if (item == view->plan.items.end()) {
    return ProblemResponse(MakeError(ErrorKind::kNotFound,
                                     fmt::format("{} is not assigned to this device", identifier)));
  }
  Json json = ItemJson(*item, view->plan.due_at);
  json["enrollment_id"] = view->snapshot.enrollment.channel.enrollment_id.value();
  json["last_seen_at"] = TimeJson(view->snapshot.enrollment.last_seen_at);
  const DeviceReport* report = FindReport(view->snapshot, item->payload_identifier);
  json["reported_at"] = report == nullptr ? Json() : TimeJson(report->reported_at);
  json["commands"] = Json::array();
  for (const Intent& intent : view->snapshot.intents) {
    if (intent.payload_identifier == item->payload_identifier)
      json["commands"].push_back(IntentJson(intent));
  }
  json["would_send_now"] = PlannedJson(view->plan);
  json["notes"] = view->plan.notes;
  return JsonResponse(200, json);
}

HttpServerResponse Api::RetryItem(const HttpServerRequest& request) {
  const Timestamp now = deps_.clock.Now();
  const PayloadIdentifier identifier(request.path_values.at("payload_identifier"));
  const Status done = deps_.store.Write([&](StoreWriter& writer) -> Status {
    const Result<EnrollmentId> id = FindDevice(writer, request.path_values.at("device"));
    if (!id) return Fail(id.error());
    if (Status retried = writer.RetryItem(*id, identifier, now); !retried) return retried;
    return writer.AddHappenings(
        {{0, now, *id, "operator",
          fmt::format("{} is tried again on request", identifier.value())}});
  });
  if (!done) return ProblemResponse(done.error());
  deps_.notify();
  return {204, "", "", {}};
}

HttpServerResponse Api::PushDevice(const HttpServerRequest& request) {
  EnrollmentId id;
  UpstreamName upstream;
  const Status done = deps_.store.Read([&](StoreReader& reader) -> Status {
    const Result<EnrollmentId> found = FindDevice(reader, request.path_values.at("device"));
    if (!found) return Fail(found.error());
    const auto enrollments = reader.LoadEnrollments({*found});
    if (!enrollments) return Fail(enrollments.error());
    id = *found;
    upstream = enrollments->front().upstream;
    return {};
  });
  if (!done) return ProblemResponse(done.error());
  Upstreams::Member* server = deps_.upstreams.Find(upstream);
  if (server == nullptr) {
    return ProblemResponse(
        MakeError(ErrorKind::kUnavailable,
                  fmt::format("no MDM server named {} is configured", upstream.value())));
  }
  const PushTargetResult result = server->upstream->Push({id}).front();
  if (result.outcome == PushOutcome::kSent) return JsonResponse(200, {{"pushed", true}});
  return ProblemResponse(502,
                         MakeError(ErrorKind::kUnavailable, "the push failed: " + result.detail));
}

HttpServerResponse Api::ReconcileDevice(const HttpServerRequest& request) {
  const Timestamp now = deps_.clock.Now();
  const Status done = deps_.store.Write([&](StoreWriter& writer) -> Status {
    const Result<EnrollmentId> id = FindDevice(writer, request.path_values.at("device"));
    if (!id) return Fail(id.error());
    auto enrollments = writer.LoadEnrollments({*id});
    if (!enrollments) return Fail(enrollments.error());
    enrollments->front().report_wanted_at = now;
    if (Status saved = writer.SaveEnrollments(*enrollments); !saved) return saved;
    return writer.MarkDue({{*id, now}});
  });
  if (!done) return ProblemResponse(done.error());
  deps_.notify();
  return JsonResponse(202, {{"due_at", TimeJson(now)}});
}

HttpServerResponse Api::ReleaseDevice(const HttpServerRequest& request) {
  const Timestamp now = deps_.clock.Now();
  const Status done = deps_.store.Write([&](StoreWriter& writer) -> Status {
    const Result<EnrollmentId> id = FindDevice(writer, request.path_values.at("device"));
    if (!id) return Fail(id.error());
    auto enrollments = writer.LoadEnrollments({*id});
    if (!enrollments) return Fail(enrollments.error());
    Enrollment& enrollment = enrollments->front();
    if (enrollment.status != EnrollmentStatus::kQuarantined) {
      return Fail(ErrorKind::kConflict, "the device is not quarantined");
    }
    // The device behind the UDID is another one now: forget the serial number and begin an epoch in
    // which it is asked first.
    enrollment.status = EnrollmentStatus::kEnrolled;
    enrollment.quarantine_reason.clear();
    enrollment.serial_number.clear();
    enrollment.inventory_at = {};
    enrollment.identity.reset();
    enrollment.identity_asked_at.reset();
    enrollment.renewal.reset();
    enrollment.missing_step = EnrollmentStep::kFirstAnswer;
    enrollment.missing_since = now;
    ++enrollment.epoch;
    enrollment.ask_first = true;
    if (Status saved = writer.SaveEnrollments(*enrollments); !saved) return saved;
    if (Status due = writer.MarkDue({{*id, now}}); !due) return due;
    return writer.AddHappenings({{0, now, *id, "operator", "Released from quarantine."}});
  });
  if (!done) return ProblemResponse(done.error());
  deps_.notify();
  return {204, "", "", {}};
}

}  // namespace director
