#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#endif

#include "base/invariant.h"

int main(int argc, char* argv[]) {
  director::SetInvariantMode(director::InvariantMode::kAbort);
  return Catch::Session().run(argc, argv);
}
