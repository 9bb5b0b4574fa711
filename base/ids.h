#pragma once

#include <compare>
#include <cstddef>
#include <functional>
#include <ostream>
#include <string>
#include <utility>

namespace director {

/// A string that names one kind of thing; different tags do not mix. Compared byte for byte.
template <typename Tag>
class StrongId {
 public:
  StrongId() = default;
  explicit StrongId(std::string value) : value_(std::move(value)) {}

  const std::string& value() const { return value_; }
  bool empty() const { return value_.empty(); }

  friend bool operator==(const StrongId&, const StrongId&) = default;
  friend std::strong_ordering operator<=>(const StrongId&, const StrongId&) = default;
  friend std::ostream& operator<<(std::ostream& out, const StrongId& id) {
    return out << id.value_;
  }

 private:
  std::string value_;
};

/// The one normalised name of an enrollment: `UDID` or `UDID:UserID` (for User Enrollment
/// `EnrollmentID` or `EnrollmentID:EnrollmentUserID`), as NanoMDM spells it, for every upstream.
using EnrollmentId = StrongId<struct EnrollmentIdTag>;
/// Our name of one enqueue request; the device echoes it byte for byte.
using CommandUuid = StrongId<struct CommandUuidTag>;
/// Top-level PayloadIdentifier of a profile; case-sensitive.
using PayloadIdentifier = StrongId<struct PayloadIdentifierTag>;
/// Top-level PayloadUUID of a revision: upper-case UUID. Devices may report other letter case.
using PayloadUuid = StrongId<struct PayloadUuidTag>;
/// The configured name of an MDM server, such as `nanomdm`.
using UpstreamName = StrongId<struct UpstreamNameTag>;

}  // namespace director

template <typename Tag>
struct std::hash<director::StrongId<Tag>> {
  std::size_t operator()(const director::StrongId<Tag>& id) const noexcept {
    return std::hash<std::string>()(id.value());
  }
};
