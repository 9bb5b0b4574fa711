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
/// More than any secret may have.
constexpr std::size_t kSecretFileMaxBytes = 1024;

std::string ProposalPath(const std::string& proposal_id) {
  return "/proposals/" + EncodePathSegment(proposal_id);
}

/// The only line of the file; a secret on the command line would be seen by everybody on the
/// machine.
Result<std::string> ReadSecretLine(const std::string& file) {
  Result<std::string> text = ReadSmallFile(file, kSecretFileMaxBytes);
  if (!text) return text;
  while (text->ends_with('\n') || text->ends_with('\r')) text->pop_back();
  return text;
}

/// Sets `key` to what the file holds, if there is one.
Status AddSecret(const std::string& file, const char* key, Json& body) {
  if (file.empty()) return {};
  Result<std::string> secret = ReadSecretLine(file);
  if (!secret) return Fail(secret.error());
  // An empty one would take the recovery lock away by an accident.
  if (secret->empty()) return Fail(ErrorKind::kInvalid, "the file is empty: " + file);
  body[key] = std::move(*secret);
  return {};
}

Status AddSecrets(const ProposeOptions& options, Json& body) {
  if (Status added = AddSecret(options.pin_file, "pin", body); !added) return added;
  const bool sets = options.request_type == "SetRecoveryLock";
  const char* password = sets ? "new_password" : "password";
  if (Status added = AddSecret(options.password_file, password, body); !added) return added;
  if (!options.clears_password) return {};
  if (body.contains("new_password")) {
    return Fail(ErrorKind::kInvalid, "--clear and --password-file exclude each other");
  }
  body["new_password"] = "";
  return {};
}

}  // namespace

Status ProposeCommand(const ClientOptions& client, const ProposeOptions& options,
                      OutputFormat format) {
  Json body{{"request_type", options.request_type},
            {"reason", options.reason},
            {"source", options.source}};
  if (!options.message.empty()) body["message"] = options.message;
  if (!options.phone_number.empty()) body["phone_number"] = options.phone_number;
  if (options.verifies != 0) body["verifies"] = options.verifies;
  if (Status added = AddSecrets(options, body); !added) return added;
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
