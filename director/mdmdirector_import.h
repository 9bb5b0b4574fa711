#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "director/config.h"
#include "director/secrets.h"
#include "store/mdmdirector_database.h"
#include "store/store.h"

namespace director::mdmdirector {

/// Whether to store anything.
enum class ImportMode { kPlan, kImport };

/// What becomes of an assignment of the source `mdmdirector` that says something else than
/// MDMDirector's database. Those of other sources always stay.
enum class OnDifference { kKeep, kReplace };

struct ImportSettings {
  ImportMode mode = ImportMode::kPlan;
  OnDifference on_difference = OnDifference::kKeep;
  UpstreamName upstream;  ///< the MDM server at which the devices are enrolled
  Settings decision;      ///< the service's, for the check
  /// Set: pending locks and erases become proposals, their PINs sealed with this. Else they are
  /// only named.
  const Secrets* secrets = nullptr;
  ProposalLimits proposals;
};

struct ImportOutcome {
  std::int64_t changes = 0;   ///< rows of Director's database that are, or would be, written
  std::int64_t problems = 0;  ///< rows that cannot be used or that Director contradicts, all said
  // The check; all zero after a plan.
  std::int64_t matching = 0;   ///< devices whose last ProfileList is what MDMDirector wants
  std::int64_t disturbed = 0;  ///< of those: the ones that would be sent a change nevertheless
  std::int64_t differing = 0;  ///< devices whose last ProfileList is another
};

/// Takes the devices and profiles of MDMDirector over: what POST and DELETE /profile would have
/// stored becomes revisions and assignments of the source `mdmdirector`, active devices become
/// enrollments that are asked before anything is installed. `say` gets line after line: the plan
/// first, with every row that is left out and why, and after an import what was done and a check.
///
/// Apps are taken over for the enrollments to come alone, as MDMDirector has sent them to whoever
/// is enrolled.
///
/// Only adds: what Director has already stays, so that it can be repeated, and goes on where it was
/// interrupted. Stores in bounded transactions; a service may run on `store` meanwhile, and finds
/// what is new by itself.
///
/// With `secrets` set, a lock or an erase that MDMDirector has not sent yet becomes a proposal, as
/// its API would have made it, with MDMDirector's PIN; once for each device and kind, whatever
/// became of it, however often the import is repeated. Every other one is a problem.
///
/// The check gives the decision each device's last ProfileList as if it had just come, and stores
/// nothing of it.
///
/// Errors are those of the two databases; what was stored before stays.
Result<ImportOutcome> Import(MdmDirectorDatabase& source, Store& store, const Clock& clock,
                             const ImportSettings& settings,
                             const std::function<void(const std::string&)>& say);

}  // namespace director::mdmdirector
