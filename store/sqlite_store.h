#pragma once

#include <memory>
#include <string>

#include "store/store.h"

namespace director {

/// Opens (or creates) a SQLite database file and brings its schema up to date. `path` may be
/// `:memory:` for tests and simulations.
///
/// WAL, synchronous=FULL, one writer connection and a small pool of readers (in memory: one
/// connection for all). kInvalid with one clear line: the schema is newer than this binary, the
/// file is not a database, the folder is not writable. kCorrupt when SQLite says so.
Result<std::unique_ptr<Store>> OpenSqliteStore(const std::string& path);

}  // namespace director
