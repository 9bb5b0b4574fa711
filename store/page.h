#pragma once

#include <cstdint>

#include "store/store.h"

namespace director {

/// kInvalid for a limit that is not 1 .. 1000.
Status CheckLimit(const PageRequest& page);

/// For lists by descending number: the number to stay below, which is `after`, or above all for the
/// first page. kInvalid for a limit or an `after` that cannot be.
Result<std::int64_t> NumberBefore(const PageRequest& page);

}  // namespace director
