#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "director/config.h"
#include "simulator/mdm_server.h"
#include "upstream/upstream.h"

namespace director::bench {

inline constexpr char kMdmApiKey[] = "bench";

/// A Director that listens on the loopback and takes webhooks from anybody; its API token is
/// `bench`.
Config MakeConfig(const std::string& mdm_url);

/// The built-in NanoMDM stand-in. Each answer of its API takes `api_delay` longer than it has to.
/// `webhook_port`: of a Director with `MakeConfig`; 0: no webhooks.
Result<std::unique_ptr<MdmServer>> StartMdm(const Clock& clock, Duration api_delay = {},
                                            int webhook_port = 0);

/// A client of that server.
Result<std::unique_ptr<Upstream>> MakeMdmClient(const std::string& mdm_url);

/// Posts to Director's API; an error unless it is answered 2xx.
Status PostToApi(int port, const std::string& path, const std::string& body);

/// Looks every millisecond; kCorrupt after `seconds_max`.
Status WaitFor(const std::string& what, double seconds_max, const std::function<bool()>& done);

}  // namespace director::bench
