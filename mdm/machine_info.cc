#include "mdm/machine_info.h"

#include <utility>

#include "mdm/plist.h"

namespace director {

std::string EncodeMachineInfo(const MachineInfo& info) {
  const std::pair<const char*, const std::string*> facts[] = {
      {"IMEI", &info.imei},
      {"MEID", &info.meid},
      {"OS_VERSION", &info.os_version},
      {"PRODUCT", &info.product_name},
      {"SERIAL", &info.serial_number},
      {"SUPPLEMENTAL_BUILD_VERSION", &info.supplemental_build_version},
      {"SUPPLEMENTAL_OS_VERSION_EXTRA", &info.supplemental_os_version_extra},
      {"UDID", &info.udid},
      {"VERSION", &info.build_version},
  };
  PlistDict dict;
  for (const auto& [key, fact] : facts) {
    if (!fact->empty()) dict.Set(key, *fact);
  }
  return EncodePlistXml(PlistValue(std::move(dict)));
}

}  // namespace director
