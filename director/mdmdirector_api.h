#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "director/config.h"
#include "director/departures.h"
#include "director/http_server.h"
#include "director/payloads.h"
#include "director/propose.h"
#include "director/secret_source.h"
#include "director/secrets.h"
#include "director/upstreams.h"
#include "mdm/profile.h"
#include "store/store.h"

namespace director::mdmdirector {

/// The paths at the root that clients of MDMDirector call. Each is a translation onto revisions and
/// assignments of the source `mdmdirector`; the loop delivers them like all others. What is the
/// same and what is not stands in docs/mdmdirector.md. Thread-safe.
class Api {
 public:
  struct Dependencies {
    Store& store;
    Upstreams& upstreams;
    const Secrets& secrets;
    const Clock& clock;
    const SecretSource& password;  ///< for the user `mdmdirector`
    const ProposalLimits& proposals;
    std::function<void()> notify;  ///< something became due
    /// Set: who says `push_now` is answered when the commands have left, as by MDMDirector.
    Departures* departures = nullptr;
    /// Set: profiles can be downloaded.
    Payloads* downloads = nullptr;
  };

  explicit Api(Dependencies dependencies) : deps_(std::move(dependencies)) {}

  std::vector<HttpRoute> Routes();

 private:
  using Handler = HttpServerResponse (Api::*)(const HttpServerRequest&);
  HttpRoute Route(std::string method, std::string pattern, Handler handler,
                  std::size_t body_size_max_bytes = 0);
  bool IsAuthorized(const std::string& authorization) const;

  // mdmdirector_profiles.cc
  HttpServerResponse PostProfiles(const HttpServerRequest& request);
  HttpServerResponse DeleteProfiles(const HttpServerRequest& request);
  HttpServerResponse ChangeProfiles(const HttpServerRequest& request, bool is_post);
  HttpServerResponse ListSharedProfiles(const HttpServerRequest& request);
  HttpServerResponse ListDeviceProfiles(const HttpServerRequest& request);

  // mdmdirector_apps.cc
  HttpServerResponse PostApps(const HttpServerRequest& request);
  HttpServerResponse ListSharedApps(const HttpServerRequest& request);
  HttpServerResponse DeleteApps(const HttpServerRequest& request);

  // mdmdirector_devices.cc
  HttpServerResponse ListDevices(const HttpServerRequest& request);
  HttpServerResponse GetDevice(const HttpServerRequest& request);
  HttpServerResponse GetDeviceBySerial(const HttpServerRequest& request);
  HttpServerResponse PushDevice(const HttpServerRequest& request);

  // mdmdirector_queue.cc
  HttpServerResponse ListQueue(const HttpServerRequest& request);
  HttpServerResponse PostDeviceCommand(const HttpServerRequest& request);
  HttpServerResponse ClearQueues(const HttpServerRequest& request);
  HttpServerResponse ClearEach(const std::vector<Enrollment>& devices);

  // mdmdirector_proposals.cc
  HttpServerResponse SetFlag(const HttpServerRequest& request, ProposalKind kind);
  Status LowerFlag(StoreWriter& writer, const EnrollmentId& id, ProposalKind kind);

  // mdmdirector_commands.cc
  HttpServerResponse ListCommands(const HttpServerRequest& request);
  HttpServerResponse ListPendingCommands(const HttpServerRequest& request);
  HttpServerResponse ListFailedCommands(const HttpServerRequest& request);
  HttpServerResponse RefuseDeletion(const HttpServerRequest& request);

  // mdmdirector_download.cc
  HttpServerResponse DownloadProfile(const HttpServerRequest& request);
  HttpServerResponse RefuseDeclarations(const HttpServerRequest& request);

  HttpServerResponse GetHealth(const HttpServerRequest& request);

  Dependencies deps_;
};

}  // namespace director::mdmdirector
