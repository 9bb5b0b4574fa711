#include "store/sqlite_db.h"
#include "tests/support/sqlite_file.h"

namespace director::store_sqlite_damage_test {

using namespace store_test;

TEST_CASE("a word that is not known is corrupt and names its row") {
  const TempFolder folder;
  const std::string path = folder.Path("director.db");
  const auto store = Open(path);
  REQUIRE(SaveDevice(*store, "GOOD"));
  REQUIRE(SaveDevice(*store, "BAD"));
  RawDb raw(path);
  raw.Execute("PRAGMA ignore_check_constraints = ON");
  std::string column = "status";
  SECTION("status") {}
  SECTION("channel type") { column = "channel_type"; }
  raw.Execute("UPDATE enrollments SET " + column + " = 'fro''zen' WHERE enrollment_id = 'BAD'");
  const Status done = store->Read([](StoreReader& reader) -> Status {
    CHECK(reader.LoadEnrollments({EnrollmentId("GOOD")}));
    const auto bad = reader.LoadSnapshot(EnrollmentId("BAD"));
    if (!bad) return Fail(bad.error());
    return {};
  });
  REQUIRE_FALSE(done);
  CHECK(done.error().kind == ErrorKind::kCorrupt);
  CHECK(done.error().message ==
        "enrollments row BAD cannot be read: " + column + " is \"fro'zen\"");
}

TEST_CASE("a report that cannot be read back is corrupt") {
  const TempFolder folder;
  const std::string path = folder.Path("director.db");
  const auto store = Open(path);
  REQUIRE(SaveDevice(*store, "A"));
  REQUIRE(store->Write([](StoreWriter& writer) {
    return writer.SaveReports({{EnrollmentId("A"), ProfileListReport{}}}, At(1));
  }));
  RawDb(path).Execute("UPDATE report_bodies SET body = '[{]'");
  const Status done = store->Read([](StoreReader& reader) -> Status {
    const auto snapshot = reader.LoadSnapshot(EnrollmentId("A"));
    if (!snapshot) return Fail(snapshot.error());
    return {};
  });
  REQUIRE_FALSE(done);
  CHECK(done.error().kind == ErrorKind::kCorrupt);
  CHECK(done.error().message.find("reports row A") != std::string::npos);
}

TEST_CASE("a proposal that cannot be read back is corrupt and names its row") {
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
  raw.Execute("PRAGMA ignore_check_constraints = ON");
  raw.Execute("UPDATE proposals SET kind = 'Explode'");
  const Status done = store->Read([](StoreReader& reader) -> Status {
    const auto listed = reader.ListProposals({}, {});
    CHECK_FALSE(listed);
    const auto counts = reader.CountFleet(At(0));
    CHECK_FALSE(counts);
    const auto snapshot = reader.LoadSnapshot(EnrollmentId("A"));
    if (!snapshot) return Fail(snapshot.error());
    return {};
  });
  REQUIRE_FALSE(done);
  CHECK(done.error().kind == ErrorKind::kCorrupt);
  CHECK(done.error().message == "proposals row 1 cannot be read: kind is \"Explode\"");
}

TEST_CASE("a damaged page makes the file unusable, and the log is told which file") {
  const TempFolder folder;
  const std::string path = folder.Path("director.db");
  {
    const auto store = Open(path);
    REQUIRE(store->Write([](StoreWriter& writer) {
      std::vector<Enrollment> devices;
      for (int i = 0; i < 2000; ++i) devices.push_back(MakeDevice("D" + std::to_string(i)));
      return writer.SaveEnrollments(devices);
    }));
  }
  const auto size = std::filesystem::file_size(path);
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    constexpr std::uintmax_t kPage = 4096;
    for (std::uintmax_t at = size / 4 / kPage * kPage; at + kPage < size; at += kPage) {
      file.seekp(static_cast<std::streamoff>(at));
      file << std::string(kPage, '\xa5');
    }
  }
  const auto store = Open(path);
  std::int64_t count = 0;
  const Status done = store->Read([&](StoreReader& reader) -> Status {
    for (int i = 0; i < 2000; ++i) {
      const auto loaded = reader.LoadEnrollments({EnrollmentId("D" + std::to_string(i))});
      if (!loaded) return Fail(loaded.error());
      ++count;
    }
    return {};
  });
  REQUIRE_FALSE(done);
  // Not kCorrupt: whoever sets single rows aside must not go on with the next one.
  CHECK(done.error().kind == ErrorKind::kUnavailable);
  CHECK(done.error().message.find("damaged") != std::string::npos);
  CHECK(done.error().message.find('\n') == std::string::npos);
  CHECK(done.error().detail.find(path) != std::string::npos);
}

