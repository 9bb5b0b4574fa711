#pragma once

#include <cstddef>
#include <memory>

#include "base/result.h"
#include "director/config.h"
#include "store/store.h"

namespace director {

/// Opens Director's database as configured. `connections_max` is for PostgreSQL. Errors: those of
/// `OpenPostgresStore` and `OpenSqliteStore`.
Result<std::unique_ptr<Store>> OpenConfiguredStore(const Config& config,
                                                   std::size_t connections_max);

}  // namespace director
