#include "base/random.h"

#include <fmt/core.h>

#include <random>

namespace director {

std::uint64_t SeededRandom::Next() {
  state_ += 0x9E3779B97F4A7C15ULL;
  std::uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

std::uint64_t SystemRandom::Next() {
  thread_local std::random_device device;
  return (static_cast<std::uint64_t>(device()) << 32) | device();
}

std::string MakeUuid(RandomSource& random) {
  const std::uint64_t high = (random.Next() & ~0xF000ULL) | 0x4000ULL;
  const std::uint64_t low = (random.Next() & ~(0xC0ULL << 56)) | (0x80ULL << 56);
  return fmt::format("{:08X}-{:04X}-{:04X}-{:04X}-{:012X}", high >> 32, (high >> 16) & 0xFFFF,
                     high & 0xFFFF, low >> 48, low & 0xFFFFFFFFFFFFULL);
}

std::uint64_t StableHash(std::string_view text) {
  std::uint64_t hash = 0xCBF29CE484222325ULL;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001B3ULL;
  }
  // FNV-1a leaves the high bits of short texts poorly mixed; one SplitMix64 step spreads them.
  SeededRandom mixer(hash);
  return mixer.Next();
}

}  // namespace director
