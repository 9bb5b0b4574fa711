#include "upstream/escrow.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "base/text.h"

namespace director {
namespace {

constexpr std::size_t kEscrowAnswerMaxBytes = std::size_t{64} * 1024;
constexpr std::size_t kQuoteMaxBytes = 300;
constexpr std::size_t kEscrowJsonDepthMax = 32;

Error EscrowUrlError(std::string message) { return InvalidField("url", std::move(message)); }

Result<std::string> DecodeUserInfo(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded.push_back(text[i]);
      continue;
    }
    unsigned byte = 0;
    const char* begin = text.data() + i + 1;
    if (i + 2 >= text.size() || std::from_chars(begin, begin + 2, byte, 16).ptr != begin + 2) {
      return Fail(EscrowUrlError("the credentials in the URL are badly percent-encoded"));
    }
    decoded.push_back(static_cast<char>(byte));
    i += 2;
  }
  return decoded;
}

/// Reads `user[:password]` into `endpoint`.
Status ReadCredentials(std::string_view user_info, HttpEndpoint& endpoint) {
  const std::size_t colon = std::min(user_info.find(':'), user_info.size());
  Result<std::string> user = DecodeUserInfo(user_info.substr(0, colon));
  if (!user) return Fail(user.error());
  if (user->empty()) return Fail(EscrowUrlError("the URL has credentials without a user"));
  Result<std::string> password =
      DecodeUserInfo(user_info.substr(std::min(colon + 1, user_info.size())));
  if (!password) return Fail(password.error());
  endpoint.user = std::move(*user);
  endpoint.password = Secret(std::move(*password));
  return {};
}

std::string_view TrimSlashes(std::string_view path) {
  while (path.starts_with('/')) path.remove_prefix(1);
  while (path.ends_with('/')) path.remove_suffix(1);
  return path;
}

/// Takes the credentials out of the URL and the spare slashes off its path. What else may be wrong
/// with the URL is `MakeHttpClient`'s to say.
Result<HttpEndpoint> EscrowEndpoint(const EscrowSettings& settings) {
  const std::string_view url = settings.url;
  const std::size_t scheme_end = url.find("://");
  if (scheme_end == std::string_view::npos) {
    return Fail(EscrowUrlError("the URL must begin with http:// or https://"));
  }
  const std::size_t authority_begin = scheme_end + 3;
  const std::size_t path_begin = std::min(url.find_first_of("/?#", authority_begin), url.size());
  std::string_view authority = url.substr(authority_begin, path_begin - authority_begin);
  HttpEndpoint endpoint;
  if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) {
    const Status read = ReadCredentials(authority.substr(0, at), endpoint);
    if (!read) return Fail(read.error());
    authority.remove_prefix(at + 1);
  }
  endpoint.url = fmt::format("{}{}/{}", url.substr(0, authority_begin), authority,
                             TrimSlashes(url.substr(path_begin)));
  endpoint.ca_file = settings.ca_file;
  endpoint.connect_timeout = settings.timeout;
  return endpoint;
}

/// The body without the blanks around it, and without the mark that some servers put before UTF-8.
std::string_view TrimBody(std::string_view body) {
  static constexpr std::string_view kBlanks = " \t\r\n";
  if (body.starts_with("\xEF\xBB\xBF")) body.remove_prefix(3);
  body.remove_prefix(std::min(body.find_first_not_of(kBlanks), body.size()));
  return body.substr(0, body.find_last_not_of(kBlanks) + 1);
}

bool IsHtml(const HttpResponse& response, std::string_view body) {
  return ToLowerAscii(response.content_type).starts_with("text/html") || body.starts_with('<');
}

/// False for null, false, zero, and empty text, lists and objects.
bool IsMarked(const nlohmann::json& json) {
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_number()) return json != 0;
  if (json.is_string()) return !json.get_ref<const std::string&>().empty();
  return !json.empty();
}

