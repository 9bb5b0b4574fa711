#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "tests/support/catch.h"
#include "tests/support/director_parts.h"
#include "tests/support/director_service.h"

namespace director::director_test {

/// A test configuration that answers MDMDirector's paths, with the password `word`.
inline Config CompatibleConfig() {
  Config config = MakeTestConfig();
  config.mdmdirector_password = SecretSource::FromValue(Secret("word"));
  return config;
}

/// A running Director that knows two Macs, and a client of MDMDirector.
struct CompatibleService {
  using Json = nlohmann::ordered_json;

  explicit CompatibleService(const Config& config = CompatibleConfig()) : service(config) {
    for (const VirtualDevice& device : {mac, other}) {
      Enroll(service.store(), device, service.clock().Now());
    }
  }

  ApiAnswer Send(const std::string& method, const std::string& path, const std::string& body = {},
                 const std::string& content_type = "") {
    return service.Send(method, path, body, content_type,
                        {{"Authorization", "Basic " + EncodeBase64("mdmdirector:word")}});
  }
  ApiAnswer Send(const std::string& method, const std::string& path, const Json& body) {
    return Send(method, path, body.dump());
  }
  ApiAnswer PostProfile(const Json& target, const std::string& mobileconfig) {
    Json body = target;
    body["profiles"] = {EncodeBase64(mobileconfig)};
    body["metadata"] = true;
    return Send("POST", "/profile", body);
  }
  Json ToMac() const { return {{"udids", {udid()}}}; }
  std::string udid() const { return mac.facts().udid; }

  std::vector<Assignment> Assignments() {
    std::vector<Assignment> all;
    REQUIRE(service.store().Read([&](StoreReader& reader) -> Status {
      auto found = reader.ListAssignments({});
      if (!found) return Fail(found.error());
      all = std::move(*found);
      return {};
    }));
    return all;
  }

  Service service;
  VirtualDevice mac = MakeMac(1);
  VirtualDevice other = MakeMac(2);
};

}  // namespace director::director_test
