#include "store/postgres_connect.h"

#include <fmt/core.h>
#include <libpq-fe.h>

#include <map>
#include <utility>

#include "store/migrations.h"

namespace director {
namespace {

using Keywords = std::map<std::string, std::string>;

/// Unless the URL says otherwise. Times in seconds; tcp_user_timeout in milliseconds.
/// Source: PostgreSQL's documentation of libpq's connection parameters.
constexpr std::pair<const char*, const char*> kDefaults[] = {
    {"application_name", "director"}, {"client_encoding", "UTF8"}, {"connect_timeout", "5"},
    {"tcp_user_timeout", "10000"},    {"keepalives_idle", "10"},   {"keepalives_interval", "5"},
    {"keepalives_count", "3"},
};

constexpr const char* kLockMigrations = "SELECT pg_advisory_xact_lock(482834802276)";
constexpr const char* kHasMigrations = "SELECT to_regclass('schema_migrations') IS NOT NULL";
constexpr const char* kCreateMigrations =
    "CREATE TABLE schema_migrations (number integer PRIMARY KEY CHECK (number > 0), "
    "name text NOT NULL CHECK (name <> ''), applied_at bigint NOT NULL)";
constexpr const char* kSelectNewest = "SELECT COALESCE(MAX(number), 0) FROM schema_migrations";
constexpr const char* kInsertMigration =
    "INSERT INTO schema_migrations (number, name, applied_at) VALUES ($1::integer, $2, $3::bigint)";

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

Result<Keywords> ParseUrl(const std::string& url) {
  const std::unique_ptr<PQconninfoOption, FreeOptions> options(
      PQconninfoParse(url.c_str(), nullptr));
  if (options == nullptr) return Fail(ErrorKind::kInvalid, "is no URL that libpq can read");
  Keywords keywords;
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr) keywords.emplace(option->keyword, option->val);
  }
  return keywords;
}

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

Status CheckPostgresUrl(const std::string& url) {
  const Result<Keywords> keywords = ParseUrl(url);
  if (!keywords) return Fail(keywords.error());
  if (keywords->contains("password") || keywords->contains("sslpassword")) {
    return Fail(ErrorKind::kInvalid, "must not hold a password");
  }
  return {};
}

Result<std::string> ConnectionString(const PostgresSettings& settings) {
  Result<Keywords> keywords = ParseUrl(settings.url);
  if (!keywords) return Fail(keywords.error());
  for (const auto& [keyword, value] : kDefaults) keywords->emplace(keyword, value);
  if (settings.password) {
    const Result<Secret> password = settings.password();
    if (!password) return Fail(password.error());
    (*keywords)["password"] = password->Reveal();
  }
  std::string text;
  for (const auto& [keyword, value] : *keywords) Append(text, keyword, value);
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

Status MigratePostgres(std::unique_ptr<pqxx::connection> opened, Timestamp now) {
  const std::vector<Migration>& steps = PostgresMigrations();
  PostgresConnection connection(std::move(opened), false);
  try {
    pqxx::work transaction(connection.connection());
    PostgresTransaction db(connection, transaction);
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
