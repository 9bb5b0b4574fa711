#include "director/api_support.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "director/profile_upload.h"

namespace director {

namespace {

using Json = nlohmann::json;

}  // namespace

HttpServerResponse JsonResponse(int status, const Json& body) {
  // Device names and error texts come from outside; what is not UTF-8 is replaced, never thrown at.
  return {status,
          "application/json",
          body.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n",
          {}};
}

Result<PageRequest> ParsePage(const HttpServerRequest& request) {
  PageRequest page;
  page.after = QueryValue(request, "after");
  const std::string limit = QueryValue(request, "limit");
  if (limit.empty()) return page;
  const auto [end, ec] = std::from_chars(limit.data(), limit.data() + limit.size(), page.limit);
  if (ec != std::errc() || end != limit.data() + limit.size() || page.limit < 1 ||
      page.limit > 1000) {
    return Fail(InvalidField("limit", "must be a number from 1 to 1000"));
  }
  return page;
}

Status CheckQuery(const HttpServerRequest& request, std::initializer_list<std::string_view> known) {
  for (const auto& [key, value] : request.query) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      return Fail(InvalidField(Printable(key, 64), "unknown query parameter"));
    }
  }
  return {};
}

std::string QueryValue(const HttpServerRequest& request, const std::string& key) {
  const auto found = request.query.find(key);
  return found == request.query.end() ? std::string() : found->second;
}

Json TimeJson(Timestamp at) { return FormatTime(at); }

Json TimeJson(const std::optional<Timestamp>& at) { return at ? Json(FormatTime(*at)) : Json(); }

namespace {
template <typename T>
Json OptionalJson(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}
}  // namespace

Json RevisionJson(const Revision& revision) {
  return {{"payload_identifier", revision.payload_identifier.value()},
          {"payload_uuid", revision.payload_uuid.value()},
          {"display_name", revision.display_name},
          {"payload_scope", revision.payload_scope},
          {"payload_types", revision.payload_types},
          {"certificate_authority", revision.certificate_authority},
          {"original_payload_uuid", revision.original_payload_uuid},
          {"size_bytes", revision.size_bytes},
          {"source", revision.source},
          {"created_at", TimeJson(revision.created_at)}};
}

Json AssignmentJson(const Assignment& assignment) {
  return {{"assignment_id", assignment.assignment_id},
          {"payload_identifier", assignment.payload_identifier.value()},
          {"presence", PresenceName(assignment.presence)},
          {"payload_uuid",
           assignment.payload_uuid.empty() ? Json() : Json(assignment.payload_uuid.value())},
          {"target_kind", TargetKindName(assignment.target_kind)},
          {"target", assignment.target.empty() ? Json() : Json(assignment.target)},
          {"channel", AssignmentChannelName(assignment.channel)},
          {"adopt", assignment.adopt},
          {"during_setup", assignment.during_setup},
          {"at_enrollment_only", assignment.at_enrollment_only},
          {"source", assignment.source},
          {"assigned_at", TimeJson(assignment.assigned_at)}};
}

Json EnrollmentJson(const Enrollment& enrollment) {
  return {
      {"enrollment_id", enrollment.channel.enrollment_id.value()},
      {"device_id", enrollment.channel.device_id.value()},
      {"channel_type", ChannelTypeName(enrollment.channel.type)},
      {"udid", enrollment.channel.udid},
      {"user_id", enrollment.channel.user_id},
      {"user_short_name", enrollment.user_short_name},
      {"upstream", enrollment.upstream.value()},
      {"status", EnrollmentStatusName(enrollment.status)},
      {"quarantine_reason", enrollment.quarantine_reason},
      {"epoch", enrollment.epoch},
      {"epoch_began_at", TimeJson(enrollment.epoch_began_at)},
      {"missing_step", enrollment.missing_step == EnrollmentStep::kNone
                           ? Json()
                           : Json(EnrollmentStepName(enrollment.missing_step))},
      {"missing_since", TimeJson(enrollment.missing_since)},
      {"awaiting_configuration", OptionalJson(enrollment.awaiting_configuration)},
      {"awaiting_since", TimeJson(enrollment.awaiting_since)},
      {"serial_number", enrollment.serial_number},
      {"os_version", enrollment.os_version},
      {"build_version", enrollment.build_version},
      {"product_name", enrollment.product_name},
      {"model_name", enrollment.model_name},
      {"device_name", enrollment.device_name},
      {"is_supervised", OptionalJson(enrollment.is_supervised)},
      {"first_seen_at", TimeJson(enrollment.first_seen_at)},
      {"last_seen_at", TimeJson(enrollment.last_seen_at)},
      {"enrolled_at", TimeJson(enrollment.enrolled_at)},
      {"device_information_at",
       TimeJson(enrollment.inventory_at[InventoryKind::kDeviceInformation])},
      {"security_info_at", TimeJson(enrollment.inventory_at[InventoryKind::kSecurityInfo])},
      {"certificate_list_at", TimeJson(enrollment.inventory_at[InventoryKind::kCertificateList])},
      {"installed_application_list_at",
       TimeJson(enrollment.inventory_at[InventoryKind::kInstalledApplicationList])},
      {"managed_application_list_at",
       TimeJson(enrollment.inventory_at[InventoryKind::kManagedApplicationList])},
      {"pushed_at", TimeJson(enrollment.pushed_at)},
      {"push_unregistered", enrollment.push_unregistered}};
}

