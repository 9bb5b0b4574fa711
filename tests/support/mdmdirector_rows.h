#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/digest.h"
#include "director/mdmdirector_import.h"
#include "mdm/mdmdirector_document.h"
#include "simulator/device.h"
#include "store/mdmdirector_database.h"
#include "tests/support/catch.h"
#include "tests/support/director_parts.h"

// What MDMDirector's database holds, as its own POST and DELETE /profile leave it.
namespace director::director_test {

/// A row with its document.
struct SourceRow {
  MdmDirectorProfile row;
  std::optional<std::string> document;
};

inline void SetDocument(SourceRow& source, std::string document) {
  source.row.document_digest = Sha256Hex(document);
  source.row.size_bytes = static_cast<std::int64_t>(document.size());
  source.document = std::move(document);
}

inline SourceRow OwnRow(const std::string& udid, const std::string& identifier,
                        const std::string& organization = "Own") {
  const auto document = ForOneDevice(MakeMobileconfig(identifier, organization));
  REQUIRE(document);
  SourceRow source;
  source.row.udid = udid;
  source.row.payload_identifier = identifier;
  source.row.payload_uuid = document->original_payload_uuid;
  source.row.hashed_payload_uuid = document->payload_uuid;
  source.row.installed = true;
  SetDocument(source, document->mobileconfig);
  source.row.stated_digest = source.row.document_digest;
  return source;
}

inline SourceRow Tombstone(const std::string& udid, const std::string& identifier) {
  SourceRow source;
  source.row.udid = udid;
  source.row.payload_identifier = identifier;
  source.row.installed = false;
  return source;
}

/// `number` makes the row's id.
inline SourceRow SharedRow(int number, const std::string& identifier,
                           const std::string& organization = "Shared") {
  const std::string mobileconfig = MakeMobileconfig(identifier, organization);
  const auto once = ForOneDevice(mobileconfig);
  const auto document = ForAllDevices(mobileconfig);
  REQUIRE(once);
  REQUIRE(document);
  SourceRow source;
  source.row.row_id = NameUuid("shared row " + std::to_string(number));
  source.row.payload_identifier = identifier;
  source.row.payload_uuid = document->original_payload_uuid;
  source.row.hashed_payload_uuid = document->payload_uuid;
  source.row.installed = true;
  SetDocument(source, document->mobileconfig);
  source.row.stated_digest = Sha256Hex(once->mobileconfig);
  return source;
}

inline MdmDirectorDevice ActiveDevice(const std::string& udid, const std::string& serial_number) {
  MdmDirectorDevice device;
  device.udid = udid;
  device.is_in_devices = true;
  device.serial_number = serial_number;
  device.device_name = "Mac of " + serial_number;
  device.is_active = true;
  device.has_token = true;
  return device;
}

/// A database of MDMDirector in memory.
class FakeMdmDirectorDatabase final : public MdmDirectorDatabase {
 public:
  MdmDirectorDevice& AddDevice(const std::string& udid, const std::string& serial_number = "") {
    return devices.emplace(udid, ActiveDevice(udid, serial_number)).first->second;
  }
  void Add(const SourceRow& source) {
    if (source.document) documents[source.row.document_digest] = *source.document;
    if (source.row.row_id.empty()) {
      const auto [device, is_new] = devices.try_emplace(source.row.udid);
      device->second.udid = source.row.udid;
      device->second.profiles.push_back(source.row);
    } else {
      shared.push_back(source.row);
    }
  }

