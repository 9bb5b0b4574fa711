#include "mdm/error_class.h"

#include "base/text.h"
#include "mdm/error_codes.h"

namespace director {
namespace {

constexpr std::size_t kTextMaxBytes = 300;

/// The class that decides for this command; kUnknown where the chain has to be searched further.
ErrorClass ClassFor(const ListedError* listed, std::string_view request_type) {
  if (listed == nullptr) return ErrorClass::kUnknown;
  switch (listed->listed_class) {
    case ListedClass::kTransient:
      return ErrorClass::kTransient;
    case ListedClass::kPermanent:
      return ErrorClass::kPermanent;
    case ListedClass::kUser:
      return ErrorClass::kUser;
    case ListedClass::kServer:
      return ErrorClass::kServer;
    case ListedClass::kDone:
      // "Already installed" must never turn another command green.
      return listed->done_for == request_type ? ErrorClass::kDone : ErrorClass::kUnknown;
    case ListedClass::kUnknown:
    case ListedClass::kWrapper:
      return ErrorClass::kUnknown;
  }
  return ErrorClass::kUnknown;
}

ClassifiedError Describe(const ErrorChainEntry& entry, ErrorClass error_class) {
  const ListedError* listed = FindListedError(entry.domain, entry.code);
  const std::string& text = entry.us_english_description.empty() ? entry.localized_description
                                                                 : entry.us_english_description;
  return ClassifiedError{error_class, entry.domain, entry.code,
                         listed == nullptr ? std::string() : std::string(listed->meaning),
                         Truncate(text, kTextMaxBytes)};
}

}  // namespace

std::string_view ErrorClassName(ErrorClass error_class) {
  switch (error_class) {
    case ErrorClass::kTransient:
      return "transient";
    case ErrorClass::kPermanent:
      return "permanent";
    case ErrorClass::kUser:
      return "user";
    case ErrorClass::kServer:
      return "server";
    case ErrorClass::kDone:
      return "done";
    case ErrorClass::kUnknown:
      return "unknown";
  }
  return "unknown";
}

ClassifiedError ClassifyErrorChain(const std::vector<ErrorChainEntry>& chain,
                                   std::string_view request_type) {
  if (chain.empty()) return {};
  for (auto entry = chain.rbegin(); entry != chain.rend(); ++entry) {
    const auto error_class = ClassFor(FindListedError(entry->domain, entry->code), request_type);
    if (error_class != ErrorClass::kUnknown) return Describe(*entry, error_class);
  }
  return Describe(chain.front(), ErrorClass::kUnknown);
}

}  // namespace director
