#include "base/text.h"

#include <string>

#include "base/secret.h"
#include "base/time.h"
#include "signing/hmac.h"
#include "tests/fuzz/properties.h"
#include "tests/fuzz/target.h"
#include "upstream/http_client.h"

// The small decoders below all others: base64, UTF-8, times, durations, a webhook's signature.
namespace director::fuzz_text {
namespace {

void CheckBase64(std::string_view input) {
  const Result<std::string> back = DecodeBase64(EncodeBase64(input));
  INVARIANT(back.has_value());
  INVARIANT(*back == input);
  const Result<std::string> bytes = DecodeBase64(input);
  if (!bytes) return fuzz::CheckRefusal(bytes.error());
  INVARIANT(bytes->size() <= input.size());
  const Result<std::string> again = DecodeBase64(EncodeBase64(*bytes));
  INVARIANT(again.has_value());
  INVARIANT(*again == *bytes);
}

void CheckPrintable(std::string_view input) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{7},
                                 input.size() / 2, input.size()}) {
    const std::string printable = Printable(input, size);
    INVARIANT(printable.size() <= size);
    INVARIANT(IsValidUtf8(printable));
    INVARIANT(Printable(printable, size) == printable);
    const std::string cut = Truncate(input, size);
    INVARIANT(cut.size() <= size);
    if (IsValidUtf8(input)) INVARIANT(IsValidUtf8(cut));
  }
}

void CheckTime(std::string_view input) {
  const Result<Timestamp> at = ParseTime(input);
  if (!at) return fuzz::CheckRefusal(at.error());
  const std::string text = FormatTime(*at);
  INVARIANT(text.size() == std::string_view("2026-11-22T01:02:03Z").size());
  const Result<Timestamp> again = ParseTime(text);
  INVARIANT(again.has_value());
  INVARIANT(*again == std::chrono::floor<std::chrono::seconds>(*at));
}

void CheckDuration(std::string_view input) {
  const Result<Duration> duration = ParseDuration(input);
  if (!duration) return fuzz::CheckRefusal(duration.error());
  INVARIANT(*duration >= Duration::zero());
  INVARIANT(*duration <= 3653 * kDay);
  INVARIANT(!FormatDuration(*duration).empty());
}

/// Nobody without the key has a valid signature.
void CheckSignature(std::string_view input) {
  static const Secret kKey("fuzz-key");
  static constexpr std::string_view kBody = "{}";
  static const std::string kSignature = HmacSha256(kKey, kBody);
  const Result<std::string> given = DecodeBase64(input);
  INVARIANT(VerifyHmacHeader(kKey, input, EncodeBase64(HmacSha256(kKey, input))));
  INVARIANT(!VerifyHmacHeader(Secret(), kBody, input));
  if (VerifyHmacHeader(kKey, kBody, input)) INVARIANT(given && *given == kSignature);
}

void CheckPathSegment(std::string_view input) {
  const std::string segment = EncodePathSegment(input);
  INVARIANT(segment.size() <= 3 * input.size());
  INVARIANT(segment.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                      "0123456789-._~%") == std::string::npos);
}

}  // namespace

FUZZ_TARGET(text) {
  CheckBase64(input);
  CheckPrintable(input);
  CheckTime(input);
  CheckDuration(input);
  CheckSignature(input);
  CheckPathSegment(input);
  INVARIANT(!JsonNestsDeeperThan(input, input.size()));
  INVARIANT(EqualsIgnoreCaseAscii(ToUpperAscii(input), ToLowerAscii(input)));
}

}  // namespace director::fuzz_text
