// What a device does with commands about apps and accounts.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "mdm/account_configuration.h"
#include "simulator/device.h"

namespace director {
namespace {

/// What came with the system.
PlistDict BrowserEntry(const DeviceFacts& facts) {
  PlistDict browser;
  browser.Set("Identifier", "com.apple.Safari");
  browser.Set("Name", "Safari");
  browser.Set("Version", facts.build_version);
  browser.Set("ShortVersion", facts.os_version);
  browser.Set("BundleSize", PlistInteger::FromSigned(12'345'678));
  return browser;
}

/// True when the question is about this app: it names it, or none.
bool IsAskedFor(const PlistArray* identifiers, const std::string& identifier) {
  return identifiers == nullptr ||
         std::any_of(identifiers->begin(), identifiers->end(), [&](const PlistValue& named) {
           const std::string* text = named.AsString();
           return text != nullptr && *text == identifier;
         });
}

}  // namespace

VirtualDevice::Outcome VirtualDevice::RunInstalledApplicationList(const PlistDict& body,
                                                                  Timestamp now) {
  apps_.Settle(now);
  const PlistValue* value = body.Find("Identifiers");
  const PlistArray* identifiers = value == nullptr ? nullptr : value->AsArray();
  PlistArray list;
  if (IsAskedFor(identifiers, "com.apple.Safari")) list.emplace_back(BrowserEntry(facts_));
  for (const InstalledApp& app : apps_.all()) {
    const bool is_hidden = app.version.empty() && !behaviour_.lists_coming_apps;
    if (!is_hidden && IsAskedFor(identifiers, app.identifier)) {
      list.emplace_back(EncodeAppEntry(app));
    }
  }
  Outcome outcome;
  outcome.extra.Set("InstalledApplicationList", std::move(list));
  return outcome;
}

VirtualDevice::Outcome VirtualDevice::RunManagedApplicationList(const PlistDict& body,
                                                                Timestamp now) {
  if (!behaviour_.knows_managed_apps) {
    return Failed(OneErrorChain("MCMDMErrorDomain", 12021, "The question is not known."));
  }
  const PlistValue* value = body.Find("Identifiers");
  const PlistArray* identifiers = value == nullptr ? nullptr : value->AsArray();
  PlistDict list;
  for (const auto& [identifier, status] : apps_.TakeStatuses(now)) {
    if (IsAskedFor(identifiers, identifier)) list.Set(identifier, EncodeManagedAppEntry(status));
  }
  Outcome outcome;
  outcome.extra.Set("ManagedApplicationList", std::move(list));
  return outcome;
}

VirtualDevice::Outcome VirtualDevice::FailApp(const AppToInstall& app, bool is_package,
                                              const AppFailure& failure, Timestamp now) {
  if (failure.error_chain.empty()) {
    const bool is_said = app.is_managed && !failure.managed_status.empty();
    if (is_said) {
      apps_.SetWord(app.identifier, {failure.managed_status, now + behaviour_.app_prompt_delay});
    }
    return {};
  }
  Outcome refused = Failed(failure.error_chain);
  if (!is_package) refused.extra.Set("RejectionReason", "Other");
  return refused;
}

VirtualDevice::Outcome VirtualDevice::RunInstallApp(const ReceivedCommand& command, Timestamp now) {
  std::optional<AppToInstall> app = ReadAppToInstall(command, facts_.kind == DeviceKind::kMac);
  if (!app) return FormatError();
  const bool is_package = command.request_type == request_type::kInstallEnterpriseApplication;
  if (const AppFailure* failure = PlannedAppFailure(app->identifier)) {
    return FailApp(*app, is_package, *failure, now);
  }
  Note(now, fmt::format("installs app {} {}", app->identifier, app->version));
  Outcome outcome;
  if (!is_package) {
    outcome.extra.Set("Identifier", app->identifier);
    outcome.extra.Set("State", "Installing");
  }
  apps_.Settle(now);
  const Timestamp begins_at = app->is_managed ? now + behaviour_.app_prompt_delay : now;
  if (!apps_.Begin(std::move(*app), begins_at, begins_at + behaviour_.app_install_delay)) {
    return Failed(OneErrorChain("MCMDMErrorDomain", 12010, "Too many apps."));
  }
  apps_.Settle(now);
  return outcome;
}

const AppFailure* VirtualDevice::PlannedAppFailure(const std::string& identifier) {
  const AppFailure* failure = behaviour_.FindAppFailure(identifier);
  if (failure == nullptr || !failure->times) return failure;
  // Identifiers come from outside: a full table fails no more apps instead of growing.
  if (app_tries_.size() >= kDeviceAppsMax && !app_tries_.contains(identifier)) return nullptr;
  return app_tries_[identifier]++ < *failure->times ? failure : nullptr;
}

/// A device removes managed apps only. Source: Apple device-management schema, application.remove.
VirtualDevice::Outcome VirtualDevice::RunRemoveApplication(const PlistDict& body, Timestamp now) {
  const std::string identifier = TextAt(body, "Identifier");
  if (identifier.empty()) return FormatError();
  const InstalledApp* app = apps_.Find(identifier);
  if (app == nullptr || !app->is_managed) {
    return Failed(OneErrorChain("MCMDMErrorDomain", 12038,
                                fmt::format("The app “{}” is not managed.", identifier)));
  }
  apps_.Remove(identifier);
  Note(now, "removed app " + identifier);
  return {};
}

VirtualDevice::Outcome VirtualDevice::RunAccountConfiguration(const PlistDict& body,
                                                              Timestamp now) {
  if (!awaiting_configuration_) {
    return Failed(
        OneErrorChain("MCMDMErrorDomain", 12021, "The device does not await configuration."));
  }
  ItemDefinition definition;
  definition.arguments = body;
  accounts_ = AccountNamesOf(definition);
  Note(now, "configured its accounts");
  return {};
}

void VirtualDevice::DeleteApp(const std::string& identifier, Timestamp now) {
  const InstalledApp* app = apps_.Find(identifier);
  const bool is_managed = app != nullptr && app->is_managed;
  if (!apps_.Remove(identifier)) return;
  if (is_managed) apps_.SetWord(identifier, {"ManagedButUninstalled", {}});
  Note(now, "a person deleted app " + identifier);
}

void VirtualDevice::AdvanceApps(Timestamp now) {
  const auto& events = behaviour_.app_events;
  while (app_events_done_ < events.size() && events[app_events_done_].at <= now) {
    const AppEvent& event = events[app_events_done_++];
    apps_.Settle(event.at);
    const auto& all = apps_.all();
    std::string identifier = event.identifier;
    if (identifier.empty() && !all.empty()) identifier = all[random_.Below(all.size())].identifier;
    switch (event.kind) {
      case AppEventKind::kDeleted:
        DeleteApp(identifier, now);
        break;
      case AppEventKind::kUpdated:
        if (apps_.Update(identifier)) Note(now, "app updated itself: " + identifier);
        break;
    }
  }
  apps_.Settle(now);
}

}  // namespace director
