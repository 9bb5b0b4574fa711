#include "store/postgres_connect.h"

#include <fmt/core.h>
#include <libpq-fe.h>

#include <fstream>
#include <iterator>
#include <set>

#include "store/migrations.h"

namespace director {
namespace {

constexpr std::size_t kPasswordMaxBytes = 16 * 1024;

/// Unless the URL says otherwise. Times in seconds; tcp_user_timeout in milliseconds.
/// Source: PostgreSQL's documentation of libpq's connection parameters.
constexpr std::pair<const char*, const char*> kDefaults[] = {
    {"application_name", "director"}, {"connect_timeout", "5"},     {"tcp_user_timeout", "10000"},
    {"keepalives_idle", "10"},        {"keepalives_interval", "5"}, {"keepalives_count", "3"},
};

constexpr const char* kLockMigrations = "SELECT pg_advisory_xact_lock(482834802276)";
constexpr const char* kHasMigrations = "SELECT to_regclass('schema_migrations') IS NOT NULL";
constexpr const char* kCreateMigrations =
    "CREATE TABLE schema_migrations (number integer PRIMARY KEY CHECK (number > 0), "
    "name text NOT NULL CHECK (name <> ''), applied_at bigint NOT NULL)";
constexpr const char* kSelectNewest = "SELECT COALESCE(MAX(number), 0) FROM schema_migrations";
constexpr const char* kInsertMigration =
    "INSERT INTO schema_migrations (number, name, applied_at) VALUES ($1::integer, $2, $3::bigint)";

Result<std::string> ReadPassword(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string password(kPasswordMaxBytes, '\0');
  file.read(password.data(), static_cast<std::streamsize>(password.size()));
  if (file.bad() || !file.is_open()) {
    return Fail(ErrorKind::kInvalid, fmt::format("the password file {} cannot be read", path));
  }
  password.resize(static_cast<std::size_t>(file.gcount()));
  while (password.ends_with('\n') || password.ends_with('\r')) password.pop_back();
  if (password.empty()) {
    return Fail(ErrorKind::kInvalid, fmt::format("the password file {} is empty", path));
  }
  return password;
}

void Append(std::string& text, std::string_view keyword, std::string_view value) {
  text += fmt::format("{}='", keyword);
  for (const char c : value) {
    if (c == '\'' || c == '\\') text += '\\';
    text += c;
  }
  text += "' ";
}

struct FreeOptions {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};

Result<std::int64_t> Number(PostgresTransaction& db, const char* sql) {
  Result<PostgresResult> found = db.Run(sql, {}, "schema_migrations");
  if (!found) return Fail(found.error());
  return found->Next() ? found->Int() : 0;
}

Result<std::int64_t> AppliedNumber(PostgresTransaction& db) {
  Result<PostgresResult> exists = db.Run(kHasMigrations, {}, "schema_migrations");
  if (!exists) return Fail(exists.error());
  if (exists->Next() && exists->Flag()) return Number(db, kSelectNewest);
  const Result<PostgresResult> created = db.Run(kCreateMigrations, {}, "schema_migrations");
  if (!created) return Fail(created.error());
  return 0;
}

Status Apply(pqxx::transaction_base& transaction, PostgresTransaction& db, const Migration& step,
             Timestamp now) {
  transaction.exec(step.sql);
  const Result<PostgresResult> noted =
      db.Run(kInsertMigration,
             {ToPostgres(std::int64_t{step.number}), ToPostgres(step.name), ToPostgres(now)},
             "schema_migrations");
  if (!noted) return Fail(noted.error());
  return {};
}

}  // namespace

Result<std::string> ConnectionString(const PostgresSettings& settings) {
  char* problem = nullptr;
  const std::unique_ptr<PQconninfoOption, FreeOptions> options(
      PQconninfoParse(settings.url.c_str(), &problem));
  if (options == nullptr) {
    Error error = MakeError(ErrorKind::kInvalid, "the URL of the database cannot be read");
    PQfreemem(problem);  // quotes the URL, which may hold a password
    return Fail(std::move(error));
  }
  std::string text;
  std::set<std::string> given;
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val == nullptr) continue;
    Append(text, option->keyword, option->val);
    given.insert(option->keyword);
  }
  for (const auto& [keyword, value] : kDefaults) {
    if (!given.contains(keyword)) Append(text, keyword, value);
  }
  if (settings.password_file.empty()) return text;
  const Result<std::string> password = ReadPassword(settings.password_file);
  if (!password) return Fail(password.error());
  Append(text, "password", *password);
  return text;
}

Result<std::unique_ptr<pqxx::connection>> Connect(const PostgresSettings& settings) {
  const Result<std::string> text = ConnectionString(settings);
  if (!text) return Fail(text.error());
  try {
    return std::make_unique<pqxx::connection>(*text);
  } catch (const std::exception& failure) {
    return Fail(DescribePostgres(failure));
  }
}

Status MigratePostgres(pqxx::connection& connection, Timestamp now) {
  const std::vector<Migration>& steps = PostgresMigrations();
  try {
    pqxx::work transaction(connection);
    PostgresTransaction db(transaction);
    const Result<PostgresResult> locked = db.Run(kLockMigrations, {}, {});
    if (!locked) return Fail(locked.error());
    const Result<std::int64_t> applied = AppliedNumber(db);
    if (!applied) return Fail(applied.error());
    const std::int64_t known = steps.empty() ? 0 : steps.back().number;
    if (*applied > known) {
      return Fail(ErrorKind::kInvalid,
                  fmt::format("the database has schema {} and this version knows schemas up to {}: "
                              "start a newer version",
                              *applied, known));
    }
    for (const Migration& step : steps) {
      if (step.number <= *applied) continue;
      if (Status done = Apply(transaction, db, step, now); !done) return done;
    }
    transaction.commit();
    return {};
  } catch (const std::exception& failure) {
    return Fail(DescribePostgres(failure));
  }
}

}  // namespace director
