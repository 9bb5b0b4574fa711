#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "store/store.h"

namespace director {

// What every way to assign has in common.

/// A request names no more.
inline constexpr std::size_t kDevicesPerRequestMax = 10'000;

/// True when both say the same of an item.
bool Agree(const Assignment& a, const Assignment& b);
/// kConflict: a source changes only what is its own.
Error OwnedByOther(const Assignment& row);
/// kConflict when the accounts of Setup Assistant and a profile that may meet on one Mac name one
/// account, letter case aside: such a Mac is left half enrolled. `wanted` are about to be assigned:
/// one revision for several targets.
Status CheckAccountNames(StoreReader& reader, const std::vector<Assignment>& wanted);
/// One line for the events: what is assigned, to how many, by whom.
std::string DescribeAssignment(const Assignment& assignment, std::size_t targets);
/// Whether a text can be the UDID, serial number or enrollment id of anything.
bool CanNameDevice(std::string_view text);

}  // namespace director
