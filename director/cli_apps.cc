#include <fmt/core.h>

#include "base/text.h"
#include "director/api_client.h"
#include "director/cli_output.h"
#include "director/cli_parts.h"
#include "director/files.h"
#include "mdm/account_configuration.h"
#include "mdm/app.h"

namespace director {
namespace {

using Json = nlohmann::json;

/// Adds the file's bytes under `key`; nothing without a file.
Status AddFile(Json& json, const char* key, const std::string& file, std::size_t size_max_bytes) {
  if (file.empty()) return {};
  const Result<std::string> bytes = ReadSmallFile(file, size_max_bytes);
  if (!bytes) return Fail(bytes.error());
  json[key] = EncodeBase64(*bytes);
  return {};
}

Status PrintStored(const ClientOptions& client, const std::string& path, const std::string& name,
                   const Json& body, OutputFormat format) {
  Result<ApiClient> api = ApiClient::Connect(client);
  if (!api) return Fail(api.error());
  const Result<Json> stored = api->Post(path, body);
  if (!stored) return Fail(stored.error());
  return PrintRows(stored->value(name, Json::array()),
                   {{"ITEM", "payload_identifier"},
                    {"REVISION", "payload_uuid"},
                    {"VERSION", "version"},
                    {"NEW", "is_new"}},
                   format);
}

Status PrintDefinitions(const ClientOptions& client, const std::string& path,
                        const std::string& name, OutputFormat format) {
  Result<ApiClient> api = ApiClient::Connect(client);
  if (!api) return Fail(api.error());
  return PrintRows(api->GetAll(path, name),
                   {{"ITEM", "payload_identifier"},
                    {"REVISION", "payload_uuid"},
                    {"VERSION", "version"},
                    {"COMMAND", "request_type"},
                    {"SOURCE", "source"},
                    {"CREATED", "created_at"}},
                   format);
}

Result<Json> AppJson(const AppOptions& options) {
  Json app = Json::object();
  const auto set = [&](const char* key, const std::string& value) {
    if (!value.empty()) app[key] = value;
  };
  set("identifier", options.identifier);
  set("version", options.version);
  set("manifest_url", options.manifest_url);
  if (options.itunes_store_id != 0) app["itunes_store_id"] = options.itunes_store_id;
  if (options.app_store) app["app_store"] = true;
  if (options.purchase_method) app["purchase_method"] = *options.purchase_method;
  if (options.management_flags) app["management_flags"] = *options.management_flags;
  if (options.install_as_managed) app["install_as_managed"] = true;
  if (options.take_management) app["take_management"] = true;
  Status read = AddFile(app, "manifest", options.manifest_file, kManifestSizeMaxBytes);
  if (read) {
    read = AddFile(app, "configuration", options.configuration_file, kManifestSizeMaxBytes);
  }
  if (!read) return Fail(read.error());
  return app;
}

}  // namespace

Status PutApp(const ClientOptions& client, const AppOptions& options, OutputFormat format) {
  const Result<Json> app = AppJson(options);
  if (!app) return Fail(app.error());
  return PrintStored(client, "/apps", "apps",
                     {{"apps", Json::array({*app})}, {"source", options.source}}, format);
}

Status ListApps(const ClientOptions& client, OutputFormat format) {
  return PrintDefinitions(client, "/apps", "apps", format);
}

Status PutAccounts(const ClientOptions& client, const std::string& file, const std::string& source,
                   OutputFormat format) {
  Json body{{"source", source}};
  Status read = AddFile(body, "account_configuration", file, kAccountConfigurationSizeMaxBytes);
  if (!read) return read;
  return PrintStored(client, "/accounts", "accounts", body, format);
}

Status ListAccounts(const ClientOptions& client, OutputFormat format) {
  return PrintDefinitions(client, "/accounts", "accounts", format);
}

}  // namespace director
