#pragma once

#include <compare>
#include <map>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "store/mdmdirector_database.h"
#include "store/store.h"

namespace director::mdmdirector {

// What rows of MDMDirector's database are in Director, before Director's own is looked at.

/// The revision that the document of a row is: its bytes and PayloadUUID as devices have them.
///
/// kInvalid or kRejected, with the reason: no profile that a device would take, another identifier
/// or PayloadUUID than the row's, other bytes than the row's hash is of, signed, too large, an
/// enrollment profile.
Result<Revision> TranslateDocument(const MdmDirectorProfile& row, const std::string& document,
                                   Timestamp now);

/// The assignment that a row is, as POST or DELETE /profile would have stored it. `payload_uuid` is
/// left empty: it is the document's. kInvalid, with the reason: no usable identifier, or it does
/// not say whether the profile is to be there.
Result<Assignment> TranslateProfile(const MdmDirectorProfile& row, Timestamp now);

/// The enrollment that a device is before Director has heard from it: enrolled, to be asked before
/// anything is installed, asleep for longer than `awake_window`. kInvalid for a UDID that no MDM
/// server can send to.
Result<Enrollment> TranslateDevice(const MdmDirectorDevice& device, const UpstreamName& upstream,
                                   Duration awake_window, Timestamp now);

/// Judges the documents of rows, each once, however many rows hold the same. Not thread-safe.
class Documents {
 public:
  Documents(MdmDirectorDatabase& source, Store& store, const Clock& clock)
      : source_(source), store_(store), clock_(clock) {}

  struct Verdict {
    PayloadUuid payload_uuid;
    std::string problem;     ///< why it cannot be used; empty when it can
    bool is_stored = false;  ///< Director had the revision when it was judged
  };
  /// Errors are those of the two databases. The pointer lives as long as this object.
  Result<const Verdict*> Judge(const MdmDirectorProfile& row);
  /// Reads the document again, to be stored. Requires: judged, and usable.
  Result<Revision> Load(const MdmDirectorProfile& row);

 private:
  /// All that the judgement depends on.
  struct Key {
    bool is_shared = false;
    std::string payload_identifier;
    std::string hashed_payload_uuid;
    std::string payload_uuid;
    std::string document_digest;
    std::string stated_digest;
    auto operator<=>(const Key&) const = default;
  };
  static Key KeyOf(const MdmDirectorProfile& row);
  Result<Verdict> JudgeAnew(const MdmDirectorProfile& row);
  Status CompareWithStored(const Revision& revision, Verdict& verdict);

  MdmDirectorDatabase& source_;
  Store& store_;
  const Clock& clock_;
  std::map<Key, Verdict> verdicts_;
  std::map<PayloadUuid, std::string> digests_;  ///< of the first document under each PayloadUUID
};

}  // namespace director::mdmdirector