Json ItemJson(const ItemRecord& item, Timestamp enrollment_due_at) {
  return {{"kind", ItemKindName(KindOf(item.payload_identifier))},
          {"payload_identifier", item.payload_identifier.value()},
          {"presence", PresenceName(item.presence)},
          {"payload_uuid", item.payload_uuid.empty() ? Json() : Json(item.payload_uuid.value())},
          {"state", ItemStateName(item.state)},
          {"reason", item.reason},
          {"state_since", TimeJson(item.state_since)},
          {"due_at", TimeJson(item.due_at.value_or(enrollment_due_at))},
          {"attempts", item.attempts},
          {"next_attempt_at", TimeJson(item.next_attempt_at)},
          {"acknowledged_at", TimeJson(item.acknowledged_at)},
          {"verified_at", TimeJson(item.verified_at)},
          {"last_error", item.last_error.empty() ? Json() : Json(item.last_error)},
          {"last_error_at", TimeJson(item.last_error_at)}};
}

Json IntentJson(const Intent& intent) {
  return {{"command_uuid", intent.command_uuid.value()},
          {"request_type", intent.request_type},
          {"payload_identifier",
           intent.payload_identifier.empty() ? Json() : Json(intent.payload_identifier.value())},
          {"state", IntentStateName(intent.state)},
          {"journaled_at", TimeJson(intent.journaled_at)},
          {"not_now_count", intent.not_now_count},
          {"error", intent.error.empty() ? Json() : Json(intent.error)}};
}

Json ProposalJson(const Proposal& proposal) {
  return {{"proposal_id", proposal.proposal_id},
          {"enrollment_id", proposal.enrollment_id.value()},
          {"request_type", ProposalKindName(proposal.kind)},
          {"reason", proposal.reason},
          {"source", proposal.source},
          {"repeats", proposal.repeats},
          {"message", proposal.message},
          {"phone_number", proposal.phone_number},
          {"has_secret", proposal.has_secret},
          {"verifies", proposal.verifies == 0 ? Json() : Json(proposal.verifies)},
          {"command_uuid",
           proposal.command_uuid.empty() ? Json() : Json(proposal.command_uuid.value())},
          {"state", ProposalStateName(proposal.state)},
          {"state_since", TimeJson(proposal.state_since)},
          {"effect", ProposalEffectName(proposal.effect)},
          {"explanation", proposal.explanation},
          {"created_at", TimeJson(proposal.created_at)},
          {"not_before", TimeJson(proposal.not_before)},
          {"expires_at", TimeJson(proposal.expires_at)},
          {"escrowed_at", TimeJson(proposal.escrowed_at)},
          {"acknowledged_at", TimeJson(proposal.acknowledged_at)},
          {"cancelled_at", TimeJson(proposal.cancelled_at)},
          {"attempts", proposal.attempts},
          {"next_attempt_at", TimeJson(proposal.next_attempt_at)},
          {"last_error", proposal.last_error.empty() ? Json() : Json(proposal.last_error)}};
}

Json HappeningJson(const Happening& happening) {
  return {{"event_id", happening.happening_id},
          {"at", TimeJson(happening.at)},
          {"enrollment_id",
           happening.enrollment_id.empty() ? Json() : Json(happening.enrollment_id.value())},
          {"kind", happening.kind},
          {"text", happening.text}};
}

std::string ReadSource(JsonBody& body) {
  std::string source = body.OptionalString("source", "api");
  if (source.size() > kSourceSizeMaxBytes || Printable(source, 1024) != source) {
    body.Problem("source", "must be at most 64 printable bytes");
  }
  return source;
}

HttpServerResponse ListRevisions(Store& store, const HttpServerRequest& request, ItemKind kind,
                                 const char* name, Json (*to_json)(const Revision&)) {
  if (Status ok = CheckQuery(request, {"payload_identifier", "after", "limit"}); !ok) {
    return ProblemResponse(ok.error());
  }
  const Result<PageRequest> page = ParsePage(request);
  if (!page) return ProblemResponse(page.error());
  const RevisionFilter filter{PayloadIdentifier(QueryValue(request, "payload_identifier")), kind};
  std::vector<Revision> revisions;
  const Status done = store.Read([&](StoreReader& reader) -> Status {
    auto found = reader.ListRevisions(filter, *page);
    if (!found) return Fail(found.error());
    revisions = std::move(*found);
    return {};
  });
  if (!done) return ProblemResponse(done.error());
  Json items = Json::array();
  for (const Revision& revision : revisions) items.push_back(to_json(revision));
  return JsonResponse(200,
                      PageJson(name, std::move(items), *page,
                               revisions.empty() ? "" : revisions.back().payload_uuid.value()));
}

Json PageJson(const char* name, Json items, const PageRequest& page, const std::string& last_key) {
  const bool full = items.size() >= page.limit;
  Json body;
  body[name] = std::move(items);
  body["next"] = full ? Json(last_key) : Json();
  return body;
}

}  // namespace director
