// The only file that knows libplist. It reads and writes the binary form; the XML form is ours, for
// the reasons that plist_xml_reader.cc and plist_xml_writer.cc state.
#include "mdm/plist.h"

#include <plist/plist.h>

#include <cstdlib>
#include <limits>
#include <memory>

#include "base/invariant.h"
#include "mdm/plist_binary_scan.h"
#include "mdm/plist_date.h"
#include "mdm/plist_encoding.h"
#include "mdm/plist_xml.h"

namespace director {
namespace {

struct FreePlist {
  void operator()(void* node) const { plist_free(node); }
};
using OwnedPlist = std::unique_ptr<void, FreePlist>;

// 2.2 has plist_to_xml_free and 2.6 plist_mem_free; both are free().
struct FreeMemory {
  void operator()(void* memory) const { std::free(memory); }
};
template <typename T>
using OwnedMemory = std::unique_ptr<T, FreeMemory>;

tl::unexpected<Error> Unreadable() {
  return Fail(ErrorKind::kInvalid, "binary property list: cannot be read");
}

/// The text of a scalar as libplist writes it in XML.
///
/// Two getters cannot be trusted: plist_get_uint_val loses the sign, and plist_get_date_val cuts to
/// 32 bits. The XML form of the single node has both.
std::string ScalarText(plist_t node) {
  char* xml = nullptr;
  std::uint32_t size = 0;
  static_cast<void>(plist_to_xml(node, &xml, &size));
  const OwnedMemory<char> owner(xml);
  if (xml == nullptr) return {};
  std::string_view text(xml, size);
  // Behind <plist ...> come the element's tag, the text and the closing tag.
  const std::size_t plist_tag = text.find("<plist");
  if (plist_tag == std::string_view::npos) return {};
  text.remove_prefix(text.find('>', plist_tag) + 1);
  const std::size_t begin = text.find('>') + 1;
  return std::string(text.substr(begin, text.find('<', begin) - begin));
}

/// Turns libplist's tree into values. Recursion is bounded: ScanPlistBinary saw the tree first.
class Converter {
 public:
  std::size_t node_count = 0;

  Result<PlistValue> Convert(plist_t node) {
    ++node_count;
    // With a default: the members of plist_type differ between the versions of libplist.
    switch (plist_get_node_type(node)) {
      case PLIST_BOOLEAN:
        return ConvertBool(node);
      case PLIST_UINT:
        return ConvertInteger(node);
      case PLIST_REAL:
        return ConvertReal(node);
      case PLIST_STRING:
        return ConvertString(node);
      case PLIST_DATA:
        return ConvertData(node);
      case PLIST_DATE:
        return ConvertDate(node);
      case PLIST_ARRAY:
        return ConvertArray(node);
      case PLIST_DICT:
        return ConvertDict(node);
      default:
        return Unreadable();
    }
  }

 private:
  static PlistValue ConvertBool(plist_t node) {
    std::uint8_t value = 0;
    plist_get_bool_val(node, &value);
    return PlistValue(value != 0);
  }

  static PlistValue ConvertInteger(plist_t node) {
    std::uint64_t bits = 0;
    plist_get_uint_val(node, &bits);
    const auto value = static_cast<std::int64_t>(bits);
    const bool is_negative = value < 0 && ScalarText(node).starts_with('-');
    return is_negative ? PlistInteger::FromSigned(value) : PlistInteger{false, bits};
  }

  static PlistValue ConvertReal(plist_t node) {
    double value = 0;
    plist_get_real_val(node, &value);
    return PlistValue(value);
  }

  static PlistValue ConvertString(plist_t node) {
    std::uint64_t size = 0;
    const char* text = plist_get_string_ptr(node, &size);
    return PlistValue(text == nullptr ? std::string() : std::string(text, size));
  }

  static PlistValue ConvertData(plist_t node) {
    std::uint64_t size = 0;
    const char* bytes = plist_get_data_ptr(node, &size);
    return PlistValue(PlistData{bytes == nullptr ? std::string() : std::string(bytes, size)});
  }

