// Our own reader, for libplist's (2.2 to 2.6) must not see bytes from outside: it needs quadratic
// time for entities and for keys chosen to collide, reads `010` as eight and `x` as zero, loses
// data after a comment, and drops keys without a value.
#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <variant>

#include "base/text.h"
#include "mdm/plist_xml.h"
#include "mdm/plist_xml_scalar.h"

namespace director {
namespace {

constexpr std::string_view kCommentStart = "<!--";
constexpr std::string_view kCommentEnd = "-->";
constexpr std::string_view kCdataStart = "<![CDATA[";
constexpr std::string_view kCdataEnd = "]]>";
constexpr std::string_view kDoctypeStart = "<!DOCTYPE";
constexpr std::size_t kNameShownMaxBytes = 40;

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

enum class TagKind { kOpen, kClose, kEmpty };

struct Tag {
  std::string_view name;
  TagKind kind = TagKind::kOpen;
};

/// A dictionary under construction.
struct DictDraft {
  std::vector<PlistDict::Entry> entries;
  std::optional<std::string> pending_key;
};

/// A container whose end has not come yet.
using Frame = std::variant<PlistArray, DictDraft>;

class XmlReader {
 public:
  XmlReader(std::string_view text, const PlistLimits& limits) : text_(text), limits_(limits) {}

  Result<PlistValue> Read() {
    if (auto status = ReadDocument(); !status) {
      Error error = status.error();
      const auto lines = std::count(text_.begin(), text_.begin() + static_cast<long>(pos_), '\n');
      error.message = fmt::format("property list, line {}: {}", lines + 1, error.message);
      return Fail(std::move(error));
    }
    return std::move(*root_);
  }

 private:
  static tl::unexpected<Error> Refuse(std::string message) {
    return Fail(ErrorKind::kInvalid, std::move(message));
  }

  bool At(std::string_view token) const { return text_.substr(pos_).starts_with(token); }

  void SkipWhitespace() {
    while (pos_ < text_.size() && IsSpace(text_[pos_])) ++pos_;
  }

  /// Moves behind the next `end`; fails when it never comes.
  Status SkipPast(std::string_view end, const char* what) {
    const std::size_t found = text_.find(end, pos_);
    if (found == std::string_view::npos) return Refuse(fmt::format("unfinished {}", what));
    pos_ = found + end.size();
    return {};
  }

  Status SkipComment() {
    pos_ += kCommentStart.size();
    return SkipPast(kCommentEnd, "comment");
  }

  Status SkipSpaceAndComments() {
    SkipWhitespace();
    while (At(kCommentStart)) {
      if (auto status = SkipComment(); !status) return status;
      SkipWhitespace();
    }
    return {};
  }

  Status SkipDoctype() {
    char quote = 0;
    for (pos_ += kDoctypeStart.size(); pos_ < text_.size(); ++pos_) {
      const char c = text_[pos_];
      if (quote != 0) {
        if (c == quote) quote = 0;
      } else if (c == '"' || c == '\'') {
        quote = c;
      } else if (c == '[') {
        return Refuse("an internal DTD subset is not allowed");
      } else if (c == '>') {
        ++pos_;
        return {};
      }
    }
    return Refuse("unfinished DOCTYPE");
  }

  Status SkipProlog() {
    SkipWhitespace();
    if (At("<?xml")) {
      if (auto status = SkipPast("?>", "XML declaration"); !status) return status;
    }
    if (auto status = SkipSpaceAndComments(); !status) return status;
    if (At(kDoctypeStart)) return SkipDoctype();
    return {};
  }

  Status ReadDocument() {
    if (auto status = SkipProlog(); !status) return status;
    auto tag = ReadTag();
    if (!tag) return Fail(tag.error());
    const bool is_wrapped = tag->name == "plist" && tag->kind == TagKind::kOpen;
    if (is_wrapped) tag = ReadTag();
    while (tag) {
      if (auto status = HandleTag(*tag); !status) return status;
      if (root_) return ReadEnd(is_wrapped ? std::string_view("plist") : std::string_view());
      tag = ReadTag();
    }
    return Fail(tag.error());
  }

  /// Reads what may follow the root value: the end of `wrapper` (none when empty) and nothing else.
  Status ReadEnd(std::string_view wrapper) {
    if (!wrapper.empty()) {
      auto tag = ReadTag();
      if (!tag) return Fail(tag.error());
      if (tag->kind != TagKind::kClose || tag->name != wrapper) {
        return Refuse("more than one value at the top");
      }
    }
    if (auto status = SkipSpaceAndComments(); !status) return status;
    if (pos_ != text_.size()) return Refuse("content after the end of the property list");
    return {};
  }

  /// Moves behind `</name>`; false when something else stands here.
  bool SkipCloseTag(std::string_view name) {
    const std::string_view rest = text_.substr(pos_);
    const std::size_t size = name.size() + 3;
    const bool is_here = rest.size() >= size && rest.starts_with("</") && rest[size - 1] == '>' &&
                         rest.substr(2, name.size()) == name;
    if (is_here) pos_ += size;
    return is_here;
  }

