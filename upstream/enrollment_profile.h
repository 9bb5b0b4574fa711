#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "upstream/http_client.h"

namespace director {

/// Larger answers are refused. Enrollment profiles are some kilobytes.
inline constexpr std::size_t kEnrollmentProfileMaxBytes = 1024 * 1024;
/// Larger property lists do not fit into a header that servers take.
inline constexpr std::size_t kMachineInfoMaxBytes = 16 * 1024;

/// Who makes enrollment profiles: asked for one device when its identity is to be renewed.
/// Implementations are thread-safe.
class EnrollmentProfileSource {
 public:
  virtual ~EnrollmentProfileSource() = default;

  /// Returns the answer's bytes: a mobileconfig, plain or CMS-signed, of 1 to
  /// `kEnrollmentProfileMaxBytes`. What it holds is not looked at: see mdm/enrollment_profile.h.
  /// `machine_info` is the device's property list (`EncodeMachineInfo`), plain or CMS-signed.
  ///
  /// kUnavailable: no whole answer came, or 408, 429 or 5xx; ask again later. kUnauthorized: 401 or
  /// 403. kRejected: any other status (redirects are not followed), an empty or too large body, a
  /// web page; the same again until somebody changes something. kInvalid, with nothing sent: no or
  /// too much `machine_info`. Nothing is changed by asking, as far as we know. No retry inside.
  virtual Result<std::string> FetchEnrollmentProfile(std::string_view machine_info) = 0;
};

struct EnrollmentProfileSettings {
  /// `https://host[:port][/path][?query]`, or `http://`; no user info, no fragment.
  std::string url;
  Secret token;         ///< needed
  std::string ca_file;  ///< PEM; empty: the system's
  /// For each wait to send or to read, and for receiving the whole body; connecting takes five
  /// seconds at most.
  Duration timeout = std::chrono::seconds(30);
};

/// Makes the client of a re-enrollment webhook: GET of the URL with `Authorization: Bearer` and
/// `X-Apple-Aspen-Deviceinfo`, the base64 of `machine_info`.
///
/// kInvalid when URL or token are not usable or the CA file cannot be read; the message never shows
/// the URL. Contacts nobody. Precondition for `https`: the process ignores SIGPIPE.
///
/// Source: MDMDirector, branch nanomdm (ENROLL_WEBHOOK_URL, ENROLL_WEBHOOK_TOKEN).
Result<std::unique_ptr<EnrollmentProfileSource>> MakeEnrollmentProfileSource(
    const EnrollmentProfileSettings& settings);

}  // namespace director
