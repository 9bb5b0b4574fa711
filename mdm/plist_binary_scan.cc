#include "mdm/plist_binary_scan.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "mdm/plist_date.h"

namespace director {
namespace {

constexpr std::string_view kMagic = "bplist00";
constexpr std::size_t kTrailerBytes = 32;
constexpr std::size_t kRefMaxBytes = 8;
constexpr std::uint64_t kCountFollows = 0xF;
constexpr double kMacEpochUnixSeconds = 978'307'200;  // 2001-01-01T00:00:00Z

/// High half of the first byte of an object.
enum class Marker : std::uint8_t {
  kSingleton = 0x0,
  kInteger = 0x1,
  kReal = 0x2,
  kDate = 0x3,
  kData = 0x4,
  kAscii = 0x5,
  kUtf16 = 0x6,
  kArray = 0xA,
  kDict = 0xD,
};

/// The head of an object: what it is and where its content begins. `count` is the low half of the
/// first byte or the number that follows it.
struct Object {
  Marker marker = Marker::kSingleton;
  std::uint64_t count = 0;
  std::size_t content = 0;
};

/// A container on the way from the root, with the position of the next reference in it.
struct Step {
  Object object;
  std::uint64_t next_ref = 0;
};

bool IsContainer(const Object& object) {
  return object.marker == Marker::kArray || object.marker == Marker::kDict;
}
bool IsString(const Object& object) {
  return object.marker == Marker::kAscii || object.marker == Marker::kUtf16;
}
/// How many references a container holds: keys first, then values.
std::uint64_t RefCount(const Object& object) {
  return object.marker == Marker::kDict ? 2 * object.count : object.count;
}

class BinaryScanner {
 public:
  BinaryScanner(std::string_view bytes, const PlistLimits& limits)
      : bytes_(bytes), limits_(limits) {}

  Result<std::size_t> Scan() {
    if (auto status = ReadTrailer(); !status) return Fail(status.error());
    if (auto status = Enter(root_); !status) return Fail(status.error());
    while (!path_.empty()) {
      Step& step = path_.back();
      if (step.next_ref == RefCount(step.object)) {
        path_.pop_back();
        continue;
      }
      const bool is_key = step.object.marker == Marker::kDict && step.next_ref < step.object.count;
      const std::uint64_t index =
          Number(step.object.content + step.next_ref * ref_bytes_, ref_bytes_);
      ++step.next_ref;  // before Enter, which may move the path
      if (auto status = is_key ? EnterKey(index) : Enter(index); !status) {
        return Fail(status.error());
      }
    }
    return node_count_;
  }

 private:
  static tl::unexpected<Error> Refuse(const char* what) {
    return Fail(ErrorKind::kInvalid, std::string("binary property list: ") + what);
  }

  std::uint8_t Byte(std::size_t pos) const { return static_cast<std::uint8_t>(bytes_[pos]); }

  /// Reads a big-endian number. Requires: it lies within the bytes; size <= 8.
  std::uint64_t Number(std::size_t pos, std::size_t size) const {
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < size; ++i) number = (number << 8) | Byte(pos + i);
    return number;
  }

  Status ReadTrailer() {
    if (bytes_.size() < kMagic.size() + 1 + kTrailerBytes) return Refuse("too short");
    const std::size_t trailer = bytes_.size() - kTrailerBytes;
    offset_bytes_ = Byte(trailer + 6);
    ref_bytes_ = Byte(trailer + 7);
    object_count_ = Number(trailer + 8, 8);
    root_ = Number(trailer + 16, 8);
    const std::uint64_t table = Number(trailer + 24, 8);
    if (!bytes_.starts_with(kMagic)) return Refuse("unknown version");
    if (offset_bytes_ < 1 || offset_bytes_ > kRefMaxBytes) return Refuse("broken trailer");
    if (ref_bytes_ < 1 || ref_bytes_ > kRefMaxBytes) return Refuse("broken trailer");
    if (table <= kMagic.size() || table >= trailer) return Refuse("broken trailer");
    // The table must fill the room up to the trailer: nothing may hide behind it.
    const std::uint64_t table_bytes = trailer - table;
    if (table_bytes % offset_bytes_ != 0 || table_bytes / offset_bytes_ != object_count_) {
      return Refuse("broken offset table");
    }
    table_ = table;
    return {};
  }

  /// Reads the head of the object with this number; fails unless all of it lies before the offset
  /// table.
  Result<Object> ObjectAt(std::uint64_t index) const {
    if (index >= object_count_) return Refuse("a reference leads nowhere");
    const std::uint64_t offset = Number(table_ + index * offset_bytes_, offset_bytes_);
    if (offset < kMagic.size() || offset >= table_) return Refuse("an offset leads nowhere");
    Object object;
    object.marker = static_cast<Marker>(Byte(offset) >> 4);
    object.count = Byte(offset) & 0xF;
    object.content = offset + 1;
    const bool is_counted =
        IsContainer(object) || IsString(object) || object.marker == Marker::kData;
    if (is_counted && object.count == kCountFollows) {
      if (auto status = ReadCount(object); !status) return Fail(status.error());
    }
    auto size = ContentBytes(object);
    if (!size) return Fail(size.error());
    if (*size > table_ - object.content) return Refuse("an object is cut off");
    return object;
  }

