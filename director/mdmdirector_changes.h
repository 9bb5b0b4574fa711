#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "director/json_body.h"
#include "store/store.h"

namespace director::mdmdirector {

// What a request to change profiles or apps comes to. Shows the JSON library.

/// The rules of the two for their targets differ.
enum class Method { kPost, kDelete };

/// Whom a request names, before the store is looked at.
struct Targets {
  bool all_devices = false;
  std::vector<std::string> udids;
  std::vector<std::string> serial_numbers;
  bool udids_must_be_known = false;
};

/// Lowers the case of the keys and reads `udids` and `serial_numbers` as MDMDirector does; what it
/// would misunderstand is a problem.
Targets ReadTargets(JsonBody& body, Method method);
/// A request makes a bounded number of assignments; more are a problem of `field`.
void CheckSize(JsonBody& body, const std::string& field, std::size_t items, const Targets& targets);

/// One item of a request.
struct WantedItem {
  Assignment assignment;  ///< without its target
  std::optional<Revision> revision;
  std::string hashed_payload_uuid;  ///< of a profile, as its document has it; empty when absent
};

/// What becomes of one item for one device.
struct Outcome {
  const WantedItem* item = nullptr;
  bool changed = false;
};

/// What a request changes: the assignment takes the place of others of ours.
struct Change {
  const WantedItem* item = nullptr;
  Assignment assignment;
  std::vector<std::int64_t> replaced;
};

/// What a request comes to.
struct Decision {
  std::vector<Enrollment> devices;             ///< that are named
  std::vector<std::vector<Outcome>> outcomes;  ///< for each of them, for each item
  std::vector<Change> changes;
};

/// The assignments of an item for a device under each of its names; the first is what MDMDirector
/// calls it. An empty identifier is every item.
Result<std::vector<Assignment>> RowsOf(StoreReader& reader, const PayloadIdentifier& identifier,
                                       const Enrollment& enrollment);

/// Compares what is wanted with what stands. kNotFound for a device that must be known and is not;
/// kConflict when another source says otherwise. Points to `items`.
Result<Decision> Decide(StoreReader& reader, const Targets& targets,
                        const std::vector<WantedItem>& items, Timestamp now);

/// Writes it. Each revision is stored once and each item said once, however many devices it is for,
/// and a device that is named twice is changed once.
Status Apply(StoreWriter& writer, const std::vector<Change>& changes, Timestamp now);

}  // namespace director::mdmdirector
