#include "director/mdmdirector_import.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/text.h"
#include "director/mdmdirector_import_parts.h"

namespace director::mdmdirector {
namespace {

constexpr std::size_t kRowsPerTransaction = 200;
constexpr std::size_t kDevicesPerTransaction = 100;

std::string NameRow(const MdmDirectorProfile& row) {
  const std::string identifier = Printable(row.payload_identifier, kNameSizeMaxBytes);
  return fmt::format(
      "{} for {}", identifier.empty() ? "(no identifier)" : identifier,
      row.row_id.empty() ? "device " + Printable(row.udid, kNameSizeMaxBytes) : "all devices");
}

/// Goes through everything once: to say what would be done, or to do it.
class ImportPass {
 public:
  ImportPass(const ImportPlaces& places, Documents& documents, UsableRows& rows, ImportMode mode)
      : places_(places), documents_(documents), rows_(rows), mode_(mode) {}

  Status Run() {
    Status done =
        places_.source.ForEachDevice([&](const MdmDirectorDevice& device) { return Take(device); });
    if (done) done = Flush();
    // Last: a device's own row stands above what is for all, and is there by now.
    if (done) done = TakeShared();
    if (done) done = TakeApps();
    return done ? Flush() : done;
  }

  ImportTally tally;
  Remarks remarks;

 private:
  Status Take(const MdmDirectorDevice& device) {
    auto enrollment = TranslateDevice(device, places_.settings.upstream,
                                      places_.settings.decision.awake_window, places_.clock.Now());
    if (!enrollment) {
      Problem(fmt::format("device {} with {}: {}", Printable(device.udid, kNameSizeMaxBytes),
                          Plural(static_cast<std::int64_t>(device.profiles.size()), "profile"),
                          enrollment.error().message));
      return {};
    }
    for (const MdmDirectorProfile& row : device.profiles) {
      Status taken = TakeOwn(row, enrollment->serial_number);
      if (!taken) return taken;
    }
    Remark(device);
    if (device.is_active && device.has_token) batch_.enrollments.push_back(std::move(*enrollment));
    const bool is_full = batch_.rows.size() >= kRowsPerTransaction ||
                         batch_.enrollments.size() >= kDevicesPerTransaction;
    return is_full ? Flush() : Status();
  }

  Status TakeOwn(const MdmDirectorProfile& row, const std::string& serial_number) {
    Result<WantedRow> wanted = TranslateRow(row, documents_, places_.clock.Now());
    if (!wanted && !IsAboutRow(wanted.error())) return Fail(wanted.error());
    if (!wanted) {
      rows_.unusable.insert(row.payload_identifier);
      Problem(fmt::format("{}: {}", NameRow(row), wanted.error().message));
      return {};
    }
    wanted->serial_number = serial_number;
    batch_.rows.push_back(std::move(*wanted));
    return {};
  }

  void Remark(const MdmDirectorDevice& device) {
    if (!device.is_in_devices) return remarks.without_row.Add(device.udid);
    if (!device.is_active) {
      remarks.inactive.Add(device.udid);
    } else if (!device.has_token) {
      remarks.unfinished.Add(device.udid);
    } else if (device.shares_serial_number) {
      remarks.same_serial.Add(device.udid);
    }
    const char* pending = device.wants_erase ? "erase" : device.wants_lock ? "lock" : nullptr;
    if (pending == nullptr || places_.settings.secrets != nullptr) return;
    places_.lines.SayOnce(fmt::format("not imported: device {}: {} is pending in MDMDirector",
                                      Printable(device.udid, kNameSizeMaxBytes), pending));
  }

  Status TakeShared() {
    if (mode_ == ImportMode::kPlan) {
      if (Status chosen = ChooseShared(); !chosen) return chosen;
    }
    for (const auto& [identifier, wanted] : rows_.shared) {
      batch_.rows.push_back(wanted);
      const bool is_full = batch_.rows.size() >= kRowsPerTransaction;
      Status flushed = is_full ? Flush() : Status();
      if (!flushed) return flushed;
    }
    return {};
  }

