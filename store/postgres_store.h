#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "base/secret.h"
#include "store/store.h"

namespace director {

struct PostgresSettings {
  /// libpq's, without a password: `postgresql://user@host1,host2/name?target_session_attrs=...`.
  std::string url;
  /// Asked for each connection, so that a password that was renewed needs no restart. Null: what
  /// libpq finds itself (`PGPASSWORD`, `~/.pgpass`, certificates).
  std::function<Result<Secret>()> password;
  std::size_t connections_max = 8;
  /// A transaction that takes longer loses its connection: nobody may be at the other end any more.
  /// More than the waiting for one lock, and than an assignment takes that concerns everybody.
  std::chrono::milliseconds transaction_max = std::chrono::seconds(30);
};

/// True for what `OpenPostgresStore` opens: it begins with postgresql:// or postgres://.
bool IsPostgresUrl(const std::string& database);

/// kInvalid for a URL that libpq cannot read or that holds a password; the message quotes neither.
Status CheckPostgresUrl(const std::string& url);

/// Connects and brings the schema up to date; several directors may do so at once. Works through
/// pgbouncer in transaction mode: of a session only prepared statements are used, and those are
/// given up when they do not stay. Needs PostgreSQL 13 or newer.
///
/// kInvalid: the URL cannot be read, the schema is newer than this binary. kUnavailable: the server
/// cannot be reached or refuses.
Result<std::unique_ptr<Store>> OpenPostgresStore(const PostgresSettings& settings);

}  // namespace director
