#include <string>
#include <vector>

#include "director/cli.h"

extern char** environ;  // NOLINT(readability-redundant-declaration): not declared by every libc

int main(int argc, char* argv[]) {
  std::vector<std::string> environment;
  for (char** variable = environ; *variable != nullptr; ++variable)
    environment.emplace_back(*variable);
  return director::RunCommandLine({argv, argv + argc}, environment);
}