  /// MDMDirector may have left several rows with one identifier, for it replaces in two steps.
  Status ChooseShared() {
    const auto shared = places_.source.ListSharedProfiles();
    if (!shared) return Fail(shared.error());
    for (auto first = shared->begin(); first != shared->end();) {
      const auto last = std::find_if(first, shared->end(), [&](const MdmDirectorProfile& row) {
        return row.payload_identifier != first->payload_identifier;
      });
      const bool all_alike = std::all_of(first, last, [&](const MdmDirectorProfile& row) {
        return row.installed == first->installed &&
               row.hashed_payload_uuid == first->hashed_payload_uuid &&
               row.document_digest == first->document_digest;
      });
      if (!all_alike) {
        Problem(fmt::format("{}: stands {} times and not the same; which one counts is not known",
                            NameRow(*first), last - first));
      } else if (Status chosen = Choose(*first); !chosen) {
        return chosen;
      }
      first = last;
    }
    return {};
  }

  Status Choose(const MdmDirectorProfile& row) {
    Result<WantedRow> wanted = TranslateRow(row, documents_, places_.clock.Now());
    if (!wanted && !IsAboutRow(wanted.error())) return Fail(wanted.error());
    if (!wanted) {
      Problem(fmt::format("{}: {}", NameRow(row), wanted.error().message));
    } else if (rows_.unusable.contains(row.payload_identifier)) {
      Problem(
          fmt::format("{}: left out, or it would reach the devices whose own row cannot be "
                      "used",
                      NameRow(row)));
    } else {
      rows_.shared.emplace(row.payload_identifier, std::move(*wanted));
    }
    return {};
  }

  Status TakeApps() {
    const auto apps = places_.source.ListApps();
    if (!apps) return Fail(apps.error());
    for (const MdmDirectorApp& app : *apps) {
      Result<WantedRow> wanted = TranslateApp(app, places_.clock.Now());
      if (!wanted) {
        Problem(fmt::format(
            "the app {} for {} is left out: {}", Printable(app.manifest_url, kNameSizeMaxBytes),
            app.udid.empty() ? "all devices" : "device " + Printable(app.udid, kNameSizeMaxBytes),
            wanted.error().message));
        continue;
      }
      batch_.rows.push_back(std::move(*wanted));
      const bool is_full = batch_.rows.size() >= kRowsPerTransaction;
      if (Status flushed = is_full ? Flush() : Status(); !flushed) return flushed;
    }
    return {};
  }

  /// Looks first, for the documents of what changes have to be stored before: one at a time is
  /// held.
  Status Flush() {
    const ImportBatch batch = std::exchange(batch_, {});
    BatchDecision decision;
    Status done = places_.store.Read([&](StoreReader& reader) -> Status {
      auto decided = DecideBatch(reader, batch, places_.settings.on_difference);
      if (!decided) return Fail(decided.error());
      decision = std::move(*decided);
      return {};
    });
    if (done) done = TakeRevisions(decision);
    const bool has_changes = !decision.changes.empty() || !decision.enrollments.empty();
    if (done && mode_ == ImportMode::kImport && has_changes) done = StoreDecision(batch, decision);
    if (!done) return done;
    for (const std::string& conflict : decision.conflicts) Problem(conflict);
    tally.Add(decision.tally);
    return {};
  }

  Status TakeRevisions(const BatchDecision& decision) {
    for (const BatchDecision::Change& change : decision.changes) {
      const WantedRow& wanted = *change.wanted;
      if (wanted.new_revision.empty() || !revisions_.insert(wanted.new_revision).second) continue;
      const Result<bool> is_stored = IsStored(wanted);
      if (!is_stored) return Fail(is_stored.error());
      if (*is_stored) continue;
      ++tally.revisions;
      if (mode_ == ImportMode::kPlan) continue;
      const Result<Revision> revision = wanted.app ? *wanted.app : documents_.Load(wanted.row);
      if (!revision) return Fail(revision.error());
      Status saved = places_.store.Write([&](StoreWriter& writer) -> Status {
        const Result<bool> is_new = writer.SaveRevision(*revision);
        if (!is_new) return Fail(is_new.error());
        return {};
      });
      if (!saved) return saved;
    }
    return {};
  }