  Status ReadCount(Object& object) const {
    if (object.content >= table_) return Refuse("an object is cut off");
    const std::uint8_t head = Byte(object.content);
    const std::size_t size = std::size_t{1} << (head & 0xF);
    if ((head >> 4) != 0x1 || size > 8) return Refuse("a broken count");
    if (size > table_ - object.content - 1) return Refuse("an object is cut off");
    object.count = Number(object.content + 1, size);
    object.content += 1 + size;
    return {};
  }

  /// How many bytes follow the head.
  Result<std::uint64_t> ContentBytes(const Object& object) const {
    // Whatever is counted has at least one byte each: this keeps the products below small.
    if (object.count > bytes_.size()) return Refuse("an object is cut off");
    switch (object.marker) {
      case Marker::kSingleton:
        if (object.count == 8 || object.count == 9) return 0;
        return Refuse("holds a null");
      case Marker::kInteger:
        if (object.count > 4) return Refuse("a broken integer");
        return std::uint64_t{1} << object.count;
      case Marker::kReal:
        if (object.count != 2 && object.count != 3) return Refuse("a broken real");
        return std::uint64_t{1} << object.count;
      case Marker::kDate:
        if (object.count != 3) return Refuse("a broken date");
        return 8;
      case Marker::kData:
      case Marker::kAscii:
        return object.count;
      case Marker::kUtf16:
        return 2 * object.count;
      case Marker::kArray:
      case Marker::kDict:
        return RefCount(object) * ref_bytes_;
    }
    return Refuse("holds a UID, a set or an unknown type");
  }

  Status EnterKey(std::uint64_t index) {
    auto object = ObjectAt(index);
    if (!object) return Fail(object.error());
    if (!IsString(*object)) return Refuse("a key is not a string");
    return Visit(*object);
  }

  Status Enter(std::uint64_t index) {
    auto object = ObjectAt(index);
    if (!object) return Fail(object.error());
    return Visit(*object);
  }

  /// Counts the object, checks a scalar's content and goes into a container. A cycle ends at one of
  /// the limits.
  Status Visit(const Object& object) {
    if (++node_count_ > limits_.node_count_max) return Refuse("too many values");
    if (IsContainer(object)) {
      if (path_.size() >= limits_.depth_max) return Refuse("nested too deeply");
      path_.push_back(Step{object, 0});
      return {};
    }
    if (IsString(object) || object.marker == Marker::kData) {
      // Counted at each visit, for libplist makes a copy at each.
      expanded_bytes_ += object.marker == Marker::kUtf16 ? 2 * object.count : object.count;
      if (expanded_bytes_ > limits_.size_max_bytes) return Refuse("too large after expansion");
    }
    return CheckScalar(object);
  }

  Status CheckScalar(const Object& object) const {
    switch (object.marker) {
      case Marker::kInteger:
        return CheckInteger(object);
      case Marker::kDate:
        return CheckDate(object);
      case Marker::kAscii:
        return CheckAscii(object);
      case Marker::kUtf16:
        return CheckUtf16(object);
      case Marker::kSingleton:
      case Marker::kReal:
      case Marker::kData:
      case Marker::kArray:
      case Marker::kDict:
        return {};
    }
    return {};
  }

  /// Sixteen bytes hold what eight signed ones cannot; libplist looks at the lower half only.
  Status CheckInteger(const Object& object) const {
    if (object.count == 4 && Number(object.content, 8) != 0) {
      return Refuse("an integer is beyond its range");
    }
    return {};
  }

  Status CheckDate(const Object& object) const {
    const auto seconds = std::bit_cast<double>(Number(object.content, 8)) + kMacEpochUnixSeconds;
    const bool is_in_range = seconds >= static_cast<double>(kPlistDateMinUnixSeconds) &&
                             seconds <= static_cast<double>(kPlistDateMaxUnixSeconds);
    if (!is_in_range) return Refuse("a date is beyond its range");  // also for a NaN
    return {};
  }

  Status CheckAscii(const Object& object) const {
    const auto text = bytes_.substr(object.content, object.count);
    const bool is_plain = std::all_of(text.begin(), text.end(), [](char c) {
      const auto byte = static_cast<unsigned char>(c);
      return byte > 0 && byte < 0x80;
    });
    if (!is_plain) return Refuse("a string holds NUL or bytes that are not ASCII");
    return {};
  }

  Status CheckUtf16(const Object& object) const {
    if (object.count == 0) return Refuse("an empty UTF-16 string");
    for (std::uint64_t i = 0; i < object.count; ++i) {
      const std::uint64_t unit = Number(object.content + 2 * i, 2);
      if (unit == 0) return Refuse("a string holds NUL");
      if (unit < 0xD800 || unit > 0xDFFF) continue;
      ++i;
      if (unit > 0xDBFF || i == object.count) return Refuse("a string is not UTF-16");
      const std::uint64_t low = Number(object.content + 2 * i, 2);
      if (low < 0xDC00 || low > 0xDFFF) return Refuse("a string is not UTF-16");
    }
    return {};
  }

  std::string_view bytes_;
  const PlistLimits& limits_;
  std::size_t offset_bytes_ = 0;
  std::size_t ref_bytes_ = 0;
  std::uint64_t object_count_ = 0;
  std::uint64_t root_ = 0;
  std::size_t table_ = 0;
  std::vector<Step> path_;
  std::size_t node_count_ = 0;
  std::uint64_t expanded_bytes_ = 0;
};

}  // namespace

Result<std::size_t> ScanPlistBinary(std::string_view bytes, const PlistLimits& limits) {
  return BinaryScanner(bytes, limits).Scan();
}

}  // namespace director
