#pragma once

#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"
#include "upstream/http_client.h"

namespace director {

/// What every client of an MDM server needs to read answers. Error texts of these servers are for
/// people: the functions that look into them give hints where the JSON keys say nothing.

/// Returns a server's words as a `detail`: printable, at most 300 bytes. Texts that quote the
/// command (NanoMDM and MicroMDM echo what they could not parse, profile contents included) are
/// replaced by our own words.
std::string CleanDetail(std::string_view server_text);

/// True when the text says that a command of this CommandUUID is stored already: NanoMDM's
/// key-value stores, PostgreSQL, MySQL.
bool SaysDuplicate(std::string_view server_text);

/// True when the text says that the command itself can never be taken (not a property list,
/// CommandUUID or RequestType missing, empty).
bool SaysBadCommand(std::string_view server_text);

/// True when APNs called the token dead (Unregistered, BadDeviceToken, status 410).
bool SaysUnregistered(std::string_view server_text);

/// True when the id can be one segment of an API path and means just this enrollment there. False
/// for ids that are empty, longer than 255 bytes, or hold a comma (NanoMDM splits at it even when
/// it is percent-encoded), a slash, a backslash or a control character, and for `.` and `..`.
bool IsAddressable(const EnrollmentId& enrollment_id);

/// Returns what a status without a usable body means, such as "credentials refused (HTTP 401)".
std::string StatusDetail(int status);

/// GET /version: the string at `version`, or `unknown` when the server answers anything else below
/// 500 (a proxy may hide the path). kUnavailable when there is no answer or a status from 500 on.
Result<std::string> ProbeVersion(HttpClient& http);

}  // namespace director
