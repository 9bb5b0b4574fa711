#pragma once

#include <set>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "store/store.h"

namespace director {

/// In lower case: under what a device may be assigned something. Its enrollment id is not empty,
/// the others may not be known.
std::set<std::string> NamesOf(const Enrollment& device);

/// Withdraws every assignment that is for this one device, under any of its names, on both
/// channels and of whatever source, and says so in its events. What is for all stays. Withdrawing
/// removes nothing from a device. Call `StoreWriter::LockDesired` first in the same transaction,
/// then load whoever `StoreReader::FindEnrollments` finds under these names: they become due.
/// Errors are those of the store.
///
/// Source: MDMDirector's `-clear-device-on-enroll` forgets the device's own profiles and apps when
/// it enrolls again.
Status WithdrawOwn(StoreWriter& writer, const Enrollment& device, Timestamp now);

}  // namespace director
