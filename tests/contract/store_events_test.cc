#include <stdexcept>

#include "tests/contract/store_fixture.h"

namespace director::store_events_test {
namespace {

using namespace store_test;

void CheckSame(const Intent& a, const Intent& b) {
  CHECK(a.command_uuid == b.command_uuid);
  CHECK(a.request_type == b.request_type);
  CHECK(a.payload_identifier == b.payload_identifier);
  CHECK(a.payload_uuid == b.payload_uuid);
  CHECK(a.epoch == b.epoch);
  CHECK(a.state == b.state);
  CHECK(a.journaled_at == b.journaled_at);
  CHECK(a.answered_at == b.answered_at);
  CHECK(a.not_now_count == b.not_now_count);
  CHECK(a.not_now_at == b.not_now_at);
  CHECK(a.error_class == b.error_class);
  CHECK(a.error == b.error);
}

ProfileListReport MakeReport(Timestamp reported_at, const std::string& identifier) {
  ProfileListReport report;
  report.epoch = 1;
  report.reported_at = reported_at;
  if (!identifier.empty()) {
    report.profiles.push_back(
        {PayloadIdentifier(identifier), "uuid-1", "Näme \"quoted\"", true, true});
    report.profiles.push_back({PayloadIdentifier("com.example.other"), "", "", false, false});
  }
  return report;
}

}  // namespace

TEST_CASE("an intent comes back as it was saved, and saving replaces it") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  Intent intent = MakeIntent("CMD-1");
  store.Save("A", intent);
  CheckSame(store.LoadIntent("A", "CMD-1"), intent);

  intent.state = IntentState::kFailed;
  intent.answered_at = At(9);
  intent.not_now_count = 4;
  intent.not_now_at = At(8);
  intent.error_class = ErrorClass::kPermanent;
  intent.error = "The profile is not valid.";
  intent.epoch = 2;
  store.Save("A", intent);
  CheckSame(store.LoadIntent("A", "CMD-1"), intent);
  const Snapshot snapshot = store.LoadSnapshot("A");
  REQUIRE(snapshot.intents.size() == 1);
  CheckSame(snapshot.intents[0], intent);
}

TEST_CASE("only known intents are loaded, each for its own enrollment") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  store.Save(MakeDevice("B"));
  store.Save("A", MakeIntent("CMD-1"));
  const auto loaded =
      store.Get<std::vector<std::pair<EnrollmentId, Intent>>>([](StoreReader& reader) {
        return reader.LoadIntents({{EnrollmentId("B"), CommandUuid("CMD-1")},
                                   {EnrollmentId("A"), CommandUuid("CMD-2")},
                                   {EnrollmentId("A"), CommandUuid("CMD-1")}});
      });
  REQUIRE(loaded.size() == 1);
  CHECK(loaded[0].first.value() == "A");
}

TEST_CASE("the journal is listed in pages, whole or those that are open or failed") {
  TestStore store(FOR_EVERY_STORE());
  Enrollment nameless = MakeDevice("B");
  nameless.channel.udid.clear();
  store.Save(MakeDevice("A"));
  store.Save(nameless);
  const auto add = [&](const std::string& id, const std::string& uuid, IntentState state) {
    Intent intent = MakeIntent(uuid);
    intent.state = state;
    if (state == IntentState::kFailed || state == IntentState::kNotSent) intent.error = "No.";
    store.Save(id, intent);
    return intent;
  };
  add("B", "1", IntentState::kSent);
  add("A", "3", IntentState::kNotNow);
  add("A", "1", IntentState::kAcknowledged);
  const Intent failed = add("A", "2", IntentState::kFailed);
  add("B", "2", IntentState::kNotSent);
  PlanCommit commit = MakeCommit(EnrollmentId("A"), At(100));
  commit.plan.closed = {{CommandUuid("2"), IntentState::kFailed, "why"}};
  store.CommitPlan(commit, At(50));
  const auto page = [&](IntentFilter filter, const IntentKey& after, std::size_t limit) {
    return store.Get<std::vector<IntentRow>>(
        [&](StoreReader& reader) { return reader.ListIntents(filter, after, limit); });
  };
  const auto keys = [&](IntentFilter filter) {
    std::string all;
    IntentKey after;
    while (true) {
      const auto rows = page(filter, after, 2);
      for (const IntentRow& row : rows) {
        after = {row.enrollment_id, row.intent.command_uuid};
        all += row.enrollment_id.value() + row.intent.command_uuid.value() + " ";
      }
      if (rows.size() < 2) return all;
    }
  };
  CHECK(keys(IntentFilter::kAll) == "A1 A2 A3 B1 B2 ");
  CHECK(keys(IntentFilter::kOpen) == "A3 B1 ");
  CHECK(keys(IntentFilter::kFailed) == "A2 ");
  CHECK(page(IntentFilter::kFailed, {}, 10) ==
        std::vector<IntentRow>{{EnrollmentId("A"), "A", failed, At(50), "why"}});
  CHECK(page(IntentFilter::kOpen, {EnrollmentId("A"), CommandUuid("3")}, 10).at(0).udid.empty());
  CHECK(page(IntentFilter::kAll, {EnrollmentId("B"), CommandUuid("2")}, 10).empty());
}

