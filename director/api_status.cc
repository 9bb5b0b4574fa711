#include <fmt/core.h>

#include <utility>

#include "base/text.h"
#include "director/api.h"
#include "director/api_support.h"

namespace director {
namespace {

using Json = nlohmann::json;

Json CountsByItem(const std::vector<ItemCount>& counts) {
  Json items = Json::array();
  for (const ItemCount& count : counts) {
    const std::string& identifier = count.payload_identifier.value();
    const auto presence = PresenceName(count.presence);
    const bool same = !items.empty() && items.back()["payload_identifier"] == identifier &&
                      items.back()["presence"] == presence;
    if (!same) {
      items.push_back(
          {{"payload_identifier", identifier}, {"presence", presence}, {"states", Json::object()}});
    }
    items.back()["states"][std::string(ItemStateName(count.state))] = count.count;
  }
  return items;
}

Json OldestJson(const std::optional<OldestWaiting>& oldest) {
  if (!oldest) return nullptr;
  return {{"enrollment_id", oldest->enrollment_id.value()},
          {"payload_identifier", oldest->payload_identifier.value()},
          {"state", ItemStateName(oldest->state)},
          {"state_since", TimeJson(oldest->since)},
          {"reason", oldest->reason}};
}

Json StatesJson(const std::vector<ItemCount>& counts) {
  Json states = Json::object();
  for (const ItemState state : AllItemStates()) states[std::string(ItemStateName(state))] = 0;
  for (const ItemCount& count : counts) {
    Json& sum = states[std::string(ItemStateName(count.state))];
    sum = sum.get<std::int64_t>() + count.count;
  }
  return states;
}

Json OpenProposalsJson(const std::vector<ProposalCount>& counts) {
  Json proposals = Json::array();
  for (const ProposalCount& count : counts) {
    proposals.push_back({{"request_type", ProposalKindName(count.kind)},
                         {"state", ProposalStateName(count.state)},
                         {"count", count.count}});
  }
  return proposals;
}

Json IdentitiesJson(const FleetCounts& counts) {
  Json identities = Json::object();
  for (const IdentityEnd end : kIdentityEnds) {
    const auto count = counts.identities.find(end);
    identities[std::string(IdentityEndName(end))] =
        count == counts.identities.end() ? 0 : count->second;
  }
  return identities;
}

}  // namespace

HttpServerResponse Api::GetStatus(const HttpServerRequest& request) {
  if (Status ok = CheckQuery(request, {}); !ok) return ProblemResponse(ok.error());
  const Timestamp now = deps_.clock.Now();
  FleetCounts counts;
  const Status done = deps_.store.Read([&](StoreReader& reader) -> Status {
    auto counted = reader.CountFleet(now);
    if (!counted) return Fail(counted.error());
    counts = std::move(*counted);
    return {};
  });
  if (!done) return ProblemResponse(done.error());
  Json enrollments = Json::object();
  for (const auto& [status, count] : counts.enrollments) {
    enrollments[std::string(EnrollmentStatusName(status))] = count;
  }
  Json half_enrollments = Json::object();
  for (const EnrollmentStep step : kEnrollmentSteps) {
    const auto count = counts.half_enrollments.find(step);
    half_enrollments[std::string(EnrollmentStepName(step))] =
        count == counts.half_enrollments.end() ? 0 : count->second;
  }
  Json servers = Json::array();
  for (const auto& [name, member] : deps_.upstreams.all()) {
    const std::optional<Timestamp> retry_at = member->health.retry_at(now);
    servers.push_back(
        {{"name", name.value()},
         {"reachable", member->health.answers()},
         {"retry_at", TimeJson(retry_at)},
         {"problem", member->health.problem()},
         {"push_certificate_expires_at", TimeJson(member->push_certificate.expires_at())}});
  }
  return JsonResponse(
      200, {{"at", TimeJson(now)},
            {"enrollments", std::move(enrollments)},
            {"half_enrollments", std::move(half_enrollments)},
            {"item_states", StatesJson(counts.items)},
            {"items", CountsByItem(counts.items)},
            {"oldest_waiting", OldestJson(counts.oldest_waiting)},
            {"open_proposals", OpenProposalsJson(counts.proposals)},
            {"identities", IdentitiesJson(counts)},
            {"signing_certificate_expires_at",
             deps_.signing == nullptr ? Json()
                                      : TimeJson(deps_.signing->Current()->CertificateNotAfter())},
            {"due", counts.due},
            {"dead_letters", counts.dead_letters},
            {"mdm_servers", std::move(servers)}});
}

HttpServerResponse Api::ListEvents(const HttpServerRequest& request) {
  if (Status ok = CheckQuery(request, {"device", "after", "limit"}); !ok)
    return ProblemResponse(ok.error());
  const Result<PageRequest> page = ParsePage(request);
  if (!page) return ProblemResponse(page.error());
  std::vector<Happening> happenings;
  const Status done = deps_.store.Read([&](StoreReader& reader) -> Status {
    EnrollmentId id;
    if (const std::string device = QueryValue(request, "device"); !device.empty()) {
      const Result<EnrollmentId> found = FindDevice(reader, device);
      if (!found) return Fail(found.error());
      id = *found;
    }
    auto found = reader.ListHappenings(id, *page);
    if (!found) return Fail(found.error());
    happenings = std::move(*found);
    return {};
  });
  if (!done) return ProblemResponse(done.error());
  Json items = Json::array();
  for (const Happening& happening : happenings) items.push_back(HappeningJson(happening));
  return JsonResponse(
      200, PageJson("events", std::move(items), *page,
                    happenings.empty() ? "" : std::to_string(happenings.back().happening_id)));
}

HttpServerResponse Api::ListDeadLetters(const HttpServerRequest& request) {
  if (Status ok = CheckQuery(request, {"after", "limit"}); !ok) return ProblemResponse(ok.error());
  const Result<PageRequest> page = ParsePage(request);
  if (!page) return ProblemResponse(page.error());
  std::vector<DeadLetter> letters;
  const Status done = deps_.store.Read([&](StoreReader& reader) -> Status {
    auto found = reader.ListDeadLetters(*page);
    if (!found) return Fail(found.error());
    letters = std::move(*found);
    return {};
  });
  if (!done) return ProblemResponse(done.error());
  Json items = Json::array();
  for (const DeadLetter& letter : letters) {
    items.push_back({{"dead_letter_id", letter.dead_letter_id},
                     {"received_at", TimeJson(letter.received_at)},
                     {"upstream", letter.upstream.value()},
                     {"reason", letter.reason},
                     {"size_bytes", letter.size_bytes},
                     {"body_base64", EncodeBase64(letter.body)}});
  }
  return JsonResponse(
      200, PageJson("dead_letters", std::move(items), *page,
                    letters.empty() ? "" : std::to_string(letters.back().dead_letter_id)));
}

HttpServerResponse Api::ForgetEnrollmentProfile(const HttpServerRequest& request) {
  if (Status ok = CheckQuery(request, {"payload_identifier"}); !ok)
    return ProblemResponse(ok.error());
  const UpstreamName upstream(request.path_values.at("upstream"));
  const PayloadIdentifier profile(QueryValue(request, "payload_identifier"));
  // An empty variable of a script must not mean all.
  if (profile.empty() && request.query.contains("payload_identifier")) {
    return ProblemResponse(InvalidField("payload_identifier", "must not be empty"));
  }
  const Status done = deps_.store.Write([&](StoreWriter& writer) -> Status {
    if (Status forgotten = writer.DeletePins(upstream, profile); !forgotten) return forgotten;
    return writer.AddHappenings(
        {{0,
          deps_.clock.Now(),
          {},
          "operator",
          fmt::format("What {} for devices of {} must keep is forgotten.",
                      profile.empty() ? "enrollment profiles" : Printable(profile.value(), 128),
                      Printable(upstream.value(), 64))}});
  });
  if (!done) return ProblemResponse(done.error());
  return {204, "", "", {}};
}

}  // namespace director