  static Result<PlistValue> ConvertDate(plist_t node) {
    const auto date = ParsePlistDate(ScalarText(node));
    if (!date) return Unreadable();
    return PlistValue(*date);
  }

  Result<PlistValue> ConvertArray(plist_t node) {
    PlistArray array;
    plist_array_iter iterator = nullptr;
    plist_array_new_iter(node, &iterator);
    const OwnedMemory<void> owner(iterator);
    for (std::uint32_t i = 0; i < plist_array_get_size(node); ++i) {
      plist_t item = nullptr;
      plist_array_next_item(node, iterator, &item);
      auto value = Convert(item);
      if (!value) return value;
      array.push_back(std::move(*value));
    }
    return PlistValue(std::move(array));
  }

  Result<PlistValue> ConvertDict(plist_t node) {
    std::vector<PlistDict::Entry> entries;
    plist_dict_iter iterator = nullptr;
    plist_dict_new_iter(node, &iterator);
    const OwnedMemory<void> owner(iterator);
    for (std::uint32_t i = 0; i < plist_dict_get_size(node); ++i) {
      char* key = nullptr;
      plist_t item = nullptr;
      plist_dict_next_item(node, iterator, &key, &item);
      const OwnedMemory<char> key_owner(key);
      if (key == nullptr) return Unreadable();
      ++node_count;
      auto value = Convert(item);
      if (!value) return value;
      entries.emplace_back(key, std::move(*value));
    }
    auto dict = PlistDict::FromEntries(std::move(entries));
    if (!dict) return Fail(dict.error());
    return PlistValue(std::move(*dict));
  }
};

Result<PlistValue> DecodeBinary(std::string_view bytes, const PlistLimits& limits) {
  auto node_count = ScanPlistBinary(bytes, limits);
  if (!node_count) return Fail(node_count.error());
  plist_t root = nullptr;
  static_cast<void>(plist_from_bin(bytes.data(), static_cast<std::uint32_t>(bytes.size()), &root));
  const OwnedPlist owner(root);
  if (root == nullptr) return Unreadable();
  Converter converter;
  auto value = converter.Convert(root);
  // A version of libplist that drops one of two equal keys would hide them from us.
  if (value && converter.node_count != *node_count) return Unreadable();
  return value;
}

}  // namespace

Result<PlistValue> DecodePlist(std::string_view bytes, const PlistLimits& limits) {
  // libplist counts in 32 bits.
  constexpr std::size_t kCountable = std::numeric_limits<std::uint32_t>::max();
  if (bytes.size() > limits.size_max_bytes || bytes.size() > kCountable) {
    return Fail(ErrorKind::kInvalid, "the property list is too large");
  }
  if (bytes.empty()) return Fail(ErrorKind::kInvalid, "the property list is empty");
  if (bytes.starts_with("bplist")) return DecodeBinary(bytes, limits);
  auto text = XmlToUtf8(bytes, limits.size_max_bytes);
  if (!text) return Fail(text.error());
  return ReadPlistXml(*text, limits);
}

std::string EncodePlistBinary(const PlistValue& value) {
  // Through XML, for 2.2 has no call that makes a negative integer, and its dates have 32 bits.
  const std::string xml = EncodePlistXml(value);
  INVARIANT(xml.size() <= std::numeric_limits<std::uint32_t>::max());
  plist_t root = nullptr;
  static_cast<void>(plist_from_xml(xml.data(), static_cast<std::uint32_t>(xml.size()), &root));
  const OwnedPlist owner(root);
  INVARIANT(root != nullptr);
  char* bytes = nullptr;
  std::uint32_t size = 0;
  static_cast<void>(plist_to_bin(root, &bytes, &size));
  const OwnedMemory<char> bytes_owner(bytes);
  INVARIANT(bytes != nullptr);
  return std::string(bytes, size);
}

}  // namespace director
