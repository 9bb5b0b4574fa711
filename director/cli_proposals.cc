// The verbs for commands that a person proposes.
#include <fmt/core.h>

#include "director/api_client.h"
#include "director/cli_output.h"
#include "director/cli_parts.h"
#include "director/files.h"

namespace director {
namespace {

using Json = nlohmann::json;

const std::vector<Column> kProposalColumns = {
    {"ID", "proposal_id"},         {"DEVICE", "enrollment_id"},
    {"COMMAND", "request_type"},   {"STATE", "state"},
    {"SINCE", "state_since"},      {"BY", "source"},
    {"EXPLANATION", "explanation"}};
constexpr std::size_t kPinFileMaxBytes = 64;

std::string ProposalPath(const std::string& proposal_id) {
  return "/proposals/" + EncodePathSegment(proposal_id);
}

/// The only line of the file; a PIN on the command line would be seen by everybody on the machine.
Result<std::string> ReadPin(const std::string& file) {
  Result<std::string> text = ReadSmallFile(file, kPinFileMaxBytes);
  if (!text) return text;
  while (text->ends_with('\n') || text->ends_with('\r')) text->pop_back();
  return text;
}

}  // namespace

Status ProposeCommand(const ClientOptions& client, const ProposeOptions& options,
                      OutputFormat format) {
  Json body{{"request_type", options.request_type},
            {"reason", options.reason},
            {"source", options.source}};
  if (!options.message.empty()) body["message"] = options.message;
  if (!options.phone_number.empty()) body["phone_number"] = options.phone_number;
  if (!options.pin_file.empty()) {
    const Result<std::string> pin = ReadPin(options.pin_file);
    if (!pin) return Fail(pin.error());
    body["pin"] = *pin;
  }
  Result<ApiClient> api = ApiClient::Connect(client);
  if (!api) return Fail(api.error());
  const Result<Json> proposal =
      api->Post("/devices/" + EncodePathSegment(options.device) + "/proposals", body);
  if (!proposal) return Fail(proposal.error());
  return PrintRows(Json::array({*proposal}), kProposalColumns, format);
}

Status ListProposals(const ClientOptions& client, const std::string& device, ProposalsShown shown,
                     OutputFormat format) {
  std::string query = shown == ProposalsShown::kAll ? "?open=false" : "?open=true";
  if (!device.empty()) query += "&device=" + EncodePathSegment(device);
  Result<ApiClient> api = ApiClient::Connect(client);
  if (!api) return Fail(api.error());
  return PrintRows(api->GetAll("/proposals" + query, "proposals"), kProposalColumns, format);
}

Status CancelProposal(const ClientOptions& client, const std::string& proposal_id,
                      const std::string& source) {
  Result<ApiClient> api = ApiClient::Connect(client);
  if (!api) return Fail(api.error());
  const Result<Json> done =
      api->Delete(ProposalPath(proposal_id) + "?source=" + EncodePathSegment(source));
  if (!done) return Fail(done.error());
  fmt::print("{}\n", done->value("explanation", ""));
  return {};
}

Status ShowSecret(const ClientOptions& client, const std::string& proposal_id,
                  const std::string& source) {
  Result<ApiClient> api = ApiClient::Connect(client);
  if (!api) return Fail(api.error());
  const Result<Json> shown = api->Post(
      ProposalPath(proposal_id) + "/secret?source=" + EncodePathSegment(source), Json::object());
  if (!shown) return Fail(shown.error());
  fmt::print("{}\n", shown->value("secret", ""));
  return {};
}

}  // namespace director
