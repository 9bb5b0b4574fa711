#pragma once

#include <string>
#include <vector>

namespace director {

/// One numbered step of the schema; forward only, never edited once released.
struct Migration {
  int number = 0;
  std::string name;
  std::string sql;
};

/// The steps in order, compiled in from migrations/sqlite and migrations/postgresql. Both have the
/// same numbers for the same change.
const std::vector<Migration>& SqliteMigrations();
const std::vector<Migration>& PostgresMigrations();

}  // namespace director
