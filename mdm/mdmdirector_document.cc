// The writer is not the one of plist_xml_writer.cc: every byte of this form goes into a UUID that
// devices have by now. Booleans stand behind whatever was written last, keys are sorted, nothing
// closes itself.
#include "mdm/mdmdirector_document.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/text.h"
#include "mdm/plist.h"
#include "mdm/plist_date.h"
#include "mdm/plist_xml.h"

namespace director {
namespace {

/// The decimal exponents between which Go writes a number without one.
constexpr int kPlainExponentMin = -4;
constexpr int kPlainExponentMax = 5;

std::string RealText(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[400];  // the plain form is only used for few digits
  const auto write = [&](std::chars_format format) {
    return std::string(buffer, std::to_chars(buffer, std::end(buffer), value, format).ptr);
  };
  std::string text = write(std::chars_format::scientific);
  const int exponent = std::stoi(text.substr(text.find('e') + 1));
  if (exponent < kPlainExponentMin || exponent > kPlainExponentMax) return text;
  return write(std::chars_format::fixed);
}

class Writer {
 public:
  std::string xml{kPlistXmlHead};
  bool is_lossy = false;  ///< it has characters that XML does not know

  void Append(const PlistValue& value) { std::visit(*this, value.variant()); }

  void operator()(bool value) { xml += value ? "<true/>" : "<false/>"; }
  void operator()(const PlistInteger& value) {
    const char* sign = value.negative && value.magnitude != 0 ? "-" : "";
    AppendLine(fmt::format("<integer>{}{}</integer>", sign, value.magnitude));
  }
  void operator()(double value) { AppendLine("<real>" + RealText(value) + "</real>"); }
  void operator()(const std::string& value) {
    AppendLine("<string>" + Escape(value, "\n") + "</string>");
  }
  void operator()(const PlistData& value) {
    AppendLine("<data>" + EncodeBase64(value.bytes) + "</data>");
  }
  void operator()(const PlistDate& value) {
    AppendLine("<date>" + FormatPlistDate(value) + "</date>");
  }
  void operator()(const PlistArray& value) {
    Open("<array>");
    for (const PlistValue& item : value) Append(item);
    Close("</array>");
  }
  void operator()(const PlistDict& value) {
    Open("<dict>");
    std::vector<const PlistDict::Entry*> sorted;
    for (const PlistDict::Entry& entry : value.entries()) sorted.push_back(&entry);
    std::sort(sorted.begin(), sorted.end(),
              [](const auto* a, const auto* b) { return a->first < b->first; });
    for (const PlistDict::Entry* entry : sorted) {
      AppendLine("<key>" + Escape(entry->first, "&#xA;") + "</key>");
      Append(entry->second);
    }
    Close("</dict>");
  }

 private:
  void AppendLine(std::string_view element) {
    xml.push_back('\n');
    xml.append(depth_, '\t');
    xml += element;
    is_just_opened_ = false;
  }

  void Open(std::string_view tag) {
    AppendLine(tag);
    ++depth_;
    is_just_opened_ = true;
  }

  /// On a line of its own, unless nothing or nothing but booleans stands in between.
  void Close(std::string_view tag) {
    --depth_;
    if (!is_just_opened_) return AppendLine(tag);
    xml += tag;
    is_just_opened_ = false;
  }

  std::string Escape(std::string_view text, std::string_view line_feed) {
    std::string escaped;
    for (std::size_t i = 0; i < text.size(); ++i) {
      switch (const char c = text[i]) {
        case '&':
          escaped += "&amp;";
          break;
        case '<':
          escaped += "&lt;";
          break;
        case '>':
          escaped += "&gt;";
          break;
        case '"':
          escaped += "&#34;";
          break;
        case '\'':
          escaped += "&#39;";
          break;
        case '\t':
          escaped += "&#x9;";
          break;
        case '\r':
          escaped += "&#xD;";
          break;
        case '\n':
          escaped += line_feed;
          break;
        default:
          is_lossy =
              is_lossy || static_cast<unsigned char>(c) < 0x20 || IsNoCharacter(text.substr(i));
          escaped.push_back(c);
      }
    }
    return escaped;
  }

  /// U+FFFE and U+FFFF.
  static bool IsNoCharacter(std::string_view text) {
    return text.starts_with("\xEF\xBF\xBE") || text.starts_with("\xEF\xBF\xBF");
  }

  std::size_t depth_ = 1;
  bool is_just_opened_ = false;  ///< booleans do not count
};

Result<std::string> Encode(const PlistValue& value) {
  Writer writer;
  writer.Append(value);
  if (writer.is_lossy) {
    return Fail(ErrorKind::kInvalid, "the profile has characters that XML does not know");
  }
  return std::move(writer.xml) + "\n</plist>\n";
}

Result<PlistValue> DecodeDict(std::string_view mobileconfig) {
  Result<PlistValue> value = DecodePlist(mobileconfig);
  if (!value || value->AsDict() != nullptr) return value;
  return Fail(ErrorKind::kInvalid, "a profile must be a dictionary");
}

}  // namespace

Result<std::string> WithPayloadUuid(std::string_view mobileconfig,
                                    const std::string& payload_uuid) {
  Result<PlistValue> value = DecodeDict(mobileconfig);
  if (!value) return Fail(value.error());
  value->AsDict()->Set("PayloadUUID", payload_uuid);
  return Encode(*value);
}

Result<MdmDirectorDocument> ForOneDevice(std::string_view mobileconfig) {
  Result<PlistValue> value = DecodeDict(mobileconfig);
  if (!value) return Fail(value.error());
  PlistDict* root = value->AsDict();
  MdmDirectorDocument document;
  document.payload_uuid = ToLowerAscii(NameUuid(mobileconfig));
  document.original_payload_uuid = TextAt(*root, "PayloadUUID");
  root->Set("PayloadUUID", document.payload_uuid);
  Result<std::string> xml = Encode(*value);
  if (!xml) return Fail(xml.error());
  document.mobileconfig = std::move(*xml);
  return document;
}

Result<MdmDirectorDocument> ForAllDevices(std::string_view mobileconfig) {
  const Result<MdmDirectorDocument> once = ForOneDevice(mobileconfig);
  if (!once) return Fail(once.error());
  return ForOneDevice(once->mobileconfig);
}

}  // namespace director
