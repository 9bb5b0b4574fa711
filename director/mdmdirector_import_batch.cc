// One batch of an import against what Director has.
#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "base/text.h"
#include "director/assignment_rules.h"
#include "director/mdmdirector_import_parts.h"
#include "director/mdmdirector_support.h"

namespace director::mdmdirector {
namespace {

std::string DescribeWish(const Assignment& assignment) {
  return fmt::format("{}{}", PresenceName(assignment.presence),
                     assignment.payload_uuid.empty()
                         ? ""
                         : fmt::format(" as revision {}", assignment.payload_uuid.value()));
}

std::string NameTarget(const Assignment& assignment) {
  return assignment.target.empty()
             ? "all devices"
             : "device " + Printable(assignment.target, kEnrollmentIdSizeMaxBytes);
}

std::string DescribeConflict(const Assignment& wanted, const Assignment& row) {
  const bool same_name = EqualsIgnoreCaseAscii(row.target, wanted.target);
  return fmt::format(
      "{} for {}: MDMDirector's database says {}, Director has {}{} from source {}; that stays",
      wanted.payload_identifier.value(), NameTarget(wanted), DescribeWish(wanted),
      DescribeWish(row), same_name ? "" : " for " + NameTarget(row), row.source);
}

/// One batch on its way to its decision.
class BatchDeciding {
 public:
  BatchDeciding(StoreReader& reader, OnDifference on_difference)
      : reader_(reader), on_difference_(on_difference) {}

  /// A device's enrollment id is its UDID.
  Status LearnNames(const std::vector<WantedRow>& rows) {
    std::set<EnrollmentId> ids;
    for (const WantedRow& wanted : rows) {
      if (!wanted.assignment.target.empty()) ids.emplace(wanted.assignment.target);
    }
    if (ids.empty()) return {};
    const auto known = reader_.LoadEnrollments({ids.begin(), ids.end()});
    if (!known) return Fail(known.error());
    for (const Enrollment& one : *known) {
      serial_numbers_[ToLowerAscii(UdidOf(one))] = ToLowerAscii(one.serial_number);
    }
    return {};
  }

  Status Decide(const WantedRow& wanted) {
    const Assignment& wish = wanted.assignment;
    if (const auto twin = changing_.find(KeyOf(wish)); twin != changing_.end()) {
      TakeTwin(wish, *twin->second);
      return {};
    }
    const Result<std::vector<Assignment>> rivals = RivalsOf(wanted);
    if (!rivals) return Fail(rivals.error());
    BatchDecision::Change change{&wanted, {}};
    bool is_said = false;
    bool differs = false;
    for (const Assignment& row : *rivals) {
      const bool same_key = EqualsIgnoreCaseAscii(row.target, wish.target);
      const bool agrees = Agree(row, wish) && (!same_key || row.adopt == wish.adopt);
      // An app that is there under another name, or for the present enrollment, too, is there.
      is_said = is_said || (agrees && (same_key || wanted.app));
      if (agrees) continue;
      if (row.source != kSource || on_difference_ == OnDifference::kKeep) {
        decision.conflicts.push_back(DescribeConflict(wish, row));
        return {};
      }
      differs = true;
      if (!same_key) change.replaced.push_back(row.assignment_id);
    }
    if (is_said && change.replaced.empty()) {
      ++decision.tally.already;
      return {};
    }
    Count(wish);
    changing_.emplace(KeyOf(wish), &wish);
    decision.tally.replaced += differs ? 1 : 0;
    decision.changes.push_back(std::move(change));
    return {};
  }

  /// What Director knows of a device is newer.
  Status Decide(const std::vector<Enrollment>& enrollments) {
    std::vector<EnrollmentId> ids;
    ids.reserve(enrollments.size());
    for (const Enrollment& one : enrollments) ids.push_back(one.channel.enrollment_id);
    if (ids.empty()) return {};
    const auto known = reader_.LoadEnrollments(ids);
    if (!known) return Fail(known.error());
    std::map<EnrollmentId, const Enrollment*> by_id;
    for (const Enrollment& one : *known) by_id.emplace(one.channel.enrollment_id, &one);
    for (const Enrollment& one : enrollments) {
      const auto found = by_id.find(one.channel.enrollment_id);
      if (found == by_id.end()) {
        decision.enrollments.push_back(one);
      } else {
        ++decision.tally.already;
        CompareSerial(one, *found->second);
      }
    }
    decision.tally.enrollments += static_cast<std::int64_t>(decision.enrollments.size());
    return {};
  }

  BatchDecision decision;

 private:
  using ItemKey = std::pair<PayloadIdentifier, std::string>;

  static ItemKey KeyOf(const Assignment& wish) {
    return {wish.payload_identifier, ToLowerAscii(wish.target)};
  }

  /// Two UDIDs of MDMDirector may differ in nothing but their letter case: the first one counts.
  void TakeTwin(const Assignment& wish, const Assignment& first) {
    if (Agree(wish, first)) {
      ++decision.tally.already;
    } else {
      decision.conflicts.push_back(DescribeConflict(wish, first));
    }
  }

