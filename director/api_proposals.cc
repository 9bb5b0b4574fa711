#include <fmt/core.h>

#include <charconv>
#include <optional>
#include <utility>

#include "base/text.h"
#include "director/api.h"
#include "director/api_support.h"
#include "director/json_body.h"
#include "director/propose.h"

namespace director {
namespace {

using Json = nlohmann::json;

/// An empty one is not the same as none.
std::optional<Secret> OptionalSecret(JsonBody& body, const std::string& key) {
  const Json* value = body.Find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return Secret(value->get<std::string>());
  body.Problem(key, "must be a string");
  return std::nullopt;
}

/// 0 when it is missing.
std::int64_t ReadProposalId(JsonBody& body, const std::string& key) {
  const Json* value = body.Find(key);
  if (value == nullptr) return 0;
  if (value->is_number_integer() && *value > 0) return value->get<std::int64_t>();
  body.Problem(key, "must be the number of a proposal");
  return 0;
}

Result<ProposalRequest> ReadRequest(JsonBody& body) {
  ProposalRequest request;
  const std::string type = body.RequiredString("request_type");
  if (const Result<ProposalKind> kind = ParseProposalKind(type)) {
    request.kind = *kind;
  } else if (!type.empty()) {
    body.Problem("request_type", kind.error().message);
  }
  request.reason = body.RequiredString("reason");
  request.source = body.OptionalString("source", "api");
  request.pin = Secret(body.OptionalString("pin", ""));
  request.new_password = OptionalSecret(body, "new_password");
  request.password = Secret(body.OptionalString("password", ""));
  request.verifies = ReadProposalId(body, "verifies");
  request.message = body.OptionalString("message", "");
  request.phone_number = body.OptionalString("phone_number", "");
  body.RefuseUnknownKeys();
  if (!body.problems().empty()) return Fail(body.problems().front());
  if (Status checked = CheckProposal(request); !checked) return Fail(checked.error());
  return request;
}

Result<std::int64_t> ProposalIdOf(const HttpServerRequest& request) {
  const std::string& text = request.path_values.at("proposal_id");
  std::int64_t id = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (ec == std::errc() && end == text.data() + text.size()) return id;
  return Fail(InvalidField("proposal_id", "must be a number"));
}

/// Who asks, as the query says.
std::string SourceOf(const HttpServerRequest& request) {
  const std::string source = QueryValue(request, "source");
  return source.empty() ? "api" : Printable(source, kProposalTextMaxBytes);
}

}  // namespace

HttpServerResponse Api::PostProposal(const HttpServerRequest& request) {
  if (Status ok = CheckQuery(request, {}); !ok) return ProblemResponse(ok.error());
  EnrollmentId id;
  Status done = deps_.store.Read([&](StoreReader& reader) -> Status {
    Result<EnrollmentId> found = FindDevice(reader, request.path_values.at("device"));
    if (!found) return Fail(found.error());
    id = std::move(*found);
    return {};
  });
  if (!done) return ProblemResponse(done.error());
  Result<JsonBody> body = JsonBody::Parse(request.body);
  if (!body) return ProblemResponse(body.error());
  Result<ProposalRequest> wanted = ReadRequest(*body);
  if (!body->problems().empty()) {
    return ProblemResponse(400, "the proposal has problems", body->problems());
  }
  if (!wanted) return ProblemResponse(wanted.error());
  done = PrepareProposal(deps_.secrets, deps_.clock.Now(), *wanted);
  if (!done) return ProblemResponse(done.error());
  Proposal proposal;
  done = deps_.store.Write([&](StoreWriter& writer) -> Status {
    if (Status locked = writer.LockDesired(); !locked) return locked;
    Result<Proposal> added =
        Propose(writer, deps_.secrets, deps_.config.proposals, id, *wanted, deps_.clock.Now());
    if (!added) return Fail(added.error());
    proposal = std::move(*added);
    return {};
  });
  if (!done) return ProblemResponse(done.error());
  deps_.notify();
  return JsonResponse(201, ProposalJson(proposal));
}

HttpServerResponse Api::ListProposals(const HttpServerRequest& request) {
  if (Status ok = CheckQuery(request, {"device", "open", "after", "limit"}); !ok) {
    return ProblemResponse(ok.error());
  }
  const Result<PageRequest> page = ParsePage(request);
  if (!page) return ProblemResponse(page.error());
  const std::string open = QueryValue(request, "open");
  if (!open.empty() && open != "true" && open != "false") {
    return ProblemResponse(InvalidField("open", "must be true or false"));
  }
  std::vector<Proposal> proposals;
  const Status done = deps_.store.Read([&](StoreReader& reader) -> Status {
    ProposalFilter filter;
    filter.only_open = open == "true";
    if (const std::string device = QueryValue(request, "device"); !device.empty()) {
      const Result<EnrollmentId> id = FindDevice(reader, device);
      if (!id) return Fail(id.error());
      filter.enrollment_id = *id;
    }
    auto found = reader.ListProposals(filter, *page);
    if (!found) return Fail(found.error());
    proposals = std::move(*found);
    return {};
  });
  if (!done) return ProblemResponse(done.error());
  Json items = Json::array();
  for (const Proposal& proposal : proposals) items.push_back(ProposalJson(proposal));
  return JsonResponse(
      200, PageJson("proposals", std::move(items), *page,
                    proposals.empty() ? "" : std::to_string(proposals.back().proposal_id)));
}

HttpServerResponse Api::GetProposal(const HttpServerRequest& request) {
  if (Status ok = CheckQuery(request, {}); !ok) return ProblemResponse(ok.error());
  const Result<std::int64_t> id = ProposalIdOf(request);
  if (!id) return ProblemResponse(id.error());
  Proposal proposal;
  const Status done = deps_.store.Read([&](StoreReader& reader) -> Status {
    Result<Proposal> found = reader.LoadProposal(*id);
    if (!found) return Fail(found.error());
    proposal = std::move(*found);
    return {};
  });
  if (!done) return ProblemResponse(done.error());
  return JsonResponse(200, ProposalJson(proposal));
}

HttpServerResponse Api::CancelProposal(const HttpServerRequest& request) {
  if (Status ok = CheckQuery(request, {"source"}); !ok) return ProblemResponse(ok.error());
  const Result<std::int64_t> id = ProposalIdOf(request);
  if (!id) return ProblemResponse(id.error());
  Proposal proposal;
  const Status done = deps_.store.Write([&](StoreWriter& writer) -> Status {
    Result<Proposal> cancelled =
        director::CancelProposal(writer, *id, SourceOf(request), deps_.clock.Now());
    if (!cancelled) return Fail(cancelled.error());
    proposal = std::move(*cancelled);
    return {};
  });
  if (!done) return ProblemResponse(done.error());
  deps_.notify();
  return JsonResponse(200, ProposalJson(proposal));
}

/// Each look at a secret is an event.
HttpServerResponse Api::RevealSecret(const HttpServerRequest& request) {
  if (Status ok = CheckQuery(request, {"source"}); !ok) return ProblemResponse(ok.error());
  const Result<std::int64_t> id = ProposalIdOf(request);
  if (!id) return ProblemResponse(id.error());
  const Timestamp now = deps_.clock.Now();
  Secret secret;
  const Status done = deps_.store.Write([&](StoreWriter& writer) -> Status {
    const Result<Proposal> proposal = writer.LoadProposal(*id);
    if (!proposal) return Fail(proposal.error());
    if (!proposal->has_secret) return Fail(ErrorKind::kNotFound, "the proposal has no secret");
    const Result<SealedSecrets> sealed = writer.LoadSealedSecrets(*id);
    if (!sealed) return Fail(sealed.error());
    Result<Secret> opened = deps_.secrets.Open(sealed->secret, proposal->enrollment_id);
    if (!opened) return Fail(opened.error());
    secret = std::move(*opened);
    return writer.AddHappenings(
        {{0, now, proposal->enrollment_id, "operator",
          fmt::format("The secret of proposal {} was shown to {}", *id, SourceOf(request))}});
  });
  if (!done) return ProblemResponse(done.error());
  HttpServerResponse response = JsonResponse(200, {{"secret", secret.Reveal()}});
  response.headers["Cache-Control"] = "no-store";
  return response;
}

}  // namespace director
