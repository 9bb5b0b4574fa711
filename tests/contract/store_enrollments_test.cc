#include "tests/contract/store_fixture.h"

namespace director::store_enrollments_test {
namespace {

using namespace store_test;

Enrollment MakeFullEnrollment() {
  Enrollment e = MakeUser("UDID-1", "USER-1");
  e.channel.type = ChannelType::kSharedIpad;
  e.status = EnrollmentStatus::kQuarantined;
  e.quarantine_reason = "another serial number; ünïcode 'quotes'";
  e.epoch = 7;
  e.ask_first = true;
  e.awaiting_configuration = false;
  e.awaiting_since = At(-40);
  e.serial_number = "C02XX";
  e.os_version = "17.1";
  e.build_version = "21B80";
  e.product_name = "iPad13,1";
  e.model_name = "iPad";
  e.device_name = "Ada's iPad";
  e.user_short_name = "ada";
  e.is_supervised = true;
  e.authenticated_at = At(-50);
  e.enrolled_at = At(-40);
  for (const InventoryKind kind : kInventoryKinds) {
    e.inventory_at[kind] = At(-30 - static_cast<int>(kind));
  }
  e.push_count = 3;
  e.pushed_at = At(-20);
  e.push_unregistered = true;
  e.wants_wake = true;
  e.report_wanted_at = FromUnixMs(1234567);
  e.missing_step = EnrollmentStep::kFirstAnswer;
  e.missing_since = At(-40);
  e.topic = "com.apple.mgmt.External.1";
  e.identity = MdmIdentity{"OU=CA,O=\"x\"", At(-1000), At(1000)};
  e.identity_asked_at = At(-30);
  e.renewal = IdentityRenewal{At(-20), At(900), At(-10), At(-5)};
  return e;
}

std::vector<Enrollment> LoadAll(TestStore& store, const std::vector<std::string>& names) {
  return store.Get<std::vector<Enrollment>>([&](StoreReader& reader) {
    std::vector<EnrollmentId> ids;
    for (const std::string& name : names) ids.emplace_back(name);
    return reader.LoadEnrollments(ids);
  });
}

std::vector<std::string> Find(TestStore& store, const std::string& name) {
  const auto ids = store.Get<std::vector<EnrollmentId>>(
      [&](StoreReader& reader) { return reader.FindEnrollments(name); });
  std::vector<std::string> names;
  for (const EnrollmentId& id : ids) names.push_back(id.value());
  return names;
}

std::vector<std::string> List(TestStore& store, const EnrollmentFilter& filter,
                              const PageRequest& page = {}) {
  const auto rows = store.Get<std::vector<EnrollmentRow>>(
      [&](StoreReader& reader) { return reader.ListEnrollments(filter, page); });
  std::vector<std::string> names;
  for (const EnrollmentRow& row : rows)
    names.push_back(row.enrollment.channel.enrollment_id.value());
  return names;
}

using Names = std::vector<std::string>;

TEST_CASE("those whose poll is no news are found, and nobody else") {
  TestStore store(FOR_EVERY_STORE());
  const auto save = [&](const std::string& id, const std::function<void(Enrollment&)>& change) {
    Enrollment device = MakeDevice(id);
    device.status = EnrollmentStatus::kEnrolled;
    device.last_seen_at = At(100);
    device.push_count = 0;
    change(device);
    store.Save(device);
  };
  save("quiet", [](Enrollment&) {});
  save("quiet since", [](Enrollment& device) { device.last_seen_at = At(51); });
  save("quiet until", [](Enrollment& device) { device.last_seen_at = At(150); });
  save("first answer", [](Enrollment& device) {
    device.missing_step = EnrollmentStep::kFirstAnswer;
    device.missing_since = At(0);
  });
  save("long ago", [](Enrollment& device) { device.last_seen_at = At(50); });
  save("ahead", [](Enrollment& device) { device.last_seen_at = At(151); });
  save("pushed", [](Enrollment& device) { device.push_count = 1; });
  save("awaited", [](Enrollment& device) { device.wants_wake = true; });
  save("unregistered", [](Enrollment& device) { device.push_unregistered = true; });
  save("gone", [](Enrollment& device) { device.status = EnrollmentStatus::kCheckedOut; });
  save("token", [](Enrollment& device) {
    device.missing_step = EnrollmentStep::kTokenUpdate;
    device.missing_since = At(0);
  });
  save("not asked for", [](Enrollment&) {});
  std::vector<EnrollmentId> ids;
  for (const char* id : {"quiet", "quiet since", "quiet until", "first answer", "long ago", "ahead",
                         "pushed", "awaited", "unregistered", "gone", "token", "unknown", "it's"}) {
    ids.emplace_back(id);
  }
  const auto find = [&](StoreReader& reader) { return reader.FindQuiet(ids, At(50), At(150)); };
  std::vector<EnrollmentId> once;
  REQUIRE(store.store().ReadOnce([&](StoreReader& reader) -> Status {
    auto found = find(reader);
    if (!found) return Fail(found.error());
    once = std::move(*found);
    return {};
  }));
  std::sort(once.begin(), once.end());
  CHECK(once == std::vector<EnrollmentId>{EnrollmentId("first answer"), EnrollmentId("quiet"),
                                          EnrollmentId("quiet since"),
                                          EnrollmentId("quiet until")});
  auto within = store.Get<std::vector<EnrollmentId>>(find);
  std::sort(within.begin(), within.end());
  CHECK(within == once);
}

TEST_CASE("half enrollments are listed and counted by the step that is missing") {
  TestStore store(FOR_EVERY_STORE());
  const Timestamp now = At(2 * 3600);
  const auto save = [&](const std::string& id, EnrollmentStep step, int since) {
    Enrollment enrollment = MakeDevice(id);
    enrollment.missing_step = step;
    enrollment.missing_since.reset();
    if (step != EnrollmentStep::kNone) enrollment.missing_since = At(since);
    store.Save(enrollment);
  };
  save("OLD", EnrollmentStep::kTokenUpdate, 0);
  save("JUST", EnrollmentStep::kProfileList, 3600);
  save("YOUNG", EnrollmentStep::kFirstAnswer, 3601);
  save("WHOLE", EnrollmentStep::kNone, 0);
  CHECK(List(store, {.missing_since = now - kEnrollmentStepMax}, {"", 10}) ==
        std::vector<std::string>{"JUST", "OLD"});
  const auto counts =
      store.Get<FleetCounts>([&](StoreReader& reader) { return reader.CountFleet(now); });
  CHECK(counts.half_enrollments ==
        std::map<EnrollmentStep, std::int64_t>{{EnrollmentStep::kTokenUpdate, 1},
                                               {EnrollmentStep::kProfileList, 1}});
  save("OLD", EnrollmentStep::kNone, 0);
  CHECK(List(store, {.missing_since = now}, {"", 10}) == std::vector<std::string>{"JUST", "YOUNG"});
}

}  // namespace

TEST_CASE("an enrollment comes back as it was saved") {
  TestStore store(FOR_EVERY_STORE());
  const Enrollment full = MakeFullEnrollment();
  const Enrollment plain = MakeDevice("UDID-1");
  store.Write([&](StoreWriter& writer) { return writer.SaveEnrollments({full, plain}); });

  const auto loaded = LoadAll(store, {"UDID-1:USER-1", "unknown", "UDID-1"});
  REQUIRE(loaded.size() == 2);
  CHECK((loaded[0] == full || loaded[1] == full));
  CHECK((loaded[0] == plain || loaded[1] == plain));
}

TEST_CASE("saving an enrollment again replaces every fact") {
  TestStore store(FOR_EVERY_STORE());
  Enrollment changed = MakeFullEnrollment();
  store.Save(changed);
  const Enrollment other = [&] {
    Enrollment e = MakeUser("UDID-1", "USER-1");
    e.upstream = UpstreamName("micromdm");
    e.serial_number = "c02xx";
    e.channel.udid = "udid-1";
    return e;
  }();
  store.Save(other);
  const auto loaded = LoadAll(store, {"UDID-1:USER-1"});
  REQUIRE(loaded.size() == 1);
  CHECK(loaded[0] == other);
}

TEST_CASE("an enrollment without a name is refused and nothing of the write stays") {
  TestStore store(FOR_EVERY_STORE());
  const Status done = store.store().Write([&](StoreWriter& writer) {
    return writer.SaveEnrollments({MakeDevice("GOOD"), MakeDevice("")});
  });
  REQUIRE_FALSE(done);
  CHECK(done.error().kind == ErrorKind::kInvalid);
  CHECK(done.error().message.find('\n') == std::string::npos);
  CHECK(LoadAll(store, {"GOOD"}).empty());
}

TEST_CASE("a new enrollment is due when it was seen, and saving it again leaves that alone") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  CHECK(store.Row("A").due_at == At(0));
  const auto claims = store.ClaimDue(At(0));
  REQUIRE(claims.size() == 1);