std::string TextOf(const nlohmann::json& json) {
  if (json.is_string()) return json.get<std::string>();
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// Why the answer of a server does not prove that it took the secret.
struct Doubt {
  std::string reason;
  std::string quote;  ///< What the server said, as it came; may hold the secret.
};

/// The first doubt about a body that begins with a brace; an empty reason when there is none.
Doubt DoubtJson(std::string_view body, const std::string& serial_number) {
  if (JsonNestsDeeperThan(body, kEscrowJsonDepthMax)) return {"JSON that nests too deep", ""};
  const auto json = nlohmann::json::parse(body, nullptr, false);
  if (!json.is_object()) return {"broken JSON", ""};
  const auto error = json.find("error");
  if (error != json.end() && IsMarked(*error)) return {"an error", TextOf(*error)};
  const auto serial = json.find("serial");
  if (serial == json.end() || serial->is_null()) return {"JSON that names no serial number", ""};
  if (EqualsIgnoreCaseAscii(TextOf(*serial), serial_number)) return {};
  return {"the serial number of another device", TextOf(*serial)};
}

/// The first doubt about an answer; an empty reason when there is none.
Doubt DoubtAnswer(const HttpResponse& response, const std::string& serial_number) {
  if (response.body.size() > kEscrowAnswerMaxBytes) {
    return {fmt::format("HTTP {} and more than 64 KiB", response.status), ""};
  }
  const std::string_view body = TrimBody(response.body);
  const bool is_redirect = response.status >= 300 && response.status < 400;
  if (response.status != 200) {
    return {fmt::format("HTTP {}{}", response.status, is_redirect ? ", a redirect" : ""),
            body.starts_with('<') ? "" : std::string(body)};
  }
  if (body.empty()) return {};
  if (body.starts_with('{')) return DoubtJson(body, serial_number);
  if (IsHtml(response, body)) return {"a web page, perhaps to log in", ""};
  return {"a text that does not say that it has the secret", std::string(body)};
}

bool IsAlphanumericAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  });
}

/// Returns what the server said, fit for a message, unless it may repeat the secret. Looks before
/// it cuts, so that no part of the secret stays. Other characters than letters and digits have so
/// many spellings (JSON, HTML, percent-encoding) that nothing is shown.
std::string QuoteWithoutSecret(std::string_view text, const Secret& secret) {
  const std::string printable = Printable(text, text.size());
  if (!IsAlphanumericAscii(secret.Reveal()) ||
      printable.find(secret.Reveal()) != std::string::npos) {
    return "(not shown, for it may repeat the secret)";
  }
  return Truncate(printable, kQuoteMaxBytes);
}

/// Crypt's words.
std::string_view SecretTypeName(SecretType type) {
  switch (type) {
    case SecretType::kUnlockPin:
      return "unlock_pin";
    case SecretType::kPassword:
      return "password";
    case SecretType::kRecoveryKey:
      return "recovery_key";
  }
  return "";
}

class CryptEscrow final : public Escrow {
 public:
  CryptEscrow(std::unique_ptr<HttpClient> http, Duration timeout)
      : http_(std::move(http)), timeout_(timeout) {}

  Status Deposit(const std::string& serial_number, SecretType type, const Secret& secret) override {
    if (serial_number.empty() || secret.empty()) {
      return Fail(ErrorKind::kInvalid, "a deposit in escrow needs a serial number and a secret");
    }
    const Result<HttpResponse> response = http_->Send(Request(serial_number, type, secret));
    if (!response) {
      Error error = response.error();
      error.kind = ErrorKind::kUnavailable;
      error.message = "no answer from the escrow server: " + error.message;
      return Fail(std::move(error));
    }
    const Doubt doubt = DoubtAnswer(*response, serial_number);
    if (doubt.reason.empty()) return {};
    std::string message = "the escrow server answered with " + doubt.reason;
    if (!doubt.quote.empty()) message += ": " + QuoteWithoutSecret(doubt.quote, secret);
    return Fail(ErrorKind::kUnavailable, std::move(message));
  }

 private:
  HttpRequest Request(const std::string& serial_number, SecretType type,
                      const Secret& secret) const {
    HttpRequest request;
    request.method = "POST";
    request.path = "/";
    request.content_type = "application/x-www-form-urlencoded";
    request.body = fmt::format("recovery_password={}&secret_type={}&serial={}&username=mdmdirector",
                               EncodePathSegment(secret.Reveal()), SecretTypeName(type),
                               EncodePathSegment(serial_number));
    request.timeout = timeout_;
    return request;
  }

  const std::unique_ptr<HttpClient> http_;
  const Duration timeout_;
};

}  // namespace

Result<std::unique_ptr<Escrow>> MakeCryptEscrow(const EscrowSettings& settings) {
  const Result<HttpEndpoint> endpoint = EscrowEndpoint(settings);
  if (!endpoint) return Fail(endpoint.error());
  Result<std::unique_ptr<HttpClient>> http = MakeHttpClient(*endpoint);
  if (!http) return Fail(http.error());
  return MakeCryptEscrow(std::move(*http), settings.timeout);
}

std::unique_ptr<Escrow> MakeCryptEscrow(std::unique_ptr<HttpClient> http, Duration timeout) {
  return std::make_unique<CryptEscrow>(std::move(http), timeout);
}

}  // namespace director
