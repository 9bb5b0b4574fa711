#include <sys/stat.h>
#include <sys/wait.h>

#include <atomic>
#include <set>
#include <thread>

#include "store/migrations.h"
#include "store/sqlite_db.h"
#include "store/sqlite_migrate.h"
#include "tests/support/sqlite_file.h"

namespace director::store_sqlite_test {

using namespace store_test;

TEST_CASE("the migrations are compiled in byte for byte and in order") {
  std::set<std::filesystem::path> files;
  for (const auto& entry :
       std::filesystem::directory_iterator(DIRECTOR_SOURCE_DIR "/migrations/sqlite")) {
    files.insert(entry.path());
  }
  REQUIRE(SqliteMigrations().size() == files.size());
  int number = 0;
  for (const std::filesystem::path& file : files) {
    const Migration& migration = SqliteMigrations()[static_cast<std::size_t>(number)];
    CHECK(migration.number == ++number);
    CHECK(migration.name == file.stem());
    CHECK(migration.sql == ReadFile(file));
  }
}

TEST_CASE("opening twice applies each migration once and keeps the data") {
  const TempFolder folder;
  const std::string path = folder.Path("director.db");
  REQUIRE(SaveDevice(*Open(path), "A"));
  const std::string applied_at = RawDb(path).Value("SELECT applied_at FROM schema_migrations");
  std::int64_t count = 0;
  REQUIRE(CountAll(*Open(path), count));
  CHECK(count == 1);
  CHECK(RawDb(path).Value("SELECT applied_at FROM schema_migrations") == applied_at);
  CHECK(RawDb(path).Value("SELECT COUNT(*) FROM schema_migrations") ==
        std::to_string(SqliteMigrations().size()));
}

TEST_CASE("the stored words are those of the schema: a file is durable, private and consistent") {
  const TempFolder folder;
  const std::string path = folder.Path("director.db");
  const auto store = Open(path);
  REQUIRE(SaveDevice(*store, "A"));
  RawDb raw(path);
  CHECK(raw.Value("PRAGMA journal_mode") == "wal");
  CHECK(raw.Value("PRAGMA integrity_check") == "ok");
  CHECK(raw.Column("PRAGMA foreign_key_check").empty());
  for (const char* suffix : {"", "-wal", "-shm"}) {
    struct stat info {};
    REQUIRE(stat((path + suffix).c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0600);
  }
}

TEST_CASE("stores that open one new file at the same time wait for each other") {
  [[maybe_unused]] const int round = GENERATE(range(0, 30));
  const TempFolder folder;
  const std::string path = folder.Path("director.db");
  std::vector<std::thread> threads;
  std::atomic<int> opened = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      const auto store = OpenSqliteStore(path);
      if (store && SaveDevice(**store, "D" + std::to_string(i))) ++opened;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(opened == 4);
  CHECK(RawDb(path).Value("SELECT COUNT(*) FROM enrollments") == "4");
}

TEST_CASE("a newer schema is refused and left alone") {
  const TempFolder folder;
  const std::string path = folder.Path("director.db");
  Open(path);
  RawDb(path).Execute("INSERT INTO schema_migrations VALUES (9999, '9999_future', 1)");
  CheckRefused(path);
  CHECK(OpenSqliteStore(path).error().message.find("9999") != std::string::npos);
}

TEST_CASE("a migration that fails leaves the schema as it was") {
  const TempFolder folder;
  const std::string path = folder.Path("director.db");
  Open(path);
  auto db = SqliteDb::Open(path, SqliteRole::kWriter);
  REQUIRE(db);
  std::vector<Migration> steps = SqliteMigrations();
  const int next = steps.back().number + 1;
  steps.push_back({next, "0002_good", "CREATE TABLE good (a);"});
  steps.push_back({next + 1, "0003_bad", "CREATE TABLE half (a); CREATE TABLE good (a);"});
  CHECK_FALSE(MigrateSqlite(**db, steps, At(0)));
  RawDb raw(path);
  CHECK(raw.Value("SELECT MAX(number) FROM schema_migrations") == std::to_string(next));
  CHECK(raw.Column("SELECT 1 FROM sqlite_master WHERE name = 'half'").empty());
}

TEST_CASE("a file that is no database, or another program's, is refused and left alone") {
  const TempFolder folder;
  const std::string text = folder.Path("text.db");
  const std::string content(5000, 'x');
  std::ofstream(text) << content;
  CheckRefused(text);
  CHECK(ReadFile(text) == content);

  const std::string foreign = folder.Path("foreign.db");
  RawDb(foreign).Execute("CREATE TABLE theirs (a)");
  CheckRefused(foreign);
  CHECK(RawDb(foreign).Value("SELECT COUNT(*) FROM sqlite_master") == "1");
}

TEST_CASE("a place where no database can be is refused") {
  const TempFolder folder;
  CheckRefused("");
  CheckRefused(folder.path().string());
  CheckRefused(folder.Path("missing/director.db"));
  std::ofstream(folder.Path("file")) << "x";
  CheckRefused(folder.Path("file/director.db"));
}

TEST_CASE("a folder or a file that cannot be written is refused") {
  const TempFolder folder;
  const std::string existing = folder.Path("director.db");
  Open(existing);
  REQUIRE(chmod(existing.c_str(), 0444) == 0);
  REQUIRE(chmod(folder.path().c_str(), 0555) == 0);
  {
    const WithoutRoot unprivileged;
    CheckRefused(folder.Path("new.db"));
    CheckRefused(existing);
  }
  REQUIRE(chmod(folder.path().c_str(), 0755) == 0);
}

TEST_CASE("a name that looks like a URI is a name") {
  const TempFolder folder;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  Open("file:director.db?mode=memory");
  std::filesystem::current_path(before);
  CHECK(std::filesystem::exists(folder.path() / "file:director.db?mode=memory"));
}

TEST_CASE("what was reported as committed survives kill -9 at any moment") {
  const TempFolder folder;
  const std::string path = folder.Path("director.db");
  Open(path);
  std::int64_t committed = -1;
  for (int round = 0; round < 5; ++round) {
    int pipe_ends[2];
    REQUIRE(pipe(pipe_ends) == 0);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      close(pipe_ends[0]);
      const auto store = OpenSqliteStore(path);
      for (std::int64_t i = committed + 1; store; ++i) {
        const Status done = (*store)->Write([&](StoreWriter& writer) -> Status {
          // Two rows that belong together: a reader must never see one alone.
          const std::string id = "D" + std::to_string(i);
          if (Status saved = writer.SaveEnrollments({MakeDevice(id)}); !saved) return saved;
          return writer.SaveIntents({{EnrollmentId(id), MakeIntent("CMD")}});
        });
        if (!done || write(pipe_ends[1], &i, sizeof(i)) != sizeof(i)) break;
      }
      _exit(1);
    }
    close(pipe_ends[1]);
    std::int64_t number = -1;
    const std::int64_t enough = committed + 20 + round * 7;
    while (number < enough && read(pipe_ends[0], &number, sizeof(number)) == sizeof(number)) {
    }
    kill(child, SIGKILL);
    int how = 0;
    REQUIRE(waitpid(child, &how, 0) == child);
    CHECK(WIFSIGNALED(how));
    while (read(pipe_ends[0], &number, sizeof(number)) == sizeof(number)) {
    }
    close(pipe_ends[0]);
    REQUIRE(number >= enough);

    const auto store = Open(path);
    RawDb raw(path);
    CHECK(raw.Value("PRAGMA integrity_check") == "ok");
    const std::int64_t rows = std::stoll(raw.Value("SELECT COUNT(*) FROM enrollments"));
    CHECK(rows >= number + 1);
    CHECK(rows <= number + 2);
    CHECK(std::stoll(raw.Value("SELECT COUNT(*) FROM intents")) == rows);
    committed = rows - 1;
  }
}

TEST_CASE("many writers and readers work on one file, and readers see whole transactions") {
  const TempFolder folder;
  const std::string path = folder.Path("director.db");
  const auto store = Open(path);
  constexpr int kWriters = 4;
  constexpr int kReaders = 6;
  constexpr int kWritesEach = 50;
  std::atomic<int> writers_left = kWriters;
  std::atomic<int> failures = 0;
  std::atomic<int> torn = 0;
  std::vector<std::thread> threads;
  for (int w = 0; w < kWriters; ++w) {
    threads.emplace_back([&, w] {
      for (int i = 0; i < kWritesEach; ++i) {
        const std::string id = std::to_string(w) + "-" + std::to_string(i);
        const Status done = store->Write([&](StoreWriter& writer) {
          return writer.SaveEnrollments({MakeDevice(id + "a"), MakeDevice(id + "b")});
        });
        if (!done) ++failures;
      }
      --writers_left;
    });
  }
  for (int r = 0; r < kReaders; ++r) {
    threads.emplace_back([&] {
      std::int64_t last = 0;
      while (writers_left > 0) {
        std::int64_t count = 0;
        if (!CountAll(*store, count)) ++failures;
        if (count % 2 != 0 || count < last) ++torn;
        last = count;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(failures == 0);
  CHECK(torn == 0);
  std::int64_t count = 0;
  REQUIRE(CountAll(*store, count));
  CHECK(count == kWriters * kWritesEach * 2);
}

TEST_CASE("claims of many workers never overlap") {
  const TempFolder folder;
  const auto store = Open(folder.Path("director.db"));
  REQUIRE(store->Write([](StoreWriter& writer) {
    std::vector<Enrollment> devices;
    for (int i = 0; i < 200; ++i) devices.push_back(MakeDevice("D" + std::to_string(i)));
    return writer.SaveEnrollments(devices);
  }));
  std::vector<std::vector<EnrollmentId>> taken(4);
  std::vector<std::thread> threads;
  for (std::vector<EnrollmentId>& mine : taken) {
    threads.emplace_back([&] {
      for (bool more = true; more;) {
        more = false;
        const Status done = store->Write([&](StoreWriter& writer) -> Status {
          const auto claims = writer.ClaimDue(At(1), 7);
          if (!claims) return Fail(claims.error());
          more = !claims->empty();
          mine.insert(mine.end(), claims->begin(), claims->end());
          std::vector<PlanCommit> commits;
          for (const EnrollmentId& id : *claims) commits.push_back(MakeCommit(id, At(900)));
          return writer.CommitPlans(commits, At(100), At(1));
        });
        if (!done) return;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<EnrollmentId> distinct;
  std::size_t total = 0;
  for (const auto& claims : taken) {
    total += claims.size();
    for (const EnrollmentId& id : claims) distinct.insert(id);
  }
  CHECK(total == 200);
  CHECK(distinct.size() == 200);
}

TEST_CASE("an unchanged plan writes the enrollment's row alone") {
  const TempFolder folder;
  const std::string path = folder.Path("director.db");
  const auto store = Open(path);
  REQUIRE(SaveDevice(*store, "A"));
  REQUIRE(store->Write([](StoreWriter& writer) -> Status {
    const auto added = writer.AddProposal(MakeProposal("A"), {});
    if (!added) return Fail(added.error());
    return {};
  }));
  RawDb raw(path);
  // What a statement writes is seen by triggers.
  raw.Execute("CREATE TABLE written (name TEXT)");
  for (const char* table : {"items", "intents", "reports", "report_bodies", "proposals"}) {
    for (const char* verb : {"INSERT", "UPDATE", "DELETE"}) {
      raw.Execute(std::string("CREATE TRIGGER ") + table + verb + " AFTER " + verb + " ON " +
                  table + " BEGIN INSERT INTO written VALUES ('" + verb + " " + table + "'); END");
    }
  }
  const auto commit_once = [&](Timestamp now) {
    REQUIRE(store->Write([&](StoreWriter& writer) -> Status {
      const auto claims = writer.ClaimDue(now, 1);
      if (!claims) return Fail(claims.error());
      PlanCommit commit = MakeCommit(claims->at(0), now);
      const auto snapshot = writer.LoadSnapshot(EnrollmentId("A"));
      if (!snapshot) return Fail(snapshot.error());
      commit.items_before = snapshot->items;
      REQUIRE(snapshot->proposal);
      commit.proposal_before = snapshot->proposal;
      commit.plan.proposal = snapshot->proposal;
      commit.plan.items = {MakeItem("a"), MakeItem("b")};
      return writer.CommitPlans({commit}, now, now);
    }));
  };
  const auto report_once = [&](Timestamp now) {
    ProfileListReport report;
    report.reported_at = now;
    report.profiles.push_back({PayloadIdentifier("a"), "U", "", false, false});
    REQUIRE(store->Write([&](StoreWriter& writer) {
      return writer.SaveReports({{EnrollmentId("A"), report}}, now);
    }));
  };
  commit_once(At(1));
  report_once(At(1));
  CHECK(raw.Column("SELECT DISTINCT name FROM written ORDER BY 1") ==
        std::vector<std::string>{"INSERT items", "INSERT report_bodies", "INSERT reports"});
  raw.Execute("DELETE FROM written");
  commit_once(At(2));
  CHECK(raw.Column("SELECT name FROM written").empty());
  report_once(At(2));
  CHECK(raw.Column("SELECT name FROM written") == std::vector<std::string>{"UPDATE reports"});
}

}  // namespace director::store_sqlite_test