  Enrollment seen_again = MakeDevice("A");
  seen_again.last_seen_at = At(50);
  store.Save(seen_again);
  CHECK(store.Row("A").due_at == At(0));
  store.CommitPlan(MakeCommit(claims[0], At(500)), At(50));
  seen_again.last_seen_at = At(51);
  store.Save(seen_again);
  CHECK(store.Row("A").due_at == At(500));
  CHECK(store.Row("A").enrollment.last_seen_at == At(51));
}

TEST_CASE("a device is found by any of its names in any letter case, its own channel first") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeUser("Udid-1", "AA"));
  store.Save(MakeDevice("Udid-1"));
  store.Save(MakeDevice("Udid-2"));
  Enrollment no_serial = MakeDevice("Udid-3");
  no_serial.serial_number.clear();
  store.Save(no_serial);

  CHECK(Find(store, "uDID-1") == Names{"Udid-1", "Udid-1:AA"});
  CHECK(Find(store, "snudid-1") == Names{"Udid-1", "Udid-1:AA"});
  CHECK(Find(store, "udid-1:aa") == Names{"Udid-1:AA"});
  CHECK(Find(store, "Udid-2") == Names{"Udid-2"});
  CHECK(Find(store, "Udid").empty());
  CHECK(Find(store, "").empty());
  CHECK(Find(store, "' OR 1=1 --").empty());
}

