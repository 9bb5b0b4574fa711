#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace director {

/// A source of random numbers. Implementations state whether they are thread-safe.
class RandomSource {
 public:
  virtual ~RandomSource() = default;
  /// Returns 64 uniformly distributed bits.
  virtual std::uint64_t Next() = 0;

  /// Returns a number in [0, bound). Requires: bound > 0.
  std::uint64_t Below(std::uint64_t bound) { return Next() % bound; }
  /// Returns a number in [0, 1).
  double Fraction() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }
};

/// Reproducible numbers from a seed (SplitMix64). Not thread-safe, not for secrets.
class SeededRandom final : public RandomSource {
 public:
  explicit SeededRandom(std::uint64_t seed) : state_(seed) {}
  std::uint64_t Next() override;

 private:
  std::uint64_t state_;
};

/// Unpredictable numbers from the operating system. Thread-safe.
class SystemRandom final : public RandomSource {
 public:
  std::uint64_t Next() override;
};

/// Makes an upper-case version 4 UUID from `random`.
std::string MakeUuid(RandomSource& random);

/// Hashes text to 64 bits, the same on every machine and for ever (FNV-1a); for jitter and
/// spreading.
std::uint64_t StableHash(std::string_view text);

}  // namespace director
