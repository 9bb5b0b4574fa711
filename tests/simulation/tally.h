#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "simulator/device.h"

namespace director::simulation {

/// What happened to the devices of a world, by their own word.
struct Tally {
  /// Commands that devices carried out, by request type.
  std::map<std::string, std::uint64_t> carried_out;
  std::uint64_t enrollments = 0;  ///< Authenticates of renewals not counted
  std::uint64_t os_updates = 0;
  std::uint64_t renewals = 0;
  /// Profiles sent again for a newer OS build, and for nothing else.
  std::uint64_t reinstalls = 0;

  void Add(const VirtualDevice& device);

  /// The first thing that a full day of a fleet brings and that happened to no device; empty when
  /// there is none.
  std::string MissingOfFullDay() const;
  /// Two lines.
  std::string Describe() const;
};

}  // namespace director::simulation
