// Opening, losing and finding the database again.
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "store/migrations.h"
#include "tests/support/postgres_stores.h"

namespace director::store_postgres_connection_test {
namespace {

using store_test::CountKnown;
using store_test::CutConnections;
using store_test::MakeDevice;
using store_test::Meeting;
using store_test::Open;
using store_test::PostgresDatabase;
using store_test::Save;

}  // namespace

TEST_CASE("both dialects have the same numbers for the same steps") {
  const auto& sqlite = SqliteMigrations();
  const auto& postgres = PostgresMigrations();
  REQUIRE(sqlite.size() == postgres.size());
  for (std::size_t i = 0; i < sqlite.size(); ++i) {
    CHECK(sqlite[i].number == postgres[i].number);
    CHECK(sqlite[i].name == postgres[i].name);
  }
}

TEST_CASE("directors that start together bring the schema up to date once") {
  const PostgresDatabase database;
  Meeting start(6);
  std::atomic<int> opened{0};
  std::vector<std::thread> directors;
  for (int i = 0; i < 6; ++i) {
    directors.emplace_back([&] {
      start.Arrive();
      if (OpenPostgresStore(database.settings())) ++opened;
    });
  }
  for (std::thread& director : directors) director.join();
  CHECK(opened == 6);
  CHECK(database.Execute("SELECT count(*) FROM schema_migrations") ==
        std::to_string(PostgresMigrations().size()));
}

TEST_CASE("a schema from the future is refused, one of the same version is left alone") {
  const PostgresDatabase database;
  Open(database);
  Open(database);
  database.Execute("INSERT INTO schema_migrations VALUES (9999, 'future', 1)");
  const auto refused = OpenPostgresStore(database.settings());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::kInvalid);
  CHECK(refused.error().message.find("9999") != std::string::npos);
}

TEST_CASE("a server that is not there is named in one line, and no password with it") {
  PostgresSettings settings;
  settings.url = "postgresql://nobody@127.0.0.1:1/none";
  settings.password = []() -> Result<Secret> { return Secret("SECRET-word"); };
  const auto opened = OpenPostgresStore(settings);
  REQUIRE_FALSE(opened);
  CHECK(opened.error().kind == ErrorKind::kUnavailable);
  CHECK(opened.error().message.find('\n') == std::string::npos);
  CHECK(ErrorForLog(opened.error()).find("SECRET-word") == std::string::npos);
}

TEST_CASE("of several servers each one says why it cannot be used") {
  PostgresSettings settings;
  settings.url = "postgresql://nobody@127.0.0.1:1,127.0.0.1:2/none";
  const auto opened = OpenPostgresStore(settings);
  REQUIRE_FALSE(opened);
  const std::string& message = opened.error().message;
  CHECK(message.find("port 1 failed") != std::string::npos);
  CHECK(message.find("port 2 failed") != std::string::npos);
  CHECK(message.find('\n') == std::string::npos);
}

TEST_CASE("the password is asked for each connection") {
  const PostgresDatabase database;
  int asked = 0;
  PostgresSettings settings = database.settings();
  settings.password = [&]() -> Result<Secret> {
    ++asked;
    return Secret("word'with\\quotes" + std::to_string(asked));
  };
  auto store = OpenPostgresStore(settings);
  REQUIRE(store);
  REQUIRE(Save(**store, "A"));
  const int before = asked;
  CutConnections(database);
  REQUIRE(Save(**store, "B"));
  CHECK(asked > before);
  settings.password = []() -> Result<Secret> {
    return Fail(ErrorKind::kInvalid, "the file is empty");
  };
  CHECK(OpenPostgresStore(settings).error().message == "the file is empty");
}

TEST_CASE("a database that was away is used again without a restart") {
  const PostgresDatabase database;
  const auto store = Open(database);
  // As many connections as may be, all lost.
  Meeting all(8);
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      static_cast<void>(store->Read([&](StoreReader&) -> Status {
        all.Arrive();
        return {};
      }));
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(Save(*store, "A"));
  CutConnections(database);
  REQUIRE(Save(*store, "B"));
  CHECK(CountKnown(*store, {EnrollmentId("A"), EnrollmentId("B")}) == 2);
}

TEST_CASE("a transaction whose connection is lost begins anew, one that was told of is there") {
  const PostgresDatabase database;
  const auto store = Open(database);
  int runs = 0;
  const Status done = store->Write([&](StoreWriter& writer) -> Status {
    if (Status saved = writer.SaveEnrollments({MakeDevice("A" + std::to_string(runs))}); !saved)
      return saved;
    if (++runs == 1) CutConnections(database);
    return writer.SaveEnrollments({MakeDevice("B")});
  });
  REQUIRE(done);
  CHECK(runs == 2);
  CHECK(CountKnown(*store, {EnrollmentId("A0"), EnrollmentId("A1"), EnrollmentId("B")}) == 2);
}

TEST_CASE("a transaction that is not answered in time is given up, the next one succeeds") {
  const PostgresDatabase database;
  PostgresSettings settings = database.settings();
  settings.transaction_max = std::chrono::milliseconds(500);
  const auto store = OpenPostgresStore(settings);
  REQUIRE(store);
  REQUIRE(Save(**store, "A"));
  const auto began_at = std::chrono::steady_clock::now();
  std::chrono::steady_clock::duration took{};
  database.Execute("SELECT 1 FROM schedule FOR UPDATE", [&] {
    const Status done = Save(**store, "A");
    took = std::chrono::steady_clock::now() - began_at;
    REQUIRE_FALSE(done);
    CHECK(done.error().kind == ErrorKind::kUnavailable);
  });
  // Eight attempts, and not the ten seconds that the server would wait for the lock.
  CHECK(took < std::chrono::seconds(9));
  CHECK(Save(**store, "A"));
}

TEST_CASE("no more connections are opened than may be; who needs one waits") {
  const PostgresDatabase database;
  PostgresSettings settings = database.settings();
  settings.connections_max = 1;
  const auto store = OpenPostgresStore(settings);
  REQUIRE(store);
  std::atomic<int> at_once{0};
  std::atomic<int> most{0};
  std::vector<std::thread> threads;
  std::atomic<int> succeeded{0};
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&, i] {
      const Status done = (*store)->Write([&](StoreWriter& writer) {
        most = std::max(most.load(), ++at_once);
        Status saved = writer.SaveEnrollments({MakeDevice("D" + std::to_string(i))});
        --at_once;
        return saved;
      });
      if (done) ++succeeded;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(succeeded == 6);
  CHECK(most == 1);
}

}  // namespace director::store_postgres_connection_test
