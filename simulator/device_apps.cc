#include "simulator/device_apps.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/text.h"

namespace director {
namespace {

constexpr std::string_view kStoreVersion = "1.0";
constexpr std::string_view kPrompting = "Prompting";
constexpr std::array<std::string_view, 5> kSaidOnce = {
    "UserInstalledApp", "UserRejected", "UpdateRejected", "ManagementRejected", "Failed"};

/// The metadata of the manifest's only item, or null.
const PlistDict* ManifestMetadata(const PlistDict& body) {
  const PlistValue* manifest = body.Find("Manifest");
  const PlistDict* dict = manifest == nullptr ? nullptr : manifest->AsDict();
  const PlistValue* items = dict == nullptr ? nullptr : dict->Find("items");
  const PlistArray* array = items == nullptr ? nullptr : items->AsArray();
  const PlistDict* item = array == nullptr || array->empty() ? nullptr : array->front().AsDict();
  const PlistValue* metadata = item == nullptr ? nullptr : item->Find("metadata");
  return metadata == nullptr ? nullptr : metadata->AsDict();
}

AppToInstall AppOfUrl(std::string_view url) {
  std::string_view name = url.substr(url.rfind('/') + 1);
  if (name.ends_with(".plist")) name.remove_suffix(std::string_view(".plist").size());
  const std::size_t dash = name.rfind('-');
  if (dash == std::string_view::npos) return {std::string(name), std::string(kStoreVersion)};
  return {std::string(name.substr(0, dash)), std::string(name.substr(dash + 1))};
}

AppToInstall NamedApp(const PlistDict& body) {
  if (const PlistDict* metadata = ManifestMetadata(body)) {
    return {TextAt(*metadata, "bundle-identifier"), TextAt(*metadata, "bundle-version")};
  }
  if (const std::string url = TextAt(body, "ManifestURL"); !url.empty()) return AppOfUrl(url);
  if (const PlistValue* number = body.Find("iTunesStoreID")) {
    const PlistInteger* id = number->AsInteger();
    if (id != nullptr) return {fmt::format("id{}", id->magnitude), std::string(kStoreVersion)};
  }
  return {TextAt(body, "Identifier"), std::string(kStoreVersion)};
}

std::string StatusOf(const InstalledApp& app, Timestamp now) {
  if (!app.ready_at) return "Managed";
  const bool is_new = app.version.empty();
  const bool prompts = app.prompts_until && now < *app.prompts_until;
  if (prompts) return is_new ? std::string(kPrompting) : "PromptingForUpdate";
  return is_new ? "Installing" : "Updating";
}

}  // namespace

bool IsSaidOnce(std::string_view status) {
  return std::find(kSaidOnce.begin(), kSaidOnce.end(), status) != kSaidOnce.end();
}

std::optional<AppToInstall> ReadAppToInstall(const ReceivedCommand& command, bool is_mac) {
  AppToInstall app = NamedApp(command.body);
  if (app.identifier.empty()) return std::nullopt;
  const PlistValue* managed = command.body.Find("InstallAsManaged");
  const bool* says_managed = managed == nullptr ? nullptr : managed->AsBool();
  app.is_managed = !is_mac || (says_managed != nullptr && *says_managed);
  return app;
}

std::vector<InstalledApp>::iterator DeviceApps::Locate(std::string_view identifier) {
  return std::find_if(apps_.begin(), apps_.end(),
                      [&](const InstalledApp& app) { return app.identifier == identifier; });
}

const InstalledApp* DeviceApps::Find(std::string_view identifier) const {
  const auto found = std::find_if(apps_.begin(), apps_.end(), [&](const InstalledApp& app) {
    return app.identifier == identifier;
  });
  return found == apps_.end() ? nullptr : &*found;
}

void DeviceApps::Settle(Timestamp now) {
  for (InstalledApp& app : apps_) {
    if (!app.ready_at || *app.ready_at > now) continue;
    app.version = std::exchange(app.coming_version, {});
    app.ready_at.reset();
    app.prompts_until.reset();
  }
}

bool DeviceApps::Begin(AppToInstall app, Timestamp begins_at, Timestamp ready_at) {
  words_.erase(app.identifier);
  auto place = Locate(app.identifier);
  if (place == apps_.end()) {
    if (apps_.size() >= kDeviceAppsMax) return false;
    place = apps_.insert(apps_.end(), {std::move(app.identifier), {}, false, {}, {}});
  }
  place->is_managed = place->is_managed || app.is_managed;
  place->coming_version = std::move(app.version);
  place->ready_at = ready_at;
  place->prompts_until = begins_at;
  return true;
}

void DeviceApps::SetWord(const std::string& identifier, ManagedAppWord word) {
  if (words_.size() >= kDeviceAppsMax && !words_.contains(identifier)) return;
  words_.insert_or_assign(identifier, std::move(word));
}

std::map<std::string, std::string> DeviceApps::TakeStatuses(Timestamp now) {
  Settle(now);
  std::map<std::string, std::string> statuses;
  for (const InstalledApp& app : apps_) {
    if (app.is_managed) statuses[app.identifier] = StatusOf(app, now);
  }
  for (const auto& [identifier, word] : words_) {
    const bool prompts = word.prompts_until && now < *word.prompts_until;
    statuses[identifier] = prompts ? std::string(kPrompting) : word.status;
  }
  std::erase_if(words_, [&](const auto& entry) {
    return IsSaidOnce(entry.second.status) && statuses[entry.first] == entry.second.status;
  });
  return statuses;
}

bool DeviceApps::Remove(std::string_view identifier) {
  words_.erase(std::string(identifier));
  const auto place = Locate(identifier);
  if (place == apps_.end()) return false;
  apps_.erase(place);
  return true;
}

bool DeviceApps::Update(std::string_view identifier) {
  const auto place = Locate(identifier);
  if (place == apps_.end() || place->version.empty()) return false;
  place->version += ".1";
  return true;
}

PlistDict EncodeAppEntry(const InstalledApp& app) {
  PlistDict entry;
  entry.Set("Identifier", app.identifier);
  entry.Set("Name", app.identifier.substr(app.identifier.rfind('.') + 1));
  entry.Set("Version", app.version);
  entry.Set("ShortVersion", app.version);
  entry.Set("Installing", app.ready_at.has_value());
  return entry;
}

PlistDict EncodeManagedAppEntry(const std::string& status) {
  PlistDict entry;
  entry.Set("Status", status);
  entry.Set("ManagementFlags", PlistInteger::FromSigned(0));
  entry.Set("HasConfiguration", false);
  return entry;
}

}  // namespace director
