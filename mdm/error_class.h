#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mdm/event.h"

namespace director {

/// What to do about a device's error. Classes are our judgement, not Apple's.
enum class ErrorClass {
  kTransient,  ///< passes by itself: retry with back-off
  kPermanent,  ///< stays until content or target changes: park
  kUser,       ///< a person must act: park
  kServer,     ///< an operator must act: retry slowly
  kDone,       ///< the goal is reached already
  kUnknown,    ///< not listed or could be either: three bounded tries
};

std::string_view ErrorClassName(ErrorClass error_class);

/// What the classifier found in a chain.
struct ClassifiedError {
  ErrorClass error_class = ErrorClass::kUnknown;
  std::string
      domain;  ///< of the entry that decided, else of the first entry; empty for an empty chain
  std::int64_t code = 0;
  std::string meaning;  ///< our words for the pair; empty when unlisted
  std::string text;     ///< Apple's words: English if sent, else localised; at most 300 bytes
};

/// Classifies the answer to a command of `request_type`. Walks the chain from the last entry to the
/// first; the first pair with a class other than wrapper or unknown wins. `kDone` only for the
/// commands for which the table says so. MDMErrorDomain is read as MCMDMErrorDomain. Source:
/// Apple's archived MDM Protocol Reference and field reports; the table is in error_codes.cc.
ClassifiedError ClassifyErrorChain(const std::vector<ErrorChainEntry>& chain,
                                   std::string_view request_type);

}  // namespace director
