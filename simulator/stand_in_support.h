#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/random.h"
#include "base/time.h"
#include "mdm/plist.h"
#include "simulator/mdm_stand_in.h"

namespace director {

/// What the stand-ins for NanoMDM and MicroMDM have in common.

/// One line of text, as Go's HTTP library sends errors.
CoreAnswer TextAnswer(int status, std::string_view line);
CoreAnswer EmptyAnswer(int status);
/// 200 with a property list.
CoreAnswer PlistAnswer(std::string plist);

/// The data at a key, or nothing.
std::string BytesAt(const PlistDict& dict, std::string_view key);

/// `json` with the base64 of `bytes` in the empty string at the end of `place`, such as `"key":""`,
/// which must be there. Most of a message is base64, and nothing in it needs to be escaped: so it
/// goes in when the rest is written.
std::string WithBase64(std::string json, std::string_view place, std::string_view bytes);

/// RFC 3339 in UTC with milliseconds, as in a webhook's `created_at`.
std::string RenderCreatedAt(Timestamp now);

/// The path of a request, taken apart and percent-decoded. Of a repeated parameter the first
/// counts.
struct ApiTarget {
  std::string path;
  std::map<std::string, std::string> query;
};
/// Nothing when the percent-encoding of the path is broken. Broken parameters are left out.
std::optional<ApiTarget> ParseApiTarget(std::string_view path);

/// What happens to webhooks on their way.
struct EventFaults {
  double drop = 0;
  double duplicate = 0;
};
/// Gives the body to the webhook sink once, twice or not at all, and counts it.
void EmitEvent(const std::string& body, const EventFaults& faults, const CoreSinks& sinks,
               RandomSource& random, CoreCounters& counters);

}  // namespace director
