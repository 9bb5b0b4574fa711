#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "director/http_server.h"
#include "director/json_body.h"
#include "store/store.h"

namespace director::mdmdirector {

// Shared by the .cc files of Api; shows the JSON library.

/// Who owns what comes in by MDMDirector's paths.
inline constexpr char kSource[] = "mdmdirector";
/// Of every answer: MDMDirector never called its JSON by name.
inline constexpr char kText[] = "text/plain; charset=utf-8";

/// 200 without a body: a write succeeded.
HttpServerResponse Done();
/// JSON as Go's library writes it: indented by four spaces, `<`, `>`, `&`, U+2028
/// and U+2029 escaped, no line end.
std::string Render(const nlohmann::ordered_json& json);
/// The same one level deeper: an element of an array.
std::string Indented(const std::string& text);
/// 200 with such JSON.
HttpServerResponse Answer(const nlohmann::ordered_json& json);
/// 200 with text in parts, each from `next` until one is empty. The first is asked for before the
/// status is sent: a database that is away is 503 and no half of a list.
HttpServerResponse AnswerInParts(std::function<Result<std::string>()> next);
/// The status of the error's kind and one line of text.
HttpServerResponse Problem(const Error& error);

/// The device channel with this UDID, letter case aside. Nothing when there is none.
Result<std::optional<Enrollment>> FindByUdid(StoreReader& reader, const std::string& udid);
/// The device channel with this serial number; of several, the one heard from last.
Result<std::optional<Enrollment>> FindBySerial(StoreReader& reader, const std::string& serial);
/// The devices that a request names.
struct DeviceNames {
  std::vector<std::string> udids;
  std::vector<std::string> serial_numbers;
};
/// Reads `udids` and `serial_numbers`; a mistake or too many of them is a problem of the body.
DeviceNames ReadDeviceNames(JsonBody& body);
/// Every device that is named, each once. kNotFound when one of them is nobody.
Result<std::vector<Enrollment>> FindNamed(StoreReader& reader, const DeviceNames& names);
/// What MDMDirector calls a device: its UDID, or the enrollment id when it has told none.
std::string UdidOf(const Enrollment& enrollment);

/// The profiles that are assigned to this one device and shall be there or not.
Result<nlohmann::ordered_json> DeviceProfilesJson(StoreReader& reader,
                                                  const Enrollment& enrollment);

/// Fills what the device with this UDID said about itself into a device object that has every key:
/// where the answer has the key with the type that MDMDirector's clients know, it replaces the zero
/// value. `SecurityInfo` and `OSUpdateSettings` keep MDMDirector's spelling of their keys.
void AddDeviceInformation(nlohmann::ordered_json& device, const std::string& udid,
                          const InventoryRecord& record);
void AddSecurityInfo(nlohmann::ordered_json& device, const std::string& udid,
                     const InventoryRecord& record);
/// Adds `Certificates`; one that cannot be read is left out.
void AddCertificates(nlohmann::ordered_json& device, const std::string& udid,
                     const InventoryRecord& record);

}  // namespace director::mdmdirector