TEST_CASE("imported answers are kept beside the device's own, and go with it") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  store.Save(MakeDevice("B"));
  const auto imported = [&] {
    return store.Get<ImportedAnswers>([](StoreReader& reader) {
      return reader.LoadImported({EnrollmentId("A"), EnrollmentId("B"), EnrollmentId("C")});
    });
  };
  CHECK(imported().empty());
  ImportedAnswers answers;
  for (const char* type : {"ProfileList", "DeviceInformation", "SecurityInfo", "CertificateList"}) {
    answers[{EnrollmentId("A"), type}] = {3, At(10), "{\"a\":1}"};
  }
  answers[{EnrollmentId("B"), "SecurityInfo"}] = {0, At(20), "{}"};
  const auto save = [&] {
    store.Write([&](StoreWriter& writer) { return writer.SaveImported(answers); });
  };
  save();
  CHECK(imported() == answers);
  answers[{EnrollmentId("A"), "ProfileList"}] = {4, At(5), "[]"};
  save();
  CHECK(imported() == answers);
  // They are nobody's answer to Director.
  CHECK_FALSE(store.LoadSnapshot("A").profile_list);
  const auto own = store.Get<Inventory>([](StoreReader& reader) {
    return reader.LoadInventory({EnrollmentId("A")}, {InventoryKind::kSecurityInfo});
  });
  CHECK(own.empty());
}

TEST_CASE("how far a dispatch is: decided on, journaled, sent or not") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  store.Save(MakeDevice("B"));
  const auto dispatching = [&](Timestamp since) {
    return store.Get<std::map<EnrollmentId, Dispatching>>([&](StoreReader& reader) {
      return reader.LoadDispatching({EnrollmentId("A"), EnrollmentId("B"), EnrollmentId("C")},
                                    since);
    });
  };
  const auto of = [&](const char* id, Timestamp since) {
    return dispatching(since).at(EnrollmentId(id));
  };
  CHECK(dispatching(At(0)).size() == 2);
  CHECK(of("A", At(10)) == Dispatching{});
  PlanCommit commit = MakeCommit(EnrollmentId("A"), At(100));
  store.CommitPlan(commit, At(20));
  CHECK(of("A", At(10)) == Dispatching{.is_decided = true});
  store.MarkDue("A", At(30));
  CHECK(of("A", At(10)).is_decided);
  CHECK_FALSE(of("A", At(30)).is_decided);

  int command = 0;
  for (const auto& [state, seconds] :
       std::vector<std::pair<IntentState, std::int64_t>>{{IntentState::kRefused, 9},
                                                         {IntentState::kSent, 10},
                                                         {IntentState::kAcknowledged, 11},
                                                         {IntentState::kFailed, 11},
                                                         {IntentState::kUnknown, 12},
                                                         {IntentState::kNotSent, 12},
                                                         {IntentState::kRefused, 12}}) {
    Intent intent = MakeIntent("CMD-" + std::to_string(++command));
    intent.state = state;
    intent.journaled_at = At(seconds);
    store.Save("A", intent);
  }
  // Questions are about no item; that the server refuses one is no change that failed.
  for (const IntentState state :
       {IntentState::kSent, IntentState::kNotSent, IntentState::kRefused}) {
    Intent question = MakeIntent("CMD-" + std::to_string(++command));
    question.payload_identifier = PayloadIdentifier();
    question.state = state;
    question.journaled_at = At(12);
    store.Save("A", question);
  }
  CHECK(of("A", At(10)) == Dispatching{.is_decided = true, .taken = 4, .failed = 3});
  CHECK(of("A", At(13)) == Dispatching{.is_decided = true});
  const PlannedCommand question{"ProfileList", {}, {}, "ask"};
  AddCommand(commit, {"InstallProfile", PayloadIdentifier("a"), PayloadUuid("U"), ""}, "NEW-1");
  AddCommand(commit, question, "NEW-2");
  store.CommitPlan(commit, At(13));
  CHECK(of("A", At(13)) == Dispatching{.is_decided = true, .waiting = 2});
  CHECK(of("A", At(14)) == Dispatching{.is_decided = true});
  CHECK(store.EndLease(LeaseOf("NEW-1")));
  CHECK(of("A", At(13)) == Dispatching{.is_decided = true, .taken = 2});
  CHECK(of("B", At(10)) == Dispatching{});
}

