#include "mdm/app.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "mdm/profile.h"

namespace director {
namespace {

bool IsHttps(std::string_view url) {
  constexpr std::string_view kScheme = "https://";
  return url.size() > kScheme.size() && url.starts_with(kScheme);
}

Error InvalidManifest(const std::string& what) { return InvalidField("manifest", what); }

const PlistDict* DictAt(const PlistDict& dict, std::string_view key) {
  const PlistValue* value = dict.Find(key);
  return value == nullptr ? nullptr : value->AsDict();
}

/// The only entry of `items`: what macOS installs.
Result<const PlistDict*> FirstItem(const PlistDict& manifest) {
  const PlistValue* value = manifest.Find("items");
  const PlistArray* items = value == nullptr ? nullptr : value->AsArray();
  if (items == nullptr || items->size() != 1 || items->front().AsDict() == nullptr) {
    return Fail(InvalidManifest("items must be an array of one dictionary"));
  }
  return items->front().AsDict();
}

Result<std::string> PackageUrl(const PlistDict& item) {
  const PlistValue* value = item.Find("assets");
  const PlistArray* assets = value == nullptr ? nullptr : value->AsArray();
  if (assets == nullptr) return Fail(InvalidManifest("items[0].assets must be an array"));
  for (const PlistValue& asset : *assets) {
    const PlistDict* dict = asset.AsDict();
    if (dict == nullptr || TextAt(*dict, "kind") != "software-package") continue;
    if (std::string url = TextAt(*dict, "url"); IsHttps(url)) return url;
  }
  return Fail(InvalidManifest("items[0].assets has no software-package with an https URL"));
}

struct Manifest {
  PlistDict dict;
  std::string package_url;
};

Result<Manifest> ReadManifest(const std::string& bytes) {
  if (bytes.size() > kManifestSizeMaxBytes) {
    return Fail(InvalidManifest(fmt::format("is larger than {} bytes", kManifestSizeMaxBytes)));
  }
  Result<PlistValue> value = DecodePlist(bytes);
  if (!value) return Fail(InvalidManifest("is no property list: " + value.error().message));
  if (value->AsDict() == nullptr) return Fail(InvalidManifest("is not a dictionary"));
  Manifest manifest;
  manifest.dict = *value->AsDict();
  const Result<const PlistDict*> item = FirstItem(manifest.dict);
  if (!item) return Fail(item.error());
  Result<std::string> package_url = PackageUrl(**item);
  if (!package_url) return Fail(package_url.error());
  manifest.package_url = std::move(*package_url);
  const PlistDict* metadata = DictAt(**item, "metadata");
  if (metadata == nullptr || TextAt(*metadata, "bundle-identifier").empty()) {
    return Fail(InvalidManifest("items[0].metadata.bundle-identifier is missing"));
  }
  return manifest;
}

Status CheckSource(const AppSpec& spec) {
  const int sources = (spec.manifest.empty() ? 0 : 1) + (spec.manifest_url.empty() ? 0 : 1) +
                      (spec.itunes_store_id ? 1 : 0) + (spec.is_app_store ? 1 : 0);
  if (sources != 1) {
    return Fail(InvalidField(
        "manifest", "say exactly one of manifest, manifest_url, itunes_store_id and app_store"));
  }
  if (!spec.manifest_url.empty() && !IsHttps(spec.manifest_url)) {
    return Fail(InvalidField("manifest_url", "must begin with https://"));
  }
  if (spec.itunes_store_id && *spec.itunes_store_id <= 0) {
    return Fail(InvalidField("itunes_store_id", "must be a positive number"));
  }
  if (spec.is_app_store && spec.identifier.empty()) {
    return Fail(InvalidField("identifier", "names an app of the App Store; it is missing"));
  }
  if (spec.itunes_store_id && spec.identifier.empty()) {
    return Fail(InvalidField("identifier", "is missing: without it no device can show the app"));
  }
  return {};
}

Status CheckNumbers(const AppSpec& spec) {
  const bool is_store = spec.itunes_store_id || spec.is_app_store;
  if (spec.purchase_method &&
      (!is_store || *spec.purchase_method < 0 || *spec.purchase_method > 1)) {
    return Fail(InvalidField("purchase_method", "must be 0 or 1, for apps of the App Store"));
  }
  const auto flags = spec.management_flags;
  const bool is_known =
      !flags || *flags == 1 || (spec.manifest.empty() && (*flags == 4 || *flags == 5));
  if (!is_known) {
    return Fail(InvalidField("management_flags", "must be 1, or 4 or 5 without a manifest"));
  }
  return {};
}

Status CheckNames(const AppSpec& spec) {
  const auto is_usable = [](const std::string& text) {
    return text.empty() || (CheckPayloadIdentifier(text) && text.find(' ') == std::string::npos);
  };
  if (!is_usable(spec.identifier) || spec.identifier.find("://") != std::string::npos) {
    return Fail(InvalidField("identifier", "is no bundle identifier"));
  }
  if (!is_usable(spec.manifest_url)) {
    return Fail(InvalidField("manifest_url", "must be at most 255 bytes without spaces"));
  }
  if (!is_usable(spec.version)) return Fail(InvalidField("version", "is no version"));
  return {};
}

Status SetConfiguration(const AppSpec& spec, PlistDict& arguments) {
  if (spec.configuration.empty()) return {};
  Result<PlistValue> value = DecodePlist(spec.configuration);
  if (!value || value->AsDict() == nullptr) {
    return Fail(InvalidField("configuration", "must be a property list with a dictionary"));
  }
  arguments.Set("Configuration", std::move(*value));
  return {};
}

Status SetManifest(const AppSpec& spec, ItemDefinition& definition) {
  Result<Manifest> manifest = ReadManifest(spec.manifest);
  if (!manifest) return Fail(manifest.error());
  definition.request_type = std::string(request_type::kInstallEnterpriseApplication);
  if (spec.identifier.empty()) definition.item = AppItem(manifest->package_url);
  if (!CheckPayloadIdentifier(definition.item.value())) {
    return Fail(InvalidManifest("the package's URL is too long or holds control characters"));
  }
  definition.arguments.Set("Manifest", std::move(manifest->dict));
  return {};
}

}  // namespace

Result<ItemDefinition> DefineApp(const AppSpec& spec) {
  for (const Status& checked : {CheckSource(spec), CheckNumbers(spec), CheckNames(spec)}) {
    if (!checked) return Fail(checked.error());
  }
  ItemDefinition definition;
  definition.version = spec.version;
  definition.request_type = std::string(request_type::kInstallApplication);
  definition.item = AppItem(spec.identifier.empty() ? spec.manifest_url : spec.identifier);
  PlistDict& arguments = definition.arguments;
  if (!spec.manifest.empty()) {
    if (Status set = SetManifest(spec, definition); !set) return Fail(set.error());
  }
  if (!spec.manifest_url.empty()) arguments.Set("ManifestURL", spec.manifest_url);
  if (spec.itunes_store_id) {
    arguments.Set("iTunesStoreID", PlistInteger::FromSigned(*spec.itunes_store_id));
  }
  if (spec.is_app_store) arguments.Set("Identifier", spec.identifier);
  if (spec.purchase_method) {
    PlistDict options;
    options.Set("PurchaseMethod", PlistInteger::FromSigned(*spec.purchase_method));
    arguments.Set("Options", std::move(options));
  }
  if (spec.management_flags) {
    arguments.Set("ManagementFlags", PlistInteger::FromSigned(*spec.management_flags));
  }
  if (spec.install_as_managed) arguments.Set("InstallAsManaged", true);
  if (spec.take_management) arguments.Set("ChangeManagementState", "Managed");
  if (Status set = SetConfiguration(spec, arguments); !set) return Fail(set.error());
  return definition;
}

namespace {

/// Takes the next part of a version off its front.
std::string_view TakePart(std::string_view& version) {
  const auto end = version.find('.');
  const std::string_view part = version.substr(0, end);
  version.remove_prefix(end == std::string_view::npos ? version.size() : end + 1);
  return part.empty() ? "0" : part;
}

bool IsNumber(std::string_view part) {
  return std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::strong_ordering CompareParts(std::string_view a, std::string_view b) {
  if (!IsNumber(a) || !IsNumber(b)) return a <=> b;
  a.remove_prefix(std::min(a.find_first_not_of('0'), a.size()));
  b.remove_prefix(std::min(b.find_first_not_of('0'), b.size()));
  if (a.size() != b.size()) return a.size() <=> b.size();
  return a <=> b;
}

}  // namespace

std::strong_ordering CompareVersions(std::string_view a, std::string_view b) {
  while (!a.empty() || !b.empty()) {
    const auto order = CompareParts(TakePart(a), TakePart(b));
    if (order != std::strong_ordering::equal) return order;
  }
  return std::strong_ordering::equal;
}

}  // namespace director
