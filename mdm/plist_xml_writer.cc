// Our own writer, for libplist's (2.2 to 2.6) cannot be told whether 2^64-1 is meant or -1, writes
// reals with 17 digits (0.1 becomes 0.10000000000000001), leaves carriage returns for the next
// parser to drop, and does not pad years.
#include <fmt/core.h>

#include <cmath>

#include "base/text.h"
#include "mdm/plist.h"
#include "mdm/plist_date.h"
#include "mdm/plist_xml.h"

namespace director {
namespace {

constexpr std::string_view kTail = "</plist>\n";

/// Writes values one a line, indented by tabs as Apple's tools do.
class XmlWriter {
 public:
  std::string xml = std::string(kPlistXmlHead) + "\n";

  void Append(const PlistValue& value) {
    Indent();
    std::visit(*this, value.variant());
    xml.push_back('\n');
  }

  void operator()(bool value) { xml += value ? "<true/>" : "<false/>"; }
  void operator()(const PlistInteger& value) {
    const char* sign = value.negative && value.magnitude != 0 ? "-" : "";
    xml += fmt::format("<integer>{}{}</integer>", sign, value.magnitude);
  }
  void operator()(double value) { xml += "<real>" + RealText(value) + "</real>"; }
  void operator()(const std::string& value) { AppendText("string", value); }
  void operator()(const PlistData& value) {
    xml += "<data>" + EncodeBase64(value.bytes) + "</data>";
  }
  void operator()(const PlistDate& value) { xml += "<date>" + FormatPlistDate(value) + "</date>"; }
  void operator()(const PlistArray& value) {
    if (value.empty()) {
      xml += "<array/>";
      return;
    }
    xml += "<array>\n";
    ++depth_;
    for (const auto& item : value) Append(item);
    --depth_;
    Indent();
    xml += "</array>";
  }
  void operator()(const PlistDict& value) {
    if (value.empty()) {
      xml += "<dict/>";
      return;
    }
    xml += "<dict>\n";
    ++depth_;
    for (const auto& [key, item] : value.entries()) {
      Indent();
      AppendText("key", key);
      xml.push_back('\n');
      Append(item);
    }
    --depth_;
    Indent();
    xml += "</dict>";
  }

 private:
  static std::string RealText(double value) {
    if (std::isnan(value)) return "nan";
    if (std::isinf(value)) return value > 0 ? "+infinity" : "-infinity";
    return fmt::format("{}", value);
  }

  void Indent() { xml.append(depth_, '\t'); }

  void AppendText(std::string_view element, std::string_view text) {
    xml.append("<").append(element).append(">");
    for (const char c : text) AppendEscaped(c);
    xml.append("</").append(element).append(">");
  }

  void AppendEscaped(char c) {
    switch (c) {
      case '&':
        xml += "&amp;";
        break;
      case '<':
        xml += "&lt;";
        break;
      case '>':
        xml += "&gt;";
        break;
      case '\r':
        xml += "&#13;";  // XML parsers read a bare one as a line feed
        break;
      default:
        xml.push_back(c);
    }
  }

  std::size_t depth_ = 0;
};

}  // namespace

std::string EncodePlistXml(const PlistValue& value) {
  XmlWriter writer;
  writer.Append(value);
  writer.xml += kTail;
  return std::move(writer.xml);
}

}  // namespace director