TEST_CASE("a list comes in pages in the order of the ids") {
  TestStore store(FOR_EVERY_STORE());
  for (const char* id : {"C", "A", "E", "B", "D"}) store.Save(MakeDevice(id));
  CHECK(List(store, {}, {"", 2}) == Names{"A", "B"});
  CHECK(List(store, {}, {"B", 2}) == Names{"C", "D"});
  CHECK(List(store, {}, {"D", 2}) == Names{"E"});
  CHECK(List(store, {}, {"E", 2}).empty());
}

TEST_CASE("a page of no rows or of too many is refused") {
  TestStore store(FOR_EVERY_STORE());
  for (const std::size_t limit : {std::size_t{0}, std::size_t{1001}}) {
    const Status done = store.store().Read([&](StoreReader& reader) -> Status {
      const auto rows = reader.ListEnrollments({}, {"", limit});
      if (!rows) return Fail(rows.error());
      return {};
    });
    REQUIRE_FALSE(done);
    CHECK(done.error().kind == ErrorKind::kInvalid);
    CHECK(done.error().field == "limit");
  }
}

TEST_CASE("a list is filtered by facts and by the state of items") {
  TestStore store(FOR_EVERY_STORE());
  store.Save(MakeDevice("A"));
  store.Save(MakeDevice("B"));
  Enrollment gone = MakeDevice("C");
  gone.status = EnrollmentStatus::kCheckedOut;
  store.Save(gone);
  for (const EnrollmentId& id : store.ClaimDue(At(0))) {
    PlanCommit commit = MakeCommit(id, At(900));
    const bool is_a = id.value() == "A";
    commit.plan.items.push_back(
        MakeItem("com.example.wifi", is_a ? ItemState::kParked : ItemState::kVerified));
    if (!is_a) commit.plan.items.push_back(MakeItem("com.example.vpn", ItemState::kParked));
    store.CommitPlan(commit, At(1));
  }

  EnrollmentFilter filter;
  filter.status = EnrollmentStatus::kEnrolled;
  CHECK(List(store, filter) == Names{"A", "B"});
  filter.serial_number = "snb";
  CHECK(List(store, filter) == Names{"B"});
  filter = {};
  filter.udid = "c";
  CHECK(List(store, filter) == Names{"C"});
  filter = {};
  filter.payload_identifier = PayloadIdentifier("com.example.wifi");
  CHECK(List(store, filter) == Names{"A", "B", "C"});
  filter.item_state = ItemState::kParked;
  CHECK(List(store, filter) == Names{"A"});
  filter.payload_identifier = {};
  CHECK(List(store, filter) == Names{"A", "B", "C"});
  filter.item_state = ItemState::kVerified;
  CHECK(List(store, filter) == Names{"B", "C"});
  const EnrollmentRow row = store.Row("B");
  CHECK(row.due_at == At(900));
  CHECK(row.item_counts ==
        std::map<ItemState, std::int64_t>{{ItemState::kVerified, 1}, {ItemState::kParked, 1}});
}

