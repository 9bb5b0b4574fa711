#pragma once

#include <cstdint>
#include <string_view>

namespace director {

/// What the table says about a pair of domain and code.
enum class ListedClass {
  kTransient,
  kPermanent,
  kUser,
  kServer,
  kDone,     ///< only for the command `done_for`; unknown for every other one
  kUnknown,  ///< known to exist, but could be anything
  kWrapper,  ///< says nothing by itself: the cause is deeper in the chain
};

struct ListedError {
  std::string_view domain;
  std::int32_t code = 0;
  ListedClass listed_class = ListedClass::kUnknown;
  std::string_view meaning;
  std::string_view done_for;  ///< a request type; empty unless kDone
};

/// Finds the pair; nullptr when it is not listed. MDMErrorDomain is read as MCMDMErrorDomain.
/// Source: Apple's archived MDM Protocol Reference, Foundation's constants, and field reports. The
/// classes are ours.
const ListedError* FindListedError(std::string_view domain, std::int64_t code);

}  // namespace director
