#include "bench/database.h"

#include <fmt/core.h>
#include <libpq-fe.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "store/postgres_store.h"
#include "store/sqlite_store.h"

namespace director::bench {
namespace {

constexpr std::size_t kConnectionsMax = 8;
constexpr int kPgbenchClients = 32;
constexpr int kPgbenchScale = 10;

struct CloseConnection {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
struct ClearResult {
  void operator()(PGresult* result) const { PQclear(result); }
};
using PgConnection = std::unique_ptr<PGconn, CloseConnection>;
using PgResult = std::unique_ptr<PGresult, ClearResult>;

Result<PgConnection> ConnectTo(const std::string& url) {
  PgConnection connection(PQconnectdb(url.c_str()));
  if (PQstatus(connection.get()) == CONNECTION_OK) return connection;
  return Fail(ErrorKind::kUnavailable, PQerrorMessage(connection.get()));
}

Status Execute(PGconn* connection, const std::string& sql) {
  const PgResult done(PQexec(connection, sql.c_str()));
  const ExecStatusType status = PQresultStatus(done.get());
  if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) return {};
  return Fail(ErrorKind::kUnavailable, PQerrorMessage(connection));
}

/// The same server, another database.
std::string UrlOfDatabase(const std::string& server_url, const std::string& name) {
  const std::size_t host = server_url.find("://") + 3;
  const std::size_t path = server_url.find('/', host);
  const std::size_t query = server_url.find('?');
  return server_url.substr(0, std::min(path, query)) + "/" + name +
         (query == std::string::npos ? "" : server_url.substr(query));
}

/// pgbench lies beside the server in Debian, which is not on the path.
std::string FindPgbench() {
  std::string newest = "pgbench";
  std::error_code none;  // no such folder: pgbench has to be on the path
  for (const auto& entry : std::filesystem::directory_iterator("/usr/lib/postgresql", none)) {
    const std::filesystem::path candidate = entry.path() / "bin" / "pgbench";
    if (std::filesystem::exists(candidate)) newest = candidate.string();
  }
  return newest;
}

/// What a shell command prints; kUnavailable when it fails.
Result<std::string> Output(const std::string& command) {
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return Fail(ErrorKind::kUnavailable, "no shell");
  std::string text;
  char buffer[4096];
  while (const std::size_t size = std::fread(buffer, 1, sizeof buffer, pipe))
    text.append(buffer, size);
  if (::pclose(pipe) != 0) return Fail(ErrorKind::kUnavailable, command + ": " + text);
  return text;
}

Status MakePgbenchTables(const std::string& url) {
  const auto made = Output(fmt::format("{} -i -q -s {} '{}'", FindPgbench(), kPgbenchScale, url));
  if (!made) return Fail(made.error());
  return {};
}

Result<double> PgbenchRate(const std::string& url, double seconds) {
  const auto text =
      Output(fmt::format("{} -N -n -c {} -j 1 -T {} '{}'", FindPgbench(), kPgbenchClients,
                         std::max(1, static_cast<int>(seconds)), url));
  if (!text) return Fail(text.error());
  const std::size_t at = text->find("tps = ");
  if (at == std::string::npos) return Fail(ErrorKind::kCorrupt, "pgbench says no tps: " + *text);
  return std::atof(text->c_str() + at + 6);
}

Result<double> SqliteRate(const std::string& path, double seconds) {
  sqlite3* db = nullptr;
  const bool opened = sqlite3_open(path.c_str(), &db) == SQLITE_OK &&
                      sqlite3_exec(db,
                                   "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE "
                                   "IF NOT EXISTS t (v INTEGER)",
                                   nullptr, nullptr, nullptr) == SQLITE_OK;
  double rate = 0;
  if (opened) {
    rate = Rate(seconds, [&] {
      return sqlite3_exec(db, "INSERT INTO t VALUES (1)", nullptr, nullptr, nullptr) == SQLITE_OK;
    });
  }
  sqlite3_close(db);
  if (!opened) return Fail(ErrorKind::kUnavailable, "the floor's database cannot be opened");
  return rate;
}

Status CopyOut(PGconn* connection, const std::string& table) {
  const PgResult begun(PQexec(connection, fmt::format("COPY {} TO STDOUT", table).c_str()));
  if (PQresultStatus(begun.get()) != PGRES_COPY_OUT)
    return Fail(ErrorKind::kUnavailable, PQerrorMessage(connection));
  char* row = nullptr;
  int size = 0;
  while ((size = PQgetCopyData(connection, &row, 0)) > 0) PQfreemem(row);
  if (size != -1) return Fail(ErrorKind::kUnavailable, PQerrorMessage(connection));
  const PgResult ended(PQgetResult(connection));
  return {};
}

Status ReadSqliteTable(sqlite3* db, const std::string& table) {
  sqlite3_stmt* statement = nullptr;
  const std::string sql = "SELECT * FROM " + table;
  if (sqlite3_prepare_v2(db, sql.c_str(), -1, &statement, nullptr) != SQLITE_OK)
    return Fail(ErrorKind::kUnavailable, sqlite3_errmsg(db));
  std::size_t bytes = 0;
  while (sqlite3_step(statement) == SQLITE_ROW) {
    for (int i = 0; i < sqlite3_column_count(statement); ++i) {
      const unsigned char* text = sqlite3_column_text(statement, i);
      if (text != nullptr) bytes += static_cast<std::size_t>(sqlite3_column_bytes(statement, i));
    }
  }
  sqlite3_finalize(statement);
  if (bytes == 0) return Fail(ErrorKind::kCorrupt, table + " is empty");
  return {};
}

Status ReadSqliteTables(const std::string& path, const std::vector<std::string>& tables) {
  sqlite3* db = nullptr;
  Status done;
  if (sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READONLY, nullptr) != SQLITE_OK)
    done = Fail(ErrorKind::kUnavailable, "the database cannot be opened");
  for (const std::string& table : tables) {
    if (done) done = ReadSqliteTable(db, table);
  }
  sqlite3_close(db);
  return done;
}

}  // namespace

