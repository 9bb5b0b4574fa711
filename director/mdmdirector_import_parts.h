#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "director/mdmdirector_import.h"
#include "director/mdmdirector_import_text.h"
#include "director/mdmdirector_rows.h"

namespace director::mdmdirector {

// Shared by the .cc files of Import.

/// What an import works with.
struct ImportPlaces {
  MdmDirectorDatabase& source;
  Store& store;
  const Clock& clock;
  const ImportSettings& settings;
  ImportLines& lines;
};

/// A row that can be used.
struct WantedRow {
  MdmDirectorProfile row;
  Assignment assignment;
  PayloadUuid new_revision;     ///< of `row`, when Director does not have it; also to be removed
  std::string serial_number;    ///< of the device
  std::optional<Revision> app;  ///< in place of `row`
};

/// Devices and rows that one transaction takes.
struct ImportBatch {
  std::vector<WantedRow> rows;
  std::vector<Enrollment> enrollments;
};

/// What became, or would become, of batches.
struct ImportTally {
  using Item = std::pair<std::string, Presence>;  ///< identifier
  std::map<Item, std::int64_t> for_all;           ///< assignments
  std::map<Item, std::int64_t> for_devices;
  std::int64_t replaced = 0;  ///< of those, the ones that took another's place
  std::int64_t enrollments = 0;
  std::int64_t revisions = 0;
  std::int64_t already = 0;  ///< assignments and enrollments that are as they should be

  std::int64_t Assignments() const;
  std::int64_t Changes() const { return Assignments() + enrollments + revisions; }
  void Add(const ImportTally& other);
};

/// What Director makes of one batch at one moment.
struct BatchDecision {
  struct Change {
    const WantedRow* wanted = nullptr;
    std::vector<std::int64_t> replaced;  ///< assignments under another name of the device
  };
  std::vector<Change> changes;
  std::vector<Enrollment> enrollments;  ///< that Director does not know
  std::vector<std::string> conflicts;   ///< sentences; what Director has stays
  ImportTally tally;                    ///< without revisions
};

/// Compares with what Director has. Errors are those of the store.
Result<BatchDecision> DecideBatch(StoreReader& reader, const ImportBatch& batch,
                                  OnDifference on_difference);
/// Stores what was decided in the same transaction. Requires: the revisions are stored.
Status StoreBatch(StoreWriter& writer, const BatchDecision& decision, Timestamp now);

/// The rows that count, after all of them were looked at.
struct UsableRows {
  /// One for each identifier that is shared with all devices.
  std::map<std::string, WantedRow> shared;
  /// Identifiers of rows of single devices that cannot be used. What is for all would reach those
  /// devices in their place, which MDMDirector never let happen: it is left out.
  std::set<std::string> unusable;
};

/// kInvalid or kRejected with the reason when the row cannot be used; other errors are those of the
/// databases.
Result<WantedRow> TranslateRow(const MdmDirectorProfile& row, Documents& documents, Timestamp now);
/// True when an error of `TranslateRow` is about the row.
bool IsAboutRow(const Error& error);

/// An app as POST /installapplication with `bootstrap_only` would have stored it: for enrollments
/// to come, since MDMDirector has sent it to whoever is enrolled. kInvalid with the reason when it
/// cannot be used.
Result<WantedRow> TranslateApp(const MdmDirectorApp& app, Timestamp now);

/// Makes proposals of pending locks and erases, or says which it would make; see `Import`. Does
/// nothing without `settings.secrets`. Adds to `outcome`.
Status TakePending(const ImportPlaces& places, ImportMode mode, ImportOutcome& outcome);

/// Takes over what MDMDirector last heard of each device, unless an import has brought something as
/// new before. It is only shown, see `ImportedAnswers`. Adds to `outcome`.
Status TakeInventories(const ImportPlaces& places, ImportMode mode, ImportOutcome& outcome);

/// The end of an import; see `Import`. Adds to `outcome`.
Status CheckFirstDecisions(const ImportPlaces& places, const UsableRows& rows, Documents& documents,
                           ImportOutcome& outcome);

}  // namespace director::mdmdirector
