#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace director::mdmdirector {

/// A command line and an environment, as a process gets them.
struct Invocation {
  std::vector<std::string> arguments;    ///< the program first
  std::vector<std::string> environment;  ///< NAME=value
  std::vector<std::string> notes;        ///< one line each, for the log: what was made of what
};

/// Turns MDMDirector's flags and environment into Director's, when `director serve` or `director
/// import` is started with any of its flags (`-micromdmurl`, one dash or two), with MICRO_URL or
/// with NANOMDM_URL; else nothing changes. Settings of Director's own stand above them. Never names
/// a secret in a note.
///
/// kInvalid: a flag without its value, a value of the wrong type, a required one that is missing,
/// all in one message. Source: MDMDirector, flags of
/// main and of its NanoMDM branch.
Result<Invocation> Translate(Invocation invocation);

}  // namespace director::mdmdirector