Result<std::unique_ptr<Database>> Database::Create(const Options& options) {
  std::unique_ptr<Database> database(new Database());
  if (options.database.empty()) {
    database->url_ = database->scratch_.path("director.db");
    return database;
  }
  database->server_url_ = options.database;
  static int made_before = 0;
  database->name_ = fmt::format("director_bench_{}_{}", ::getpid(), ++made_before);
  database->url_ = UrlOfDatabase(options.database, database->name_);
  const Result<PgConnection> server = ConnectTo(options.database);
  if (!server) return Fail(server.error());
  // The order of PostgreSQL's own template depends on the machine's locale.
  const Status made = Execute(
      server->get(), "CREATE DATABASE " + database->name_ + " TEMPLATE template0 ENCODING 'UTF8'");
  if (!made) return Fail(made.error());
  return database;
}

Database::~Database() {
  if (!is_postgres() || name_.empty()) return;
  const Result<PgConnection> server = ConnectTo(server_url_);
  const Status gone = server ? Execute(server->get(), "DROP DATABASE " + name_ + " WITH (FORCE)")
                             : Status(Fail(server.error()));
  if (!gone) fmt::print(stderr, "database {} stays: {}\n", name_, gone.error().message);
}

Result<std::unique_ptr<Store>> Database::Open() const {
  if (!is_postgres()) return OpenSqliteStore(url_);
  PostgresSettings settings;
  settings.url = url_;
  settings.connections_max = kConnectionsMax;
  return OpenPostgresStore(settings);
}

Result<double> Database::CommitsPerSecond(double seconds) {
  if (!is_postgres()) return SqliteRate(scratch_.path("floor.db"), seconds);
  if (!has_floor_tables_) {
    if (Status made = MakePgbenchTables(url_); !made) return Fail(made.error());
    has_floor_tables_ = true;
  }
  return PgbenchRate(url_, seconds);
}

Status Database::Analyze() const {
  if (!is_postgres()) return {};
  const Result<PgConnection> connection = ConnectTo(url_);
  if (!connection) return Fail(connection.error());
  return Execute(connection->get(), "VACUUM ANALYZE");
}

Result<double> Database::ReadTables(const std::vector<std::string>& tables) const {
  const Stopwatch watch;
  if (!is_postgres()) {
    if (Status done = ReadSqliteTables(url_, tables); !done) return Fail(done.error());
    return watch.seconds();
  }
  const Result<PgConnection> connection = ConnectTo(url_);
  if (!connection) return Fail(connection.error());
  for (const std::string& table : tables) {
    if (Status done = CopyOut(connection->get(), table); !done) return Fail(done.error());
  }
  return watch.seconds();
}

}  // namespace director::bench
