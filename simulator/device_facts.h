#pragma once

#include <cstdint>
#include <string>

#include "base/ids.h"
#include "base/random.h"
#include "base/time.h"

namespace director {

enum class DeviceKind { kMac, kIphone };

/// What a virtual device is: the values that it writes into its check-ins and answers.
///
/// UDIDs have the forms that real devices use: an upper-case UUID on Macs, 8 and 16 upper-case
/// hexadecimal digits joined by a dash on iPhones. Source: Apple device management; NanoMDM's
/// resolution of ids.
struct DeviceFacts {
  DeviceKind kind = DeviceKind::kMac;
  std::string udid;
  std::string serial_number;
  std::string device_name;
  std::string os_version;
  std::string build_version;
  std::string product_name;
  std::string model_name;
  std::string identity_certificate;  ///< DER; empty: it reports no certificates
  std::string user_id;               ///< empty on device channels
  std::string user_short_name;
  std::string user_long_name;

  friend bool operator==(const DeviceFacts&, const DeviceFacts&) = default;
};

/// Makes device number `index` of the fleet `seed`: same arguments, same device. Serial numbers
/// differ for different indexes of one fleet (index below 2^30); UDIDs differ for all practical
/// purposes. Pure.
DeviceFacts MakeDeviceFacts(DeviceKind kind, std::uint64_t seed, std::uint64_t index);

/// Makes the facts of the user channel that belongs to the Mac `device`. Pure.
DeviceFacts MakeUserFacts(const DeviceFacts& device, std::uint64_t seed);

/// The personal recovery key of FileVault that the Mac has from the beginning, in Apple's form:
/// six groups of four. Pure, as is the next.
std::string FirstRecoveryKey(const DeviceFacts& mac);
/// The password of its FileVault user.
std::string FileVaultPassword(const DeviceFacts& mac);
/// Another key of that form.
std::string MakeRecoveryKey(RandomSource& random);

/// The normalised id of the channel: `UDID`, or `UDID:UserID` for a user channel.
EnrollmentId EnrollmentIdOf(const DeviceFacts& facts);

}  // namespace director
