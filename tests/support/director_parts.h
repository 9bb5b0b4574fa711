#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "director/secrets.h"
#include "mdm/plist.h"
#include "signing/device_identity.h"
#include "store/sqlite_store.h"
#include "store/store.h"
#include "tests/support/catch.h"
#include "tests/support/temp_folder.h"

/// What the tests of the service share: a folder, profiles, a store that can fail.
namespace director::director_test {

using test::TempFolder;

inline Timestamp At(std::int64_t seconds) { return FromUnixMs(1'800'000'000'000 + seconds * 1000); }

/// A small valid profile; `organization` makes another revision of it.
inline PlistDict MakeProfileDict(const std::string& identifier,
                                 const std::string& organization = "Example") {
  PlistDict payload;
  payload.Set("PayloadType", "com.apple.screensaver");
  payload.Set("PayloadVersion", PlistInteger::FromSigned(1));
  payload.Set("PayloadIdentifier", identifier + ".payload");
  payload.Set("PayloadUUID", "22222222-0000-4000-8000-000000000002");
  PlistArray content;
  content.push_back(payload);
  PlistDict root;
  root.Set("PayloadType", "Configuration");
  root.Set("PayloadVersion", PlistInteger::FromSigned(1));
  root.Set("PayloadIdentifier", identifier);
  root.Set("PayloadUUID", "11111111-0000-4000-8000-000000000001");
  root.Set("PayloadDisplayName", "Profile " + identifier);
  root.Set("PayloadOrganization", organization);
  root.Set("PayloadContent", content);
  return root;
}

inline std::string MakeMobileconfig(const std::string& identifier,
                                    const std::string& organization = "Example") {
  return EncodePlistXml(MakeProfileDict(identifier, organization));
}

/// A PEM certificate with its key, as one file of a signing identity.
inline std::string MakePem(const std::string& name, Timestamp now, int days = 30) {
  const Result<PemIdentity> identity = MakeAuthority(name, now, days);
  REQUIRE(identity);
  return identity->certificate_pem + identity->key_pem;
}

/// A key that seals PINs: 32 times the letter k.
inline SecretSource TestDataKey() {
  return SecretSource::FromValue(Secret("a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="));
}

/// A real store that runs everything a second time, as one does in which another director was in
/// the way: what happened the first time is rolled back.
class RepeatingStore final : public Store {
 public:
  explicit RepeatingStore(std::unique_ptr<Store> inner) : inner_(std::move(inner)) {}

  Status Write(const std::function<Status(StoreWriter&)>& body) override {
    const Status lost = inner_->Write([&](StoreWriter& writer) -> Status {
      if (Status done = body(writer); !done) return done;
      return Fail(ErrorKind::kConflict, "another transaction was in the way");
    });
    if (lost.error().kind != ErrorKind::kConflict) return lost;
    return inner_->Write(body);
  }
  Status Read(const std::function<Status(StoreReader&)>& body) override {
    if (Status lost = inner_->Read(body); !lost) return lost;
    return inner_->Read(body);
  }
  Status ReadOnce(const std::function<Status(StoreReader&)>& body) override {
    if (Status lost = inner_->ReadOnce(body); !lost) return lost;
    return inner_->ReadOnce(body);
  }

 private:
  std::unique_ptr<Store> inner_;
};

inline std::unique_ptr<Store> OpenStore(const std::string& path = ":memory:") {
  auto opened = OpenSqliteStore(path);
  REQUIRE(opened);
  return std::make_unique<RepeatingStore>(std::move(*opened));
}

/// A real store that can be told to be out of reach, and counts what is done.
class FaultyStore final : public Store {
 public:
  explicit FaultyStore(std::unique_ptr<Store> inner) : inner_(std::move(inner)) {}

  Status Write(const std::function<Status(StoreWriter&)>& body) override {
    if (is_down_) return Fail(ErrorKind::kUnavailable, "the database is out of reach");
    ++writes_;
    return inner_->Write(body);
  }
  Status Read(const std::function<Status(StoreReader&)>& body) override {
    if (is_down_) return Fail(ErrorKind::kUnavailable, "the database is out of reach");
    ++reads_;
    return inner_->Read(body);
  }
  Status ReadOnce(const std::function<Status(StoreReader&)>& body) override {
    if (is_down_) return Fail(ErrorKind::kUnavailable, "the database is out of reach");
    ++single_reads_;
    return inner_->ReadOnce(body);
  }

  void SetDown() { is_down_ = true; }
  void SetUp() { is_down_ = false; }
  int reads() const { return reads_; }
  int single_reads() const { return single_reads_; }
  int writes() const { return writes_; }

 private:
  std::unique_ptr<Store> inner_;
  std::atomic<bool> is_down_{false};
  std::atomic<int> reads_{0};
  std::atomic<int> single_reads_{0};
  std::atomic<int> writes_{0};
};

/// Reads one value; the test fails when it cannot be read.
template <typename Body>
auto ReadFrom(Store& store, const Body& body) {
  using Value = typename std::invoke_result_t<Body, StoreReader&>::value_type;
  Value value{};
  const Status done = store.Read([&](StoreReader& reader) -> Status {
    auto result = body(reader);
    if (!result) return Fail(result.error());
    value = std::move(*result);
    return {};
  });
  INFO((done ? std::string() : ErrorForLog(done.error())));
  REQUIRE(done);
  return value;
}

inline void WriteTo(Store& store, const std::function<Status(StoreWriter&)>& body) {
  const Status done = store.Write(body);
  INFO((done ? std::string() : ErrorForLog(done.error())));
  REQUIRE(done);
}

inline Snapshot SnapshotOf(Store& store, const EnrollmentId& id) {
  return ReadFrom(store, [&](StoreReader& reader) { return reader.LoadSnapshot(id); });
}

inline std::vector<EnrollmentRow> ListAll(Store& store) {
  return ReadFrom(store, [](StoreReader& reader) {
    return reader.ListEnrollments({}, {"", 1000});
  });
}

inline std::vector<DeadLetter> DeadLettersOf(Store& store) {
  return ReadFrom(store, [](StoreReader& reader) { return reader.ListDeadLetters({"", 1000}); });
}

}  // namespace director::director_test
