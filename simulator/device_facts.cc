#include "simulator/device_facts.h"

#include <fmt/format.h>

#include <array>
#include <string_view>

#include "base/random.h"

namespace director {
namespace {

// Without I, O, U and L, as people read serial numbers aloud.
constexpr std::string_view kSerialDigits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr int kSerialIndexDigits = 6;

std::string SerialNumber(std::uint64_t seed, std::uint64_t index) {
  SeededRandom random(seed);
  std::string serial = "V";
  for (int i = 0; i < 3; ++i) serial += kSerialDigits[random.Below(kSerialDigits.size())];
  for (int digit = kSerialIndexDigits - 1; digit >= 0; --digit) {
    serial += kSerialDigits[(index >> (5 * digit)) % kSerialDigits.size()];
  }
  return serial;
}

struct Model {
  std::string_view product_name;
  std::string_view model_name;
};

constexpr std::array<Model, 4> kMacs = {{{"Mac14,2", "MacBook Air"},
                                         {"Mac15,6", "MacBook Pro"},
                                         {"Mac14,3", "Mac mini"},
                                         {"Mac15,5", "iMac"}}};
constexpr std::array<Model, 3> kIphones = {
    {{"iPhone14,2", "iPhone 13 Pro"}, {"iPhone15,4", "iPhone 15"}, {"iPhone17,3", "iPhone 16"}}};

void FillMac(DeviceFacts& facts, RandomSource& random, std::uint64_t index) {
  const Model& model = kMacs[random.Below(kMacs.size())];
  facts.udid = MakeUuid(random);
  facts.product_name = model.product_name;
  facts.model_name = model.model_name;
  facts.device_name = fmt::format("mac-{:05}", index);
  facts.os_version = "15.1";
  facts.build_version = "24B83";
}

void FillIphone(DeviceFacts& facts, RandomSource& random, std::uint64_t index) {
  const Model& model = kIphones[random.Below(kIphones.size())];
  facts.udid = fmt::format("{:08X}-{:016X}", random.Next() >> 32, random.Next());
  facts.product_name = model.product_name;
  facts.model_name = model.model_name;
  facts.device_name = fmt::format("iphone-{:05}", index);
  facts.os_version = "18.1";
  facts.build_version = "22B83";
}

}  // namespace

DeviceFacts MakeDeviceFacts(DeviceKind kind, std::uint64_t seed, std::uint64_t index) {
  SeededRandom random(StableHash(fmt::format("device {} {}", seed, index)));
  DeviceFacts facts;
  facts.kind = kind;
  facts.serial_number = SerialNumber(seed, index);
  switch (kind) {
    case DeviceKind::kMac:
      FillMac(facts, random, index);
      break;
    case DeviceKind::kIphone:
      FillIphone(facts, random, index);
      break;
  }
  return facts;
}

DeviceFacts MakeUserFacts(const DeviceFacts& device, std::uint64_t seed) {
  SeededRandom random(StableHash(fmt::format("user {} {}", seed, device.udid)));
  DeviceFacts facts = device;
  facts.user_id = MakeUuid(random);
  facts.user_short_name = fmt::format("user{:04}", random.Below(10'000));
  facts.user_long_name = "User of " + device.device_name;
  return facts;
}

std::string MakeRecoveryKey(RandomSource& random) {
  constexpr int kGroups = 6;
  constexpr int kGroupSize = 4;
  std::string key;
  for (int group = 0; group < kGroups; ++group) {
    if (group > 0) key += '-';
    for (int i = 0; i < kGroupSize; ++i) key += kSerialDigits[random.Below(kSerialDigits.size())];
  }
  return key;
}

std::string FirstRecoveryKey(const DeviceFacts& mac) {
  SeededRandom random(StableHash("first recovery key " + mac.udid));
  return MakeRecoveryKey(random);
}

std::string FileVaultPassword(const DeviceFacts& mac) { return "SECRET-of-" + mac.serial_number; }

EnrollmentId EnrollmentIdOf(const DeviceFacts& facts) {
  return EnrollmentId(facts.user_id.empty() ? facts.udid : facts.udid + ":" + facts.user_id);
}

}  // namespace director
