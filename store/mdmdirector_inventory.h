#pragma once

#include <functional>

#include "store/mdmdirector_database.h"
#include "store/mdmdirector_source.h"

namespace director {

/// `MdmDirectorDatabase::ForEachInventory` within this transaction.
Status ForEachMdmDirectorInventory(SourceTransaction& db,
                                   const std::function<Status(const MdmDirectorInventory&)>& visit);

}  // namespace director
