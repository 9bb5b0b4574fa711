#pragma once

#include <string>

#include "base/time.h"
#include "mdm/item_definition.h"
#include "mdm/profile.h"
#include "store/store.h"

namespace director {

/// The revision that a profile becomes, as `source` hands it in now.
Revision ToRevision(Profile profile, const std::string& source, Timestamp now);

/// The revision that the definition of an app or of accounts becomes.
Revision ToRevision(const ItemDefinition& definition, const std::string& source, Timestamp now);

}  // namespace director
