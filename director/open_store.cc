#include "director/open_store.h"

#include "store/postgres_store.h"
#include "store/sqlite_store.h"

namespace director {

Result<std::unique_ptr<Store>> OpenConfiguredStore(const Config& config,
                                                   std::size_t connections_max) {
  if (!IsPostgresUrl(config.database)) return OpenSqliteStore(config.database);
  PostgresSettings settings;
  settings.url = config.database;
  if (config.database_password.is_set()) {
    settings.password = [source = config.database_password] { return source.Get(); };
  }
  settings.transaction_max = config.transaction_max;
  settings.connections_max = connections_max;
  return OpenPostgresStore(settings);
}

}  // namespace director
