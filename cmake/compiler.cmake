# Warnings, sanitizers and coverage for every target of the project.

# Line tables are enough for a backtrace and half the size.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG")
add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual
                    -Wimplicit-fallthrough -Wcast-qual -Wold-style-cast)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 and 14 see a maybe-uninitialised value inside tl::expected and std::variant that is not there.
  add_compile_options(-Wno-maybe-uninitialized)
endif()
if(DIRECTOR_WERROR)
  add_compile_options(-Werror)
endif()

if(DIRECTOR_SANITIZE)
  add_compile_options(-fsanitize=${DIRECTOR_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${DIRECTOR_SANITIZE})
endif()
if(DIRECTOR_COVERAGE)
  add_compile_options(--coverage -O0)
  add_link_options(--coverage)
endif()
if(DIRECTOR_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
