#pragma once

#include <cstddef>

#include "base/ids.h"
#include "mdm/item_definition.h"

namespace director::simulation {

/// What kind of app each of a world's apps is, by its index.
enum class CatalogueApp {
  kPackage,       ///< a Mac's package, managed: it can be removed
  kStore,         ///< of the App Store, any version will do
  kManifest,      ///< by the URL of a manifest
  kAtEnrollment,  ///< a package, not managed, for devices that enroll after it was assigned
  kUnnamed,       ///< by the URL of a manifest, its bundle identifier not known
};
inline constexpr std::size_t kCatalogueSize = 5;

/// App number `index` (below kCatalogueSize) as an owner describes it; a higher edition is a newer
/// version, where there are versions.
ItemDefinition CatalogueDefinition(CatalogueApp app, int edition);
PayloadIdentifier CatalogueItem(CatalogueApp app);

/// Accounts for Setup Assistant; another edition is another revision.
ItemDefinition AccountsDefinition(int edition);

}  // namespace director::simulation
