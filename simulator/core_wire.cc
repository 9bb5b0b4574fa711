#include "simulator/core_wire.h"

#include <utility>

namespace director {
namespace {

class CoreWire final : public HttpClient {
 public:
  CoreWire(MdmStandIn& server, const Clock& clock) : server_(server), clock_(clock) {}

  Result<HttpResponse> Send(const HttpRequest& request) override {
    CoreAnswer answer =
        server_.HandleApi({request.method, request.path, request.body}, clock_.Now());
    if (answer.status == 0) return Fail(ErrorKind::kUnknownOutcome, "closed without an answer");
    return HttpResponse{answer.status, std::move(answer.content_type), std::move(answer.body)};
  }

 private:
  MdmStandIn& server_;
  const Clock& clock_;
};

}  // namespace

std::unique_ptr<HttpClient> MakeCoreWire(MdmStandIn& server, const Clock& clock) {
  return std::make_unique<CoreWire>(server, clock);
}

}  // namespace director
