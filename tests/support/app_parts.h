#pragma once

#include <string>
#include <utility>

#include "mdm/plist.h"

namespace director::test {

/// The manifest of one package, as it stands beside it on a web server.
inline PlistDict AgentManifestDict(const std::string& identifier, const std::string& version) {
  PlistDict asset;
  asset.Set("kind", "software-package");
  asset.Set("url", "https://repo.example/agent.pkg");
  PlistDict metadata;
  metadata.Set("bundle-identifier", identifier);
  metadata.Set("bundle-version", version);
  metadata.Set("kind", "software");
  metadata.Set("title", "Agent");
  PlistDict item;
  item.Set("assets", PlistArray{std::move(asset)});
  item.Set("metadata", std::move(metadata));
  PlistDict manifest;
  manifest.Set("items", PlistArray{std::move(item)});
  return manifest;
}

inline std::string AgentManifest(const std::string& identifier, const std::string& version) {
  return EncodePlistXml(AgentManifestDict(identifier, version));
}

}  // namespace director::test
