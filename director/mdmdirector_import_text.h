#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "store/mdmdirector_database.h"

namespace director::mdmdirector {

// What an import says.

struct ImportTally;

/// Names from MDMDirector's database are cut off there.
inline constexpr std::size_t kNameSizeMaxBytes = 255;

/// `1 device`, `2 devices`.
std::string Plural(std::int64_t count, const char* noun);

/// A number and the first names of what is counted.
class NamedCount {
 public:
  void Add(const std::string& name);
  std::int64_t count() const { return count_; }
  /// `A, B, ...`
  std::string Names() const;

 private:
  std::int64_t count_ = 0;
  std::vector<std::string> first_;
};

/// What is found on the way that is neither done nor wrong.
struct Remarks {
  NamedCount inactive;
  NamedCount unfinished;
  NamedCount without_row;
  NamedCount same_serial;
};

/// The lines of one import, to which each of its passes adds.
class ImportLines {
 public:
  explicit ImportLines(const std::function<void(const std::string&)>& say) : say_(say) {}

  void Say(const std::string& line) { say_(line); }
  /// Not again what a pass before has said. True for the first time.
  bool SayOnce(const std::string& line);
  /// The same, counted.
  void Problem(const std::string& what) { problems_ += SayOnce("problem: " + what) ? 1 : 0; }
  std::int64_t problems() const { return problems_; }

 private:
  const std::function<void(const std::string&)>& say_;
  std::set<std::string> said_;
  std::int64_t problems_ = 0;
};

/// What an import says before and after it does anything.
class ImportText {
 public:
  explicit ImportText(ImportLines& lines) : lines_(lines) {}

  void SayFound(const std::vector<MdmDirectorCount>& counts) const;
  void SayNotImported(const std::vector<MdmDirectorCount>& counts) const;
  void SayRemarks(const Remarks& remarks) const;
  void SayTally(const ImportTally& tally, std::string_view head) const;
  void SayItems(const ImportTally& tally) const;

 private:
  void Say(const NamedCount& devices, std::string_view what) const;

  ImportLines& lines_;
};

}  // namespace director::mdmdirector
