#pragma once

#include <memory>
#include <string>

#include "store/store.h"

namespace director {

/// Where the database is. `url` is libpq's:
/// `postgresql://user@host1,host2/name?target_session_attrs= read-write&sslmode=verify-full`. A
/// password is taken from `password_file`, read anew for each connection, so that one that was
/// renewed needs no restart; a newline at its end does not count.
struct PostgresSettings {
  std::string url;
  std::string password_file;  ///< empty: as the URL, the environment or ~/.pgpass says
  std::size_t connections_max = 8;
};

/// True for what `OpenPostgresStore` opens: it begins with postgresql:// or postgres://.
bool IsPostgresUrl(const std::string& database);

/// Connects and brings the schema up to date; several directors may do so at once. Works through
/// pgbouncer in transaction mode: nothing of a session is used. Needs PostgreSQL 13 or newer.
///
/// kInvalid: the URL cannot be read, the schema is newer than this binary. kUnavailable: the server
/// cannot be reached or refuses.
Result<std::unique_ptr<Store>> OpenPostgresStore(const PostgresSettings& settings);

}  // namespace director