TEST_CASE("losing the queue closes the open intents of those enrollments and no others") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  store.Save(MakeDevice("B"));
  Intent answered = MakeIntent("DONE");
  answered.state = IntentState::kAcknowledged;
  Intent waiting = MakeIntent("NOTNOW");
  waiting.state = IntentState::kNotNow;
  store.Save("A", answered);
  store.Save("A", waiting);
  store.Save("A", MakeIntent("OPEN"));
  store.Save("B", MakeIntent("OPEN"));
  store.Write(
      [](StoreWriter& writer) { return writer.LoseOpenIntents({EnrollmentId("A")}, At(5)); });

  CHECK(store.LoadIntent("A", "OPEN").state == IntentState::kLost);
  CHECK(store.LoadIntent("A", "NOTNOW").state == IntentState::kLost);
  CHECK(store.LoadIntent("A", "DONE").state == IntentState::kAcknowledged);
  CHECK(store.LoadIntent("B", "OPEN").state == IntentState::kSent);
  const Snapshot snapshot = store.LoadSnapshot("A");
  REQUIRE(snapshot.intents.size() == 1);
  CHECK(snapshot.intents[0].command_uuid.value() == "DONE");

  SECTION("an answer that comes later is kept and stays closed") {
    Intent late = MakeIntent("OPEN");
    late.state = IntentState::kAcknowledged;
    store.Save("A", late);
    CHECK(store.LoadIntent("A", "OPEN").state == IntentState::kAcknowledged);
    CHECK(store.LoadSnapshot("A").intents.size() == 1);
  }
}

TEST_CASE("a report comes back as it was saved") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  CHECK_FALSE(store.LoadSnapshot("A").profile_list);
  ProfileListReport report = MakeReport(At(10), "com.example.wifi");
  report.asked_at = At(9);
  store.Save("A", report);
  const auto kept = store.LoadSnapshot("A").profile_list;
  REQUIRE(kept);
  CHECK(kept->epoch == 1);
  CHECK(kept->reported_at == At(10));
  CHECK(kept->asked_at == At(9));
  CHECK(kept->profiles == report.profiles);
}

TEST_CASE("known to be empty differs from not known") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  store.Save("A", MakeReport(At(10), ""));
  const auto kept = store.LoadSnapshot("A").profile_list;
  REQUIRE(kept);
  CHECK(kept->profiles.empty());
}

TEST_CASE("a report gives way to a newer one only") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  store.Save("A", MakeReport(At(10), "com.example.first"));
  const auto kept_identifier = [&] {
    return store.LoadSnapshot("A").profile_list->profiles.at(0).payload_identifier.value();
  };

  SECTION("an older one changes nothing") {
    store.Save("A", MakeReport(At(9), "com.example.late"));
    CHECK(kept_identifier() == "com.example.first");
    CHECK(store.LoadSnapshot("A").profile_list->reported_at == At(10));
  }
  SECTION("one from before our clock was set back gives way") {
    const Timestamp now = At(10) - std::chrono::hours(6);
    ProfileListReport fresh = MakeReport(now, "com.example.fresh");
    fresh.asked_at = now;
    store.Save("A", fresh, now);
    CHECK(kept_identifier() == "com.example.fresh");
    CHECK(store.LoadSnapshot("A").profile_list->reported_at == now);
  }
  SECTION("a newer one replaces it") {
    store.Save("A", MakeReport(At(11), "com.example.second"));
    CHECK(kept_identifier() == "com.example.second");
  }
  SECTION("equal content moves the times") {
    ProfileListReport again = MakeReport(At(11), "com.example.first");
    again.asked_at = At(10);
    store.Save("A", again);
    CHECK(kept_identifier() == "com.example.first");
    CHECK(store.LoadSnapshot("A").profile_list->reported_at == At(11));
    CHECK(store.LoadSnapshot("A").profile_list->asked_at == At(10));
  }
  SECTION("a later epoch is newer, whatever the clocks say") {
    ProfileListReport renewed = MakeReport(At(5), "com.example.renewed");
    renewed.epoch = 2;
    store.Save("A", renewed);
    CHECK(kept_identifier() == "com.example.renewed");
    store.Save("A", MakeReport(At(99), "com.example.stale"));
    CHECK(kept_identifier() == "com.example.renewed");
  }
}