  /// Every assignment of the item for the same target, under each name that a device has.
  Result<std::vector<Assignment>> RivalsOf(const WantedRow& wanted) {
    const Assignment& wish = wanted.assignment;
    if (wish.target_kind == TargetKind::kAll) {
      return DeviceChannelOnly(reader_.ListAssignments(
          {.payload_identifier = wish.payload_identifier, .target_kind = TargetKind::kAll}));
    }
    std::vector<Assignment> rivals;
    for (const std::string& name : NamesOf(wanted)) {
      if (name.empty()) continue;
      const Result<const std::vector<Assignment>*> rows = RowsOf(name);
      if (!rows) return Fail(rows.error());
      std::copy_if(
          (*rows)->begin(), (*rows)->end(), std::back_inserter(rivals),
          [&](const Assignment& row) { return row.payload_identifier == wish.payload_identifier; });
    }
    return rivals;
  }

  /// What MDMDirector and Director call the device, in lower case.
  std::set<std::string> NamesOf(const WantedRow& wanted) const {
    const std::string udid = ToLowerAscii(wanted.assignment.target);
    std::set<std::string> names = {udid, ToLowerAscii(wanted.serial_number)};
    const auto known = serial_numbers_.find(udid);
    if (known != serial_numbers_.end()) names.insert(known->second);
    return names;
  }

  /// All that is assigned to a device under one of its names; read once.
  Result<const std::vector<Assignment>*> RowsOf(const std::string& name) {
    const auto known = rows_.find(name);
    if (known != rows_.end()) return &known->second;
    auto rows = DeviceChannelOnly(
        reader_.ListAssignments({.target_kind = TargetKind::kDevice, .target = name}));
    if (!rows) return Fail(rows.error());
    return &rows_.emplace(name, std::move(*rows)).first->second;
  }

  static Result<std::vector<Assignment>> DeviceChannelOnly(Result<std::vector<Assignment>> rows) {
    if (!rows) return rows;
    std::erase_if(*rows, [](const auto& row) { return row.channel != AssignmentChannel::kDevice; });
    return rows;
  }

  void Count(const Assignment& wish) {
    auto& counts =
        wish.target_kind == TargetKind::kAll ? decision.tally.for_all : decision.tally.for_devices;
    ++counts[{wish.payload_identifier.value(), wish.presence}];
  }

  void CompareSerial(const Enrollment& ours, const Enrollment& known) {
    if (ours.serial_number.empty() || known.serial_number.empty() ||
        EqualsIgnoreCaseAscii(ours.serial_number, known.serial_number)) {
      return;
    }
    decision.conflicts.push_back(
        fmt::format("device {}: MDMDirector's database has serial number {}, Director {}; "
                    "that stays",
                    known.channel.enrollment_id.value(), ours.serial_number, known.serial_number));
  }

  StoreReader& reader_;
  const OnDifference on_difference_;
  std::map<std::string, std::string> serial_numbers_;    ///< Director's, by UDID; in lower case
  std::map<std::string, std::vector<Assignment>> rows_;  ///< by name in lower case
  std::map<ItemKey, const Assignment*> changing_;
};

/// One line for each profile, however many devices of the batch it is for.
std::vector<Happening> Happenings(const BatchDecision& decision, Timestamp now) {
  std::map<std::pair<PayloadIdentifier, PayloadUuid>, std::pair<const Assignment*, std::size_t>>
      said;
  for (const BatchDecision::Change& change : decision.changes) {
    const Assignment& wish = change.wanted->assignment;
    auto& [one, targets] = said[{wish.payload_identifier, wish.payload_uuid}];
    one = &wish;
    ++targets;
  }
  std::vector<Happening> happenings;
  happenings.reserve(said.size() + decision.enrollments.size());
  for (const auto& [key, entry] : said) {
    happenings.push_back(
        {0, now, {}, "desired", "Imported: " + DescribeAssignment(*entry.first, entry.second)});
  }
  for (const Enrollment& enrollment : decision.enrollments) {
    happenings.push_back({0, now, enrollment.channel.enrollment_id, "device",
                          "Known from MDMDirector's database; it is asked what it has."});
  }
  return happenings;
}

}  // namespace

std::int64_t ImportTally::Assignments() const {
  std::int64_t sum = 0;
  for (const auto* items : {&for_all, &for_devices}) {
    for (const auto& [key, count] : *items) sum += count;
  }
  return sum;
}

void ImportTally::Add(const ImportTally& other) {
  for (const auto& [key, count] : other.for_all) for_all[key] += count;
  for (const auto& [key, count] : other.for_devices) for_devices[key] += count;
  replaced += other.replaced;
  enrollments += other.enrollments;
  revisions += other.revisions;
  already += other.already;
}

Result<BatchDecision> DecideBatch(StoreReader& reader, const ImportBatch& batch,
                                  OnDifference on_difference) {
  BatchDeciding deciding(reader, on_difference);
  if (Status done = deciding.LearnNames(batch.rows); !done) return Fail(done.error());
  for (const WantedRow& wanted : batch.rows) {
    if (Status done = deciding.Decide(wanted); !done) return Fail(done.error());
  }
  if (Status done = deciding.Decide(batch.enrollments); !done) return Fail(done.error());
  return std::move(deciding.decision);
}

Status StoreBatch(StoreWriter& writer, const BatchDecision& decision, Timestamp now) {
  for (const BatchDecision::Change& change : decision.changes) {
    for (const std::int64_t id : change.replaced) {
      if (Status deleted = writer.DeleteAssignment(id, now); !deleted) return deleted;
    }
    const Result<std::int64_t> id = writer.SaveAssignment(change.wanted->assignment, now);
    if (!id) return Fail(id.error());
  }
  if (Status saved = writer.SaveEnrollments(decision.enrollments); !saved) return saved;
  return writer.AddHappenings(Happenings(decision, now));
}

}  // namespace director::mdmdirector