  /// Of profiles that was looked at when their documents were judged.
  Result<bool> IsStored(const WantedRow& wanted) {
    if (!wanted.app) return false;
    bool is_stored = false;
    const Status read = places_.store.Read([&](StoreReader& reader) -> Status {
      const Result<Revision> revision = reader.LoadRevision(wanted.new_revision);
      is_stored = revision.has_value();
      const bool is_answer = is_stored || revision.error().kind == ErrorKind::kNotFound;
      return is_answer ? Status() : Fail(revision.error());
    });
    if (!read) return Fail(read.error());
    return is_stored;
  }

  /// Decides once more: a service may be at work beside.
  Status StoreDecision(const ImportBatch& batch, BatchDecision& decision) {
    return places_.store.Write([&](StoreWriter& writer) -> Status {
      if (Status locked = writer.LockDesired(); !locked) return locked;
      auto decided = DecideBatch(writer, batch, places_.settings.on_difference);
      if (!decided) return Fail(decided.error());
      decision = std::move(*decided);
      return StoreBatch(writer, decision, places_.clock.Now());
    });
  }

  void Problem(const std::string& what) { places_.lines.Problem(what); }

  const ImportPlaces& places_;
  Documents& documents_;
  UsableRows& rows_;
  const ImportMode mode_;
  ImportBatch batch_;
  std::set<PayloadUuid> revisions_;  ///< seen to
};

}  // namespace

bool IsAboutRow(const Error& error) {
  return error.kind == ErrorKind::kInvalid || error.kind == ErrorKind::kRejected;
}

Result<WantedRow> TranslateRow(const MdmDirectorProfile& row, Documents& documents, Timestamp now) {
  Result<Assignment> assignment = TranslateProfile(row, now);
  if (!assignment) return Fail(assignment.error());
  WantedRow wanted;
  wanted.row = row;
  wanted.assignment = std::move(*assignment);
  const bool is_present = wanted.assignment.presence == Presence::kPresent;
  const Result<const Documents::Verdict*> document = documents.Judge(row);
  if (!document) return Fail(document.error());
  const Documents::Verdict& verdict = **document;
  if (is_present && !verdict.problem.empty()) return Fail(ErrorKind::kInvalid, verdict.problem);
  if (is_present) wanted.assignment.payload_uuid = verdict.payload_uuid;
  // What is to be removed is known as ours by its revision; without one the removal stands as well.
  const bool is_new = verdict.problem.empty() && !verdict.is_stored;
  if (is_new) wanted.new_revision = verdict.payload_uuid;
  return wanted;
}

Result<ImportOutcome> Import(MdmDirectorDatabase& source, Store& store, const Clock& clock,
                             const ImportSettings& settings,
                             const std::function<void(const std::string&)>& say) {
  ImportLines lines(say);
  const ImportPlaces places{source, store, clock, settings, lines};
  const ImportText text(lines);
  const auto counts = source.CountRows();
  if (!counts) return Fail(counts.error());
  text.SayFound(*counts);
  Documents documents(source, store, clock);
  UsableRows rows;
  ImportPass plan(places, documents, rows, ImportMode::kPlan);
  if (Status done = plan.Run(); !done) return Fail(done.error());
  text.SayNotImported(*counts);
  text.SayRemarks(plan.remarks);
  text.SayTally(plan.tally, "to do");
  text.SayItems(plan.tally);
  ImportOutcome outcome{.changes = plan.tally.Changes()};
  if (Status done = TakeInventories(places, ImportMode::kPlan, outcome); !done) {
    return Fail(done.error());
  }
  if (Status done = TakePending(places, ImportMode::kPlan, outcome); !done) {
    return Fail(done.error());
  }
  if (settings.mode == ImportMode::kImport) {
    ImportPass import(places, documents, rows, ImportMode::kImport);
    if (Status done = import.Run(); !done) return Fail(done.error());
    text.SayTally(import.tally, "done");
    outcome.changes = import.tally.Changes();
    if (Status done = TakeInventories(places, ImportMode::kImport, outcome); !done) {
      return Fail(done.error());
    }
    if (Status done = TakePending(places, ImportMode::kImport, outcome); !done) {
      return Fail(done.error());
    }
    if (Status checked = CheckFirstDecisions(places, rows, documents, outcome); !checked) {
      return Fail(checked.error());
    }
  }
  outcome.problems = lines.problems();
  return outcome;
}

}  // namespace director::mdmdirector
