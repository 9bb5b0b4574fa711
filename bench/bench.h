#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>

#include "base/result.h"

namespace director::bench {

struct Options {
  std::size_t devices = 0;     ///< 0: each bench takes its own number
  double seconds = 3;          ///< for each timed part
  std::string database;        ///< URL of a PostgreSQL server to use; empty: SQLite files
  std::string nanomdm_url;     ///< empty: the built-in stand-in
  std::string authority_file;  ///< PEM certificate and key that sign for its devices
};

/// One line: a figure, the floor measured in the same run, and what the ratio has to reach.
struct Line {
  std::string name;
  double figure = 0;
  std::string unit;
  double floor = 0;
  std::string floor_name;
  double ratio = 0;
  double target = 0;
  bool smaller_is_better = false;
};

/// Director's figures have to be so many times those of MDMDirector on a machine like this one.
inline constexpr double kTimesMdmDirector = 20;

/// Takes a line as soon as it is known.
using Report = std::function<void(const Line&)>;
using Bench = std::function<Status(const Options&, const Report&)>;

/// A folder of its own below the current one (tmpfs would make commits look free).
class Scratch {
 public:
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::string path(const std::string& name) const { return folder_ + "/" + name; }

 private:
  std::string folder_;
};

/// Seconds since its construction.
class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Runs `call` until `seconds` are over or it returns false; returns calls per second.
double Rate(double seconds, const std::function<bool()>& call);

/// Measures floor and figure by turns, three of each, since a machine's speed may change from one
/// second to the next; the turn with the median ratio counts. `line` says all but the numbers.
Result<Line> MeasureByTurns(Line line, const std::function<Result<double>()>& floor,
                            const std::function<Result<double>()>& figure);

/// Highest resident memory of this process so far.
double PeakMiB();

Status ChangedBench(const Options& options, const Report& report);
Status DecisionBench(const Options& options, const Report& report);
Status EnrollmentBench(const Options& options, const Report& report);
Status GrowthBench(const Options& options, const Report& report);
Status IngestBench(const Options& options, const Report& report);
Status PassBench(const Options& options, const Report& report);
Status RolloutBench(const Options& options, const Report& report);
Status SignatureBench(const Options& options, const Report& report);

}  // namespace director::bench