TEST_CASE("answers about devices come back as they were saved, each kind for itself") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  store.Save(MakeDevice("B"));
  const std::vector<InventoryKind> all(kInventoryKinds.begin(), kInventoryKinds.end());
  const auto load = [&](const std::vector<InventoryKind>& kinds) {
    return store.Get<Inventory>([&](StoreReader& reader) {
      return reader.LoadInventory({EnrollmentId("A"), EnrollmentId("B"), EnrollmentId("C")}, kinds);
    });
  };
  CHECK(load(all).empty());
  Inventory said;
  said[{EnrollmentId("A"), InventoryKind::kSecurityInfo}] = {1, At(1), R"({"FDE_Enabled":true})"};
  said[{EnrollmentId("A"), InventoryKind::kCertificateList}] = {1, At(2), "[]"};
  said[{EnrollmentId("B"), InventoryKind::kSecurityInfo}] = {3, At(3), "{}"};
  store.Write([&](StoreWriter& writer) { return writer.SaveInventory(said); });
  CHECK(load(all) == said);
  CHECK(load({InventoryKind::kCertificateList}).size() == 1);
  CHECK(load({}).empty());
  // The same content at another time, and another content.
  said[{EnrollmentId("A"), InventoryKind::kSecurityInfo}].reported_at = At(9);
  said[{EnrollmentId("B"), InventoryKind::kSecurityInfo}] = {4, At(9), R"({"a":"\u0000"})"};
  store.Write([&](StoreWriter& writer) { return writer.SaveInventory(said); });
  CHECK(load(all) == said);
  // Beside the device's ProfileList, which is kept in the same place.
  store.Save("A", MakeReport(At(10), "com.example.wifi"));
  CHECK(load(all) == said);
}

TEST_CASE("happenings are listed newest first, in pages, for all or for one") {
  TestStore store(FOR_EVERY_STORE());
  store.Write([](StoreWriter& writer) {
    std::vector<Happening> happenings;
    for (int i = 0; i < 5; ++i) {
      happenings.push_back(
          {0, At(i), EnrollmentId(i % 2 == 0 ? "A" : ""), "device", "number " + std::to_string(i)});
    }
    return writer.AddHappenings(happenings);
  });
  const auto list = [&](const std::string& id, const PageRequest& page) {
    return store.Get<std::vector<Happening>>(
        [&](StoreReader& reader) { return reader.ListHappenings(EnrollmentId(id), page); });
  };
  const auto first = list("", {"", 2});
  REQUIRE(first.size() == 2);
  CHECK(first[0].text == "number 4");
  CHECK(first[0].at == At(4));
  CHECK(first[0].enrollment_id.value() == "A");
  CHECK(first[0].kind == "device");
  CHECK(first[1].text == "number 3");
  const auto second = list("", {std::to_string(first[1].happening_id), 2});
  REQUIRE(second.size() == 2);
  CHECK(second[0].text == "number 2");
  const auto of_one = list("A", {"", 100});
  REQUIRE(of_one.size() == 3);
  CHECK(of_one[2].text == "number 0");
  CHECK(list("A", {std::to_string(of_one[0].happening_id), 100}).size() == 2);
}

TEST_CASE("a place in a list that is no number is refused") {
  TestStore store(FOR_EVERY_STORE());
  const Status done = store.store().Read([](StoreReader& reader) -> Status {
    const auto listed = reader.ListDeadLetters({"12x", 10});
    if (!listed) return Fail(listed.error());
    return {};
  });
  REQUIRE_FALSE(done);
  CHECK(done.error().kind == ErrorKind::kInvalid);
  CHECK(done.error().field == "after");
}

