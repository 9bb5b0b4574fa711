#pragma once

#include <string>

namespace director {

/// What a device says about itself when it asks for an enrollment profile. Empty strings are
/// unknown facts.
struct MachineInfo {
  std::string udid;
  std::string serial_number;
  std::string product_name;  ///< such as `Mac15,6`
  std::string os_version;
  std::string build_version;
  std::string supplemental_os_version_extra;  ///< of a rapid security response, such as `(a)`
  std::string supplemental_build_version;
  std::string imei;
  std::string meid;
  friend bool operator==(const MachineInfo&, const MachineInfo&) = default;
};

/// The property list of it; unknown facts are left out. Pure.
/// Source: Apple, MachineInfo (UDID, SERIAL, PRODUCT, OS_VERSION, VERSION for the build,
/// SUPPLEMENTAL_OS_VERSION_EXTRA, SUPPLEMENTAL_BUILD_VERSION, IMEI, MEID).
std::string EncodeMachineInfo(const MachineInfo& info);

}  // namespace director