  Result<std::vector<MdmDirectorCount>> CountRows() override { return counts; }
  Result<std::vector<MdmDirectorProfile>> ListSharedProfiles() override { return shared; }
  Result<std::vector<MdmDirectorApp>> ListApps() override { return apps; }
  Result<std::vector<MdmDirectorPending>> ListPending() override {
    ++pending_reads;
    return pending;
  }
  Status ForEachDevice(const std::function<Status(const MdmDirectorDevice&)>& visit) override {
    for (const auto& [udid, device] : devices) {
      if (--visits_left == 0) return Fail(ErrorKind::kUnavailable, "the connection is gone");
      if (Status done = visit(device); !done) return done;
    }
    return {};
  }
  Status ForEachInventory(
      const std::function<Status(const MdmDirectorInventory&)>& visit) override {
    for (const MdmDirectorInventory& inventory : inventories) {
      if (Status done = visit(inventory); !done) return done;
    }
    return {};
  }
  Result<std::string> LoadDocument(const MdmDirectorProfile& row) override {
    ++loads;
    const auto found = documents.find(row.document_digest);
    if (found == documents.end()) return Fail(ErrorKind::kNotFound, "the row has no document");
    return found->second;
  }

  std::map<std::string, MdmDirectorDevice> devices;
  std::vector<MdmDirectorProfile> shared;
  std::map<std::string, std::string> documents;
  std::vector<MdmDirectorApp> apps;
  std::vector<MdmDirectorInventory> inventories;
  std::vector<MdmDirectorCount> counts;
  std::vector<MdmDirectorPending> pending;
  int pending_reads = 0;
  int loads = 0;
  int visits_left = 0;  ///< the connection is lost with the last of them; 0: never
};

/// What came of an import: its outcome and its lines.
struct ImportRun {
  mdmdirector::ImportOutcome outcome;
  std::vector<std::string> lines;

  /// The lines that begin with `start`.
  std::vector<std::string> Lines(const std::string& start) const {
    std::vector<std::string> found;
    for (const std::string& line : lines) {
      if (line.starts_with(start)) found.push_back(line);
    }
    return found;
  }
  bool Says(const std::string& part) const {
    for (const std::string& line : lines) {
      if (line.find(part) != std::string::npos) return true;
    }
    for (const std::string& line : lines) UNSCOPED_INFO(line);
    return false;
  }
};

inline ImportRun RunImport(MdmDirectorDatabase& source, Store& store, const Clock& clock,
                           mdmdirector::ImportSettings settings) {
  settings.upstream = UpstreamName("nanomdm");
  ImportRun run;
  const auto outcome = mdmdirector::Import(
      source, store, clock, settings, [&](const std::string& line) { run.lines.push_back(line); });
  INFO((outcome ? std::string() : ErrorForLog(outcome.error())));
  REQUIRE(outcome);
  run.outcome = *outcome;
  return run;
}
inline ImportRun RunImport(
    MdmDirectorDatabase& source, Store& store, const Clock& clock,
    mdmdirector::ImportMode mode = mdmdirector::ImportMode::kImport,
    mdmdirector::OnDifference on_difference = mdmdirector::OnDifference::kKeep) {
  mdmdirector::ImportSettings settings;
  settings.mode = mode;
  settings.on_difference = on_difference;
  return RunImport(source, store, clock, settings);
}

/// An empty Director and a database to take over.
struct ImportWorld {
  ImportRun Run(mdmdirector::ImportMode mode = mdmdirector::ImportMode::kImport,
                mdmdirector::OnDifference on_difference = mdmdirector::OnDifference::kKeep) {
    return RunImport(source, *store, clock, mode, on_difference);
  }
  std::vector<Assignment> Assignments() {
    return ReadFrom(*store, [](StoreReader& reader) { return reader.ListAssignments({}); });
  }
  Revision LoadRevision(const PayloadUuid& payload_uuid) {
    return ReadFrom(*store, [&](StoreReader& reader) { return reader.LoadRevision(payload_uuid); });
  }
  void Save(const Assignment& assignment) {
    WriteTo(*store, [&](StoreWriter& writer) -> Status {
      const auto id = writer.SaveAssignment(assignment, clock.Now());
      if (!id) return Fail(id.error());
      return {};
    });
  }

  FakeMdmDirectorDatabase source;
  std::unique_ptr<Store> store = OpenStore();
  ManualClock clock{At(0)};
};

}  // namespace director::director_test
