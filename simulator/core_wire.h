#pragma once

#include <memory>

#include "base/clock.h"
#include "simulator/mdm_stand_in.h"
#include "upstream/http_client.h"

namespace director {

/// Makes a client whose requests are answered by `server` at `clock`'s time, without sockets and
/// credentials, so that the real upstream clients can talk to a stand-in.
///
/// An answer with status 0 becomes kUnknownOutcome (closed without an answer). Blocks never. As
/// thread-safe as the stand-in: not at all. Both arguments outlive the client.
std::unique_ptr<HttpClient> MakeCoreWire(MdmStandIn& server, const Clock& clock);

}  // namespace director
