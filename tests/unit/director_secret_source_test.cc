#include <filesystem>
#include <string>

#include "director/secret_source.h"
#include "tests/support/catch.h"
#include "tests/support/director_parts.h"

namespace director::director_secret_source_test {
namespace {

using director_test::TempFolder;

std::string Value(const SecretSource& source) {
  const Result<Secret> secret = source.Get();
  INFO((secret ? std::string() : secret.error().message));
  REQUIRE(secret);
  return secret->Reveal();
}

TEST_CASE("a source that nobody set is empty") {
  const SecretSource source;
  CHECK_FALSE(source.is_set());
  CHECK(Value(source).empty());
  CHECK(source.file().empty());
}

TEST_CASE("a value stays as it is") {
  const SecretSource source = SecretSource::FromValue(Secret(" spaced\n"));
  CHECK(source.is_set());
  CHECK(Value(source) == " spaced\n");
}

TEST_CASE("one trailing line end of a file is not part of the secret") {
  TempFolder folder;
  CHECK(Value(SecretSource::FromFile(folder.Write("a", "key\n"))) == "key");
  CHECK(Value(SecretSource::FromFile(folder.Write("b", "key\r\n"))) == "key");
  CHECK(Value(SecretSource::FromFile(folder.Write("c", "key\n\n"))) == "key\n");
  CHECK(Value(SecretSource::FromFile(folder.Write("d", "key"))) == "key");
}

TEST_CASE("a rotated file is read again, also by copies") {
  TempFolder folder;
  const SecretSource source = SecretSource::FromFile(folder.Write("key", "one\n"));
  const SecretSource copy = source;
  CHECK(Value(source) == "one");
  folder.Write("key", "two\n");
  CHECK(Value(copy) == "two");
  CHECK(Value(source) == "two");
}

TEST_CASE("the last good value stays while the file is gone, empty or too large") {
  TempFolder folder;
  const SecretSource source = SecretSource::FromFile(folder.Write("key", "one\n"));
  CHECK(Value(source) == "one");
  std::filesystem::remove(folder.Path("key"));
  CHECK(Value(source) == "one");
  folder.Write("key", "");
  CHECK(Value(source) == "one");
  folder.Write("key", "\n");
  CHECK(Value(source) == "one");
  folder.Write("key", std::string(100'000, 'x'));
  CHECK(Value(source) == "one");
  folder.Write("key", "three");
  CHECK(Value(source) == "three");
}

TEST_CASE("the age of a secret is that of the file whose value is in force") {
  TempFolder folder;
  const SecretSource source = SecretSource::FromFile(folder.Write("key", "one"));
  CHECK_FALSE(source.changed_at());
  const auto set_age = [&](std::chrono::minutes age) {
    const auto at = std::chrono::file_clock::now() - age;
    std::filesystem::last_write_time(folder.Path("key"), at);
  };
  const auto age = [&] {
    CHECK_FALSE(Value(source).empty());
    const std::optional<Timestamp> at = source.changed_at();
    REQUIRE(at);
    return std::chrono::round<std::chrono::minutes>(std::chrono::system_clock::now() - *at);
  };
  set_age(std::chrono::minutes(90));
  CHECK(age() == std::chrono::minutes(90));
  folder.Write("key", "");  // not taken
  CHECK(age() == std::chrono::minutes(90));
  folder.Write("key", "two");
  set_age(std::chrono::minutes(30));
  CHECK(age() == std::chrono::minutes(30));
  CHECK_FALSE(SecretSource::FromValue(Secret("value")).changed_at());
}

TEST_CASE("a file that could never be read is an error that names it") {
  TempFolder folder;
  for (const std::string& path :
       {folder.Path("none"), folder.Write("empty", ""), folder.Write("newline", "\n")}) {
    const Result<Secret> secret = SecretSource::FromFile(path).Get();
    REQUIRE_FALSE(secret);
    CHECK(secret.error().kind == ErrorKind::kInvalid);
    CHECK(secret.error().message.find(path) != std::string::npos);
  }
}

}  // namespace
}  // namespace director::director_secret_source_test
