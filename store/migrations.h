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

/// The steps for SQLite in order, compiled in from migrations/sqlite.
const std::vector<Migration>& SqliteMigrations();

}  // namespace director