TEST_CASE("a snapshot of an unknown enrollment is not found") {
  TestStore store(FOR_EVERY_STORE());
  const Status done = store.store().Read([](StoreReader& reader) -> Status {
    const auto snapshot = reader.LoadSnapshot(EnrollmentId("nobody"));
    if (!snapshot) return Fail(snapshot.error());
    return {};
  });
  REQUIRE_FALSE(done);
  CHECK(done.error().kind == ErrorKind::kNotFound);
}

TEST_CASE("the fleet is counted") {
  TestStore store(FOR_EVERY_STORE());
  const auto count = [&](Timestamp now) {
    return store.Get<FleetCounts>([&](StoreReader& reader) { return reader.CountFleet(now); });
  };
  CHECK(count(At(0)).enrollments.empty());
  CHECK_FALSE(count(At(0)).oldest_waiting);

  for (const char* id : {"A", "B", "C"}) store.Save(MakeDevice(id));
  for (const EnrollmentId& id : store.ClaimDue(At(0))) {
    const bool is_b = id.value() == "B";
    PlanCommit commit = MakeCommit(id, is_b ? At(10) : At(900));
    ItemRecord vpn = MakeItem("com.example.vpn", is_b ? ItemState::kParked : ItemState::kVerified);
    vpn.state_since = is_b ? At(-9) : At(-99);
    ItemRecord wifi = MakeItem("com.example.wifi");
    wifi.presence = Presence::kAbsent;
    commit.plan.items = {vpn, wifi};
    store.CommitPlan(commit, At(1));
  }
  store.Write([](StoreWriter& writer) {
    return writer.AddDeadLetters({DeadLetter{}, DeadLetter{}});
  });

  const FleetCounts counts = count(At(20));
  CHECK(counts.enrollments ==
        std::map<EnrollmentStatus, std::int64_t>{{EnrollmentStatus::kEnrolled, 3}});
  CHECK(counts.due == 1);
  CHECK(counts.dead_letters == 2);
  REQUIRE(counts.items.size() == 3);
  CHECK(counts.items[0].payload_identifier.value() == "com.example.vpn");
  CHECK(counts.items[0].state == ItemState::kVerified);
  CHECK(counts.items[0].count == 2);
  CHECK(counts.items[1].state == ItemState::kParked);
  CHECK(counts.items[1].count == 1);
  CHECK(counts.items[2].payload_identifier.value() == "com.example.wifi");
  CHECK(counts.items[2].presence == Presence::kAbsent);
  CHECK(counts.items[2].count == 3);
  REQUIRE(counts.oldest_waiting);
  CHECK(counts.oldest_waiting->enrollment_id.value() == "B");
  CHECK(counts.oldest_waiting->payload_identifier.value() == "com.example.vpn");
  CHECK(counts.oldest_waiting->state == ItemState::kParked);
  CHECK(counts.oldest_waiting->since == At(-9));
  CHECK(counts.oldest_waiting->reason == "because");
}

}  // namespace director::store_enrollments_test