TEST_CASE("dead letters keep any bytes, cut to the bound") {
  TestStore store(FOR_EVERY_STORE());
  DeadLetter odd;
  odd.received_at = At(1);
  odd.upstream = UpstreamName("nanomdm");
  odd.reason = "not JSON";
  odd.body = std::string("\0\xff\n", 3);
  odd.size_bytes = 3;
  DeadLetter large = odd;
  large.body = std::string(kDeadLetterBodyMaxBytes + 1, 'x');
  large.size_bytes = static_cast<std::int64_t>(large.body.size());
  store.Write([&](StoreWriter& writer) { return writer.AddDeadLetters({odd, large}); });
  const auto letters = store.Get<std::vector<DeadLetter>>(
      [](StoreReader& reader) { return reader.ListDeadLetters({}); });
  REQUIRE(letters.size() == 2);
  CHECK(letters[0].body.size() == kDeadLetterBodyMaxBytes);
  CHECK(letters[0].size_bytes == static_cast<std::int64_t>(kDeadLetterBodyMaxBytes) + 1);
  CHECK(letters[1].body == odd.body);
  CHECK(letters[1].received_at == At(1));
  CHECK(letters[1].upstream == odd.upstream);
  CHECK(letters[1].reason == "not JSON");
  const auto older = store.Get<std::vector<DeadLetter>>([&](StoreReader& reader) {
    return reader.ListDeadLetters({std::to_string(letters[0].dead_letter_id), 10});
  });
  CHECK(older.size() == 1);
}

TEST_CASE("a write that ends in an error leaves no trace") {
  TestStore store(FOR_EVERY_STORE());
  const Status done = store.store().Write([](StoreWriter& writer) -> Status {
    if (Status saved = writer.SaveEnrollments({MakeDevice("A")}); !saved) return saved;
    const auto seen = writer.LoadEnrollments({EnrollmentId("A")});
    CHECK((seen && seen->size() == 1));
    return Fail(ErrorKind::kConflict, "changed my mind");
  });
  REQUIRE_FALSE(done);
  CHECK(done.error().kind == ErrorKind::kConflict);
  CHECK(done.error().message == "changed my mind");
  CHECK_FALSE(store.NextDueAt());
}

TEST_CASE("a write that throws leaves no trace and frees the store") {
  TestStore store(FOR_EVERY_STORE());
  const auto throwing = [](StoreWriter& writer) -> Status {
    if (Status saved = writer.SaveEnrollments({MakeDevice("A")}); !saved) return saved;
    throw std::logic_error("broken");
  };
  CHECK_THROWS_AS(store.store().Write(throwing), std::logic_error);
  CHECK_FALSE(store.NextDueAt());
}

TEST_CASE("a write that goes on after a refused value is not committed in part") {
  TestStore store(FOR_EVERY_STORE());
  const Status done = store.store().Write([](StoreWriter& writer) -> Status {
    CHECK_FALSE(writer.SaveEnrollments({MakeDevice("")}));
    // Whether the next call works is the database's matter; the end of it is not.
    if (Status saved = writer.SaveEnrollments({MakeDevice("A")}); !saved) return saved;
    return {};
  });
  CHECK_FALSE(done);
  CHECK_FALSE(store.NextDueAt());
}

TEST_CASE("intents, reports and answers of an unknown enrollment are refused") {
  TestStore store(FOR_EVERY_STORE());
  const Status intent = store.store().Write([](StoreWriter& writer) {
    return writer.SaveIntents({{EnrollmentId("nobody"), MakeIntent("CMD-1")}});
  });
  REQUIRE_FALSE(intent);
  CHECK(intent.error().kind == ErrorKind::kInvalid);
  const Status report = store.store().Write([](StoreWriter& writer) {
    return writer.SaveReports({{EnrollmentId("nobody"), MakeReport(At(1), "com.example.wifi")}},
                              At(1));
  });
  REQUIRE_FALSE(report);
  CHECK(report.error().kind == ErrorKind::kInvalid);
  const Status inventory = store.store().Write([](StoreWriter& writer) {
    return writer.SaveInventory(
        {{{EnrollmentId("nobody"), InventoryKind::kSecurityInfo}, {1, At(1), "{}"}}});
  });
  REQUIRE_FALSE(inventory);
  CHECK(inventory.error().kind == ErrorKind::kInvalid);
}

}  // namespace director::store_events_test