TEST_CASE("a file that is cut off is refused by name") {
  const TempFolder folder;
  const std::string path = folder.Path("director.db");
  Open(path);
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
  const std::string content = ReadFile(path);
  const auto store = OpenSqliteStore(path);
  REQUIRE_FALSE(store);
  CHECK(store.error().kind == ErrorKind::kUnavailable);
  CHECK(store.error().message.starts_with(path + ": "));
  CHECK(store.error().message.find("damaged") != std::string::npos);
  CHECK(ReadFile(path) == content);
}

TEST_CASE("a write-ahead log with a foreign header is refused and left alone") {
  const TempFolder folder;
  const std::string path = folder.Path("director.db");
  Open(path);
  const std::string garbage(8000, '\xa5');
  std::ofstream(path + "-wal", std::ios::binary) << garbage;
  const std::string content = ReadFile(path);
  CheckRefused(path);
  CHECK(OpenSqliteStore(path).error().message.starts_with(path + ": "));
  CHECK(ReadFile(path + "-wal") == garbage);
  CHECK(ReadFile(path) == content);
}

TEST_CASE("what a power cut leaves of a log in which nothing was committed is no damage") {
  const TempFolder folder;
  const std::string path = folder.Path("director.db");
  REQUIRE(SaveDevice(*Open(path), "A"));
  std::string left;
  SECTION("nothing") {}
  SECTION("half a header") { left = "\x37\x7f\x06\x82 and then"; }
  SECTION("zeros") { left = std::string(4200, '\0'); }
  std::ofstream(path + "-wal", std::ios::binary) << left;
  std::int64_t count = 0;
  REQUIRE(CountAll(*Open(path), count));
  CHECK(count == 1);
}

TEST_CASE("the check for room changes nothing and fails on a full disk") {
  const TempFolder folder;
  const std::string path = folder.Path("director.db");
  const auto store = Open(path);
  REQUIRE(SaveDevice(*store, "A"));
  const auto check = [&] {
    return store->Write([](StoreWriter& writer) { return writer.CheckWritable(); });
  };
  const auto wal_size = [&] { return std::filesystem::file_size(path + "-wal"); };
  const auto before = wal_size();
  REQUIRE(check());
  CHECK(wal_size() > before);
  {
    const FileSizeLimit limit(wal_size());
    const Status done = check();
    REQUIRE_FALSE(done);
    CHECK(done.error().kind == ErrorKind::kUnavailable);
    INFO(ErrorForLog(done.error()));
    CHECK(done.error().message.find("File too large") != std::string::npos);
    CHECK(done.error().detail.find(path) != std::string::npos);
  }
  CHECK(check());
  std::int64_t count = 0;
  REQUIRE(CountAll(*store, count));
  CHECK(count == 1);
}

TEST_CASE("a full disk fails the write as a whole, and the next one works") {
  const TempFolder folder;
  const auto store = Open(folder.Path("director.db"));
  REQUIRE(SaveDevice(*store, "BEFORE"));
  Status done;
  {
    const FileSizeLimit limit(400 * 1024);
    done = store->Write([](StoreWriter& writer) -> Status {
      if (Status saved = writer.SaveEnrollments({MakeDevice("LOST")}); !saved) return saved;
      DeadLetter letter;
      letter.body = std::string(kDeadLetterBodyMaxBytes, 'x');
      return writer.AddDeadLetters(std::vector<DeadLetter>(400, letter));
    });
  }
  REQUIRE_FALSE(done);
  CHECK(done.error().kind == ErrorKind::kUnavailable);
  CHECK(done.error().message.find('\n') == std::string::npos);
  REQUIRE(SaveDevice(*store, "AFTER"));
  RawDb raw(folder.Path("director.db"));
  CHECK(raw.Column("SELECT enrollment_id FROM enrollments ORDER BY 1") ==
        std::vector<std::string>{"AFTER", "BEFORE"});
  CHECK(raw.Value("SELECT COUNT(*) FROM dead_letters") == "0");
  CHECK(raw.Value("PRAGMA integrity_check") == "ok");
}

}  // namespace director::store_sqlite_damage_test
