#include "director/mdmdirector_import_text.h"

#include <fmt/core.h>

#include <utility>

#include "base/text.h"
#include "director/mdmdirector_import_parts.h"

namespace director::mdmdirector {
namespace {

constexpr std::size_t kNamesShown = 5;

/// Tables of what Director has no place for yet.
constexpr std::pair<std::string_view, std::string_view> kNotImported[] = {
    {"unlock_pins", "PINs"},
};

}  // namespace

void NamedCount::Add(const std::string& name) {
  ++count_;
  if (first_.size() < kNamesShown) first_.push_back(Printable(name, kNameSizeMaxBytes));
}

std::string NamedCount::Names() const {
  std::string names;
  for (const std::string& name : first_) names += (names.empty() ? "" : ", ") + name;
  return count_ > static_cast<std::int64_t>(first_.size()) ? names + ", ..." : names;
}

std::string Plural(std::int64_t count, const char* noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

bool ImportLines::SayOnce(const std::string& line) {
  const bool is_new = said_.insert(line).second;
  if (is_new) say_(line);
  return is_new;
}

void ImportText::SayFound(const std::vector<MdmDirectorCount>& counts) const {
  std::string found;
  for (const MdmDirectorCount& count : counts) {
    found += fmt::format("{}{} {}", found.empty() ? "" : ", ", count.table, count.rows);
  }
  lines_.Say("found: " + found);
}

void ImportText::SayNotImported(const std::vector<MdmDirectorCount>& counts) const {
  for (const auto& [table, what] : kNotImported) {
    for (const MdmDirectorCount& count : counts) {
      if (count.table != table || count.rows == 0) continue;
      lines_.Say(fmt::format("not imported: {} of {}: {}", Plural(count.rows, "row"), table, what));
    }
  }
}

void ImportText::SayRemarks(const Remarks& remarks) const {
  Say(remarks.inactive,
      "not active: left out; their own profiles are for them when they enroll again");
  Say(remarks.unfinished,
      "enrolling (no TokenUpdate yet): left out; Director knows them when they speak");
  Say(remarks.without_row, "only in device_profiles: their profiles wait for them");
  Say(remarks.same_serial,
      "with the serial number of another: without it until they say it themselves");
}

void ImportText::SayTally(const ImportTally& tally, std::string_view head) const {
  if (tally.Changes() == 0) {
    lines_.Say(fmt::format("{}: nothing; {} assignments and devices are there already", head,
                           tally.already));
    return;
  }
  lines_.Say(fmt::format("{}: {}, {}, {}; {} are there already", head,
                         Plural(tally.revisions, "revision"),
                         Plural(tally.Assignments(), "assignment"),
                         Plural(tally.enrollments, "device"), tally.already));
}

void ImportText::SayItems(const ImportTally& tally) const {
  const auto say = [&](const ImportTally::Item& item, const std::string& targets) {
    const bool is_app = KindOf(PayloadIdentifier(item.first)) == ItemKind::kApp;
    lines_.Say(fmt::format("  {}: {} for {}{}", item.first, PresenceName(item.second), targets,
                           is_app ? ", at enrollment" : ""));
  };
  for (const auto& [item, count] : tally.for_all) say(item, "all devices");
  for (const auto& [item, count] : tally.for_devices) say(item, Plural(count, "device"));
  if (tally.replaced > 0) {
    lines_.Say(
        fmt::format("  {} of them in place of another", Plural(tally.replaced, "assignment")));
  }
}

void ImportText::Say(const NamedCount& devices, std::string_view what) const {
  if (devices.count() == 0) return;
  lines_.Say(fmt::format("{} {}: {}", Plural(devices.count(), "device"), what, devices.Names()));
}

}  // namespace director::mdmdirector
