#include "signing/cms.h"

#include <string>

#include "signing/reply_identity.h"
#include "tests/fuzz/properties.h"
#include "tests/fuzz/target.h"
#include "tests/support/reply_identity.h"

// Signatures around profiles and envelopes around recovery keys: DER and BER.
namespace director::fuzz_cms {
namespace {

/// DER of one value, as long as its length fits into two bytes.
std::string Tlv(char tag, const std::string& value) {
  std::string tlv(1, tag);
  if (value.size() >= 0x80) {
    tlv += '\x82';
    tlv += static_cast<char>(value.size() >> 8);
  }
  return tlv + static_cast<char>(value.size() & 0xFF) + value;
}

/// SignedData without signers around `content`.
std::string Wrap(const std::string& content) {
  static const std::string kSignedDataOid = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
  static const std::string kDataOid = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01";
  static const std::string kVersion = "\x02\x01\x01";
  const std::string inner = Tlv('\x30', kDataOid + Tlv('\xa0', Tlv('\x04', content)));
  const std::string body = Tlv('\x30', kVersion + Tlv('\x31', "") + inner + Tlv('\x31', ""));
  return Tlv('\x30', kSignedDataOid + Tlv('\xa0', body));
}

void CheckUnwrapsTo(const std::string& message, std::string_view content) {
  const Result<std::string> unwrapped = UnwrapSignedData(message);
  INVARIANT(unwrapped.has_value());
  INVARIANT(*unwrapped == content);
}

void CheckOpens(std::string_view envelope) {
  static const Secret kIdentity{std::string(director_test::kForeignIdentity)};
  const Result<Secret> opened = OpenReply(kIdentity, envelope);
  if (!opened) return INVARIANT(opened.error().kind == ErrorKind::kRejected);
  INVARIANT(opened->Reveal().size() < envelope.size());
}

}  // namespace

FUZZ_TARGET(cms) {
  if (input.size() > 32 * 1024) return;
  CheckOpens(input);
  CheckUnwrapsTo(Wrap(std::string(input)), input);
  const Result<std::string> content = UnwrapSignedData(input);
  if (!content) return fuzz::CheckRefusal(content.error());
  INVARIANT(LooksLikeCms(input));
  INVARIANT(content->size() < input.size());
  CheckUnwrapsTo(Wrap(*content), *content);
}

}  // namespace director::fuzz_cms
