#include "upstream/make_upstream.h"

#include <string>
#include <utility>

#include "upstream/micromdm.h"
#include "upstream/nanomdm.h"

namespace director {

std::string_view UpstreamKindName(UpstreamKind kind) {
  switch (kind) {
    case UpstreamKind::kNanoMdm:
      return "nanomdm";
    case UpstreamKind::kMicroMdm:
      return "micromdm";
    case UpstreamKind::kNanoHub:
      return "nanohub";
  }
  return "nanomdm";
}

Result<UpstreamKind> ParseUpstreamKind(std::string_view name) {
  for (const UpstreamKind kind :
       {UpstreamKind::kNanoMdm, UpstreamKind::kMicroMdm, UpstreamKind::kNanoHub}) {
    if (name == UpstreamKindName(kind)) return kind;
  }
  return Fail(InvalidField("kind", "the kind of an upstream is nanomdm, micromdm or nanohub"));
}

Result<std::unique_ptr<Upstream>> MakeUpstream(const UpstreamSettings& settings) {
  HttpEndpoint endpoint = settings.endpoint;
  // Each server knows one API user, and it is named like the kind.
  endpoint.user = std::string(UpstreamKindName(settings.kind));
  Result<std::unique_ptr<HttpClient>> http = MakeHttpClient(endpoint);
  if (!http) return Fail(http.error());
  switch (settings.kind) {
    case UpstreamKind::kNanoMdm:
      return MakeNanoMdm({settings.name, "/v1", settings.targets_max, settings.enqueue_timeout,
                          settings.push_timeout, settings.queue_timeout},
                         std::move(*http));
    case UpstreamKind::kNanoHub:
      return MakeNanoMdm({settings.name, "/api/v1/nanomdm", settings.targets_max,
                          settings.enqueue_timeout, settings.push_timeout, settings.queue_timeout},
                         std::move(*http));
    case UpstreamKind::kMicroMdm:
      return MakeMicroMdm(
          {settings.name, settings.enqueue_timeout, settings.push_timeout, settings.queue_timeout},
          std::move(*http));
  }
  return Fail(ErrorKind::kInvalid, "unknown kind of upstream");
}

}  // namespace director