  Result<Tag> ReadTag() {
    if (auto status = SkipSpaceAndComments(); !status) return Fail(status.error());
    if (pos_ == text_.size()) return Refuse("the property list ends too early");
    if (text_[pos_] != '<') return Refuse("text where an element is expected");
    std::size_t end = pos_ + 1;
    while (end < text_.size() && text_[end] != '>' && text_[end] != '<') ++end;
    if (end == text_.size() || text_[end] == '<') return Refuse("unfinished tag");
    std::string_view inside = text_.substr(pos_ + 1, end - pos_ - 1);
    pos_ = end + 1;
    Tag tag;
    if (inside.starts_with('/')) {
      tag.kind = TagKind::kClose;
      inside.remove_prefix(1);
    } else if (inside.ends_with('/')) {
      tag.kind = TagKind::kEmpty;
      inside.remove_suffix(1);
    }
    // Attributes mean nothing in a property list (version stands on plist): they are skipped.
    tag.name = {inside.begin(),
                std::find_if(inside.begin(), inside.end(), [](char c) { return IsSpace(c); })};
    return tag;
  }

  Status HandleTag(const Tag& tag) {
    if (tag.kind == TagKind::kClose) return CloseContainer(tag.name);
    if (++node_count_ > limits_.node_count_max) return Refuse("too many values");
    if (tag.name == "key") return ReadKey(tag);
    if (auto status = CheckPlace(); !status) return status;
    if (tag.name == "dict") return OpenContainer(DictDraft{}, tag);
    if (tag.name == "array") return OpenContainer(PlistArray{}, tag);
    const auto type = PlistXmlScalarType(tag.name);
    if (!type) return Refuse(fmt::format("unknown element '{}'", Shown(tag.name)));
    auto text = ReadText(tag);
    if (!text) return Fail(text.error());
    auto value = ParsePlistXmlScalar(*type, std::move(*text));
    if (!value) return Fail(value.error());
    Place(std::move(*value));
    return {};
  }

  static std::string Shown(std::string_view name) { return Printable(name, kNameShownMaxBytes); }

  Status ReadKey(const Tag& tag) {
    auto* dict = frames_.empty() ? nullptr : std::get_if<DictDraft>(&frames_.back());
    if (dict == nullptr) return Refuse("a key outside of a dictionary");
    if (dict->pending_key) return Refuse("a key without a value");
    auto text = ReadText(tag);
    if (!text) return Fail(text.error());
    dict->pending_key = std::move(*text);
    return {};
  }

  /// Fails when a value must not stand here.
  Status CheckPlace() const {
    if (frames_.empty()) return {};
    const auto* dict = std::get_if<DictDraft>(&frames_.back());
    if (dict != nullptr && !dict->pending_key) return Refuse("a value without a key");
    return {};
  }

  /// Puts a finished value into the innermost container; the first one of all is the root.
  void Place(PlistValue value) {
    if (frames_.empty()) {
      root_ = std::move(value);
    } else if (auto* array = std::get_if<PlistArray>(&frames_.back())) {
      array->push_back(std::move(value));
    } else {
      auto& dict = std::get<DictDraft>(frames_.back());
      dict.entries.emplace_back(std::move(*dict.pending_key), std::move(value));
      dict.pending_key.reset();
    }
  }

  Status OpenContainer(Frame frame, const Tag& tag) {
    if (frames_.size() >= limits_.depth_max) return Refuse("nested too deeply");
    frames_.push_back(std::move(frame));
    if (tag.kind == TagKind::kEmpty) return CloseContainer(tag.name);
    return {};
  }

  Status CloseContainer(std::string_view name) {
    const bool is_dict = !frames_.empty() && std::holds_alternative<DictDraft>(frames_.back());
    if (frames_.empty() || name != (is_dict ? "dict" : "array")) {
      return Refuse(fmt::format("unexpected end of '{}'", Shown(name)));
    }
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    if (!is_dict) {
      Place(PlistValue(std::move(std::get<PlistArray>(frame))));
      return {};
    }
    auto& draft = std::get<DictDraft>(frame);
    if (draft.pending_key) return Refuse("a key without a value");
    auto dict = PlistDict::FromEntries(std::move(draft.entries));
    if (!dict) return Fail(dict.error());
    Place(PlistValue(std::move(*dict)));
    return {};
  }

  /// Reads the text up to the end of the element, comments left out, references and CDATA resolved.
  Result<std::string> ReadText(const Tag& tag) {
    std::string text;
    if (tag.kind == TagKind::kEmpty) return text;
    while (true) {
      const std::size_t end = text_.find('<', pos_);
      if (end == std::string_view::npos) return Refuse("the property list ends too early");
      if (auto status = AppendUnescaped(text_.substr(pos_, end - pos_), text); !status) {
        return Fail(status.error());
      }
      pos_ = end;
      if (SkipCloseTag(tag.name)) return text;
      if (At(kCommentStart)) {
        if (auto status = SkipComment(); !status) return Fail(status.error());
      } else if (At(kCdataStart)) {
        const std::size_t begin = pos_ + kCdataStart.size();
        if (auto status = SkipPast(kCdataEnd, "CDATA section"); !status)
          return Fail(status.error());
        text += text_.substr(begin, pos_ - kCdataEnd.size() - begin);
      } else {
        auto close = ReadTag();
        if (!close) return Fail(close.error());
        if (close->kind == TagKind::kClose && close->name == tag.name) return text;
        return Refuse(fmt::format("the element '{}' does not end properly", Shown(tag.name)));
      }
    }
  }

  std::string_view text_;
  const PlistLimits& limits_;
  std::size_t pos_ = 0;
  std::size_t node_count_ = 0;
  std::vector<Frame> frames_;
  std::optional<PlistValue> root_;
};

}  // namespace

Result<PlistValue> ReadPlistXml(std::string_view text, const PlistLimits& limits) {
  return XmlReader(text, limits).Read();
}

}  // namespace director
