#pragma once

#include <functional>
#include <vector>

#include "base/clock.h"
#include "director/config.h"
#include "director/executor.h"
#include "director/http_server.h"
#include "director/secrets.h"
#include "director/upstreams.h"
#include "store/store.h"

namespace director {

/// Handlers of `/api/v1`. Thread-safe. The contract is docs/openapi.yaml; a test holds the two
/// together.
class Api {
 public:
  struct Dependencies {
    Store& store;
    Upstreams& upstreams;
    Executor& executor;
    const Secrets& secrets;
    const Clock& clock;
    const Config& config;
    std::function<void()> notify;        ///< something became due
    SigningIdentity* signing = nullptr;  ///< null: profiles go unsigned
  };

  explicit Api(Dependencies dependencies) : deps_(std::move(dependencies)) {}

  /// Every route, each behind the API's credentials.
  std::vector<HttpRoute> Routes();

 private:
  using Handler = HttpServerResponse (Api::*)(const HttpServerRequest&);
  HttpRoute Route(std::string method, std::string pattern, std::size_t body_size_max_bytes,
                  Handler handler);
  HttpServerResponse Authorize(const HttpServerRequest& request, Handler handler);
  bool IsAuthorized(const std::string& authorization) const;

  // api_profiles.cc
  HttpServerResponse PostProfiles(const HttpServerRequest& request);
  HttpServerResponse ListProfiles(const HttpServerRequest& request);
  HttpServerResponse GetProfile(const HttpServerRequest& request);
  HttpServerResponse GetMobileconfig(const HttpServerRequest& request);

  // api_apps.cc
  HttpServerResponse PostApps(const HttpServerRequest& request);
  HttpServerResponse ListApps(const HttpServerRequest& request);
  HttpServerResponse PostAccounts(const HttpServerRequest& request);
  HttpServerResponse ListAccounts(const HttpServerRequest& request);

  // api_assignments.cc
  HttpServerResponse PostAssignments(const HttpServerRequest& request);
  HttpServerResponse ListAssignments(const HttpServerRequest& request);
  HttpServerResponse DeleteAssignment(const HttpServerRequest& request);

  // api_devices.cc
  HttpServerResponse ListDevices(const HttpServerRequest& request);
  HttpServerResponse GetDevice(const HttpServerRequest& request);
  HttpServerResponse GetInventory(const HttpServerRequest& request);
  HttpServerResponse ExplainItem(const HttpServerRequest& request);
  HttpServerResponse RetryItem(const HttpServerRequest& request);
  HttpServerResponse PushDevice(const HttpServerRequest& request);
  HttpServerResponse ReconcileDevice(const HttpServerRequest& request);
  HttpServerResponse ReleaseDevice(const HttpServerRequest& request);

  // api_hints.cc
  HttpServerResponse SeeDevice(const HttpServerRequest& request);

  // api_proposals.cc
  HttpServerResponse PostProposal(const HttpServerRequest& request);
  HttpServerResponse ListProposals(const HttpServerRequest& request);
  HttpServerResponse GetProposal(const HttpServerRequest& request);
  HttpServerResponse CancelProposal(const HttpServerRequest& request);
  HttpServerResponse RevealSecret(const HttpServerRequest& request);

  // api_status.cc
  HttpServerResponse GetStatus(const HttpServerRequest& request);
  HttpServerResponse ListEvents(const HttpServerRequest& request);
  HttpServerResponse ListDeadLetters(const HttpServerRequest& request);
  HttpServerResponse ForgetEnrollmentProfile(const HttpServerRequest& request);

  /// The one device channel, or the enrollment itself, that a person calls `name`. kNotFound;
  /// kConflict when several devices answer to it.
  Result<EnrollmentId> FindDevice(StoreReader& reader, const std::string& name);

  Dependencies deps_;
};

}  // namespace director
