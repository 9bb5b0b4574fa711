#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/invariant.h"
#include "base/log.h"

/// What every fuzz target includes. A target is one file:
///
///   namespace director::fuzz_NAME {
///   FUZZ_TARGET(NAME) {
///     ... look at `input`, a std::string_view; INVARIANT(what must hold) aborts when it does not
///   }
///   }  // namespace director::fuzz_NAME
///
/// In the fuzz preset the macro makes libFuzzer's entry point; everywhere else it adds the target
/// to the program that replays the stored corpora.
namespace director::fuzz {

using Target = void (*)(std::string_view input);

/// Adds a target to the replay program.
struct Registration {
  Registration(const char* name, Target target);
};

/// Broken invariants abort, and the log is quiet: it would be most of the work.
inline void RunTarget(Target target, std::string_view input) {
  static const bool prepared = [] {
    SetInvariantMode(InvariantMode::kAbort);
    ConfigureLog(LogLevel::kError, LogFormat::kLogfmt);
    return true;
  }();
  static_cast<void>(prepared);
  target(input);
}

}  // namespace director::fuzz

#ifdef DIRECTOR_FUZZ_ENGINE
#define FUZZ_TARGET(name)                                                             \
  static void Run(std::string_view input);                                            \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) { \
    const auto* const bytes = reinterpret_cast<const char*>(data);                    \
    ::director::fuzz::RunTarget(Run, std::string_view(bytes, size));                  \
    return 0;                                                                         \
  }                                                                                   \
  static void Run(std::string_view input)
#else
#define FUZZ_TARGET(name)                                               \
  static void Run(std::string_view input);                              \
  static const ::director::fuzz::Registration registration(#name, Run); \
  static void Run(std::string_view input)
#endif
