#include "mdm/event.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/text.h"

namespace director {
namespace {

/// The UserID of every user of a Shared iPad. Source: Apple device-management schema,
/// checkin/tokenupdate.
constexpr std::string_view kSharedIpadUserId = "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF";
constexpr std::string_view kDeclarativeSource = "Declarative Device Management";
constexpr std::string_view kMdmPayload = "com.apple.mdm";
constexpr std::size_t kTopicMaxBytes = 64;

constexpr std::array<std::pair<ChannelType, std::string_view>, 5> kChannelTypes = {
    {{ChannelType::kDevice, "Device"},
     {ChannelType::kUser, "User"},
     {ChannelType::kSharedIpad, "Shared iPad"},
     {ChannelType::kUserEnrollmentDevice, "User Enrollment (Device)"},
     {ChannelType::kUserEnrollment, "User Enrollment"}}};

/// The key that holds the answer to each kind of question.
constexpr std::array<std::pair<InventoryKind, std::string_view>, 5> kAnswerKeys = {
    {{InventoryKind::kDeviceInformation, "QueryResponses"},
     {InventoryKind::kSecurityInfo, "SecurityInfo"},
     {InventoryKind::kCertificateList, "CertificateList"},
     {InventoryKind::kManagedApplicationList, "ManagedApplicationList"},
     {InventoryKind::kInstalledApplicationList, "InstalledApplicationList"}}};

constexpr std::array<std::pair<CommandStatus, std::string_view>, 4> kStatuses = {
    {{CommandStatus::kAcknowledged, "Acknowledged"},
     {CommandStatus::kError, "Error"},
     {CommandStatus::kCommandFormatError, "CommandFormatError"},
     {CommandStatus::kNotNow, "NotNow"}}};

/// Reads the keys of one dictionary. A missing key reads as empty; the first key of a wrong type is
/// kept as the error, so that a decoder reads all its keys and asks once.
class KeyReader {
 public:
  explicit KeyReader(const PlistDict& dict, std::string place = {})
      : dict_(dict), place_(std::move(place)) {}

  std::string String(std::string_view key) {
    const PlistValue* value = dict_.Find(key);
    if (value == nullptr) return {};
    if (const std::string* text = value->AsString()) return *text;
    Refuse(key, "must be a string");
    return {};
  }

  std::string RequiredString(std::string_view key) {
    std::string text = String(key);
    if (text.empty()) Refuse(key, "is missing or empty");
    return text;
  }

  /// Older systems send booleans as integers.
  std::optional<bool> Bool(std::string_view key) {
    const PlistValue* value = dict_.Find(key);
    if (value == nullptr) return std::nullopt;
    if (const bool* boolean = value->AsBool()) return *boolean;
    if (const PlistInteger* integer = value->AsInteger()) return integer->magnitude != 0;
    Refuse(key, "must be a boolean");
    return std::nullopt;
  }

  /// Some clients send codes as strings.
  std::int64_t Code(std::string_view key) {
    const PlistValue* value = dict_.Find(key);
    if (value == nullptr) return 0;
    if (const PlistInteger* integer = value->AsInteger()) return integer->ToSigned(0);
    std::int64_t code = 0;
    if (const std::string* text = value->AsString()) {
      const char* end = text->data() + text->size();
      const auto result = std::from_chars(text->data(), end, code);
      if (result.ec == std::errc() && result.ptr == end) return code;
    }
    Refuse(key, "must be an integer");
    return 0;
  }

  const PlistArray* Array(std::string_view key) {
    const PlistValue* value = dict_.Find(key);
    const PlistArray* array = value == nullptr ? nullptr : value->AsArray();
    if (value != nullptr && array == nullptr) Refuse(key, "must be an array");
    return array;
  }

  const PlistDict* Dict(std::string_view key) {
    const PlistValue* value = dict_.Find(key);
    const PlistDict* dict = value == nullptr ? nullptr : value->AsDict();
    if (value != nullptr && dict == nullptr) Refuse(key, "must be a dictionary");
    return dict;
  }

  void Refuse(std::string_view key, std::string_view why) {
    if (error_) return;
    const std::string field = place_.empty() ? std::string(key) : fmt::format("{}.{}", place_, key);
    error_ = InvalidField(field, fmt::format("{} {}", field, why));
  }

  /// The first refusal, or `value`.
  template <typename T>
  Result<T> Finish(T value) const {
    if (error_) return Fail(*error_);
    return value;
  }

 private:
  const PlistDict& dict_;
  std::string place_;
  std::optional<Error> error_;
};

/// Decodes each item of an array of dictionaries; fails with the first bad one.
template <typename T>
Result<std::vector<T>> DecodeItems(const PlistArray& array, std::string_view key,
                                   Result<T> (*decode)(const PlistDict&, std::string)) {
  std::vector<T> items;
  for (std::size_t i = 0; i < array.size(); ++i) {
    std::string place = fmt::format("{}[{}]", key, i);
    const PlistDict* dict = array[i].AsDict();
    if (dict == nullptr) return Fail(InvalidField(place, place + " must be a dictionary"));
    auto item = decode(*dict, std::move(place));
    if (!item) return Fail(item.error());
    items.push_back(std::move(*item));
  }
  return items;
}

/// True when the text can be one part of an enrollment id and of a URL path. Empty is allowed.
bool IsIdPart(std::string_view text) {
  return text != "." && text != ".." && text.size() <= kEnrollmentIdSizeMaxBytes &&
         text.find_first_of(":/\\,\"'`") == std::string_view::npos &&
         Printable(text, text.size()) == text;
}

std::string ReadIdPart(KeyReader& reader, std::string_view key) {
  std::string text = reader.String(key);
  if (!IsIdPart(text)) reader.Refuse(key, "is no valid identifier");
  return text;
}

/// Makes a channel of its parts; the enrollment id is put together here and nowhere else.
Result<Channel> MakeChannel(const std::string& device_id, Channel channel) {
  channel.device_id = EnrollmentId(device_id);
  std::string id = device_id;
  if (IsUserChannel(channel.type)) id += ":" + channel.user_id;
  if (id.size() > kEnrollmentIdSizeMaxBytes) {
    return Fail(ErrorKind::kInvalid, "the enrollment id is longer than 255 bytes");
  }
  channel.enrollment_id = EnrollmentId(std::move(id));
  return channel;
}

Result<Channel> DecodeUdidChannel(KeyReader& reader, const std::string& udid) {
  Channel channel;
  channel.udid = udid;
  channel.user_id = ReadIdPart(reader, "UserID");
  if (channel.user_id == kSharedIpadUserId) {
    channel.type = ChannelType::kSharedIpad;
    channel.user_id = ReadIdPart(reader, "UserShortName");
    if (channel.user_id.empty()) reader.Refuse("UserShortName", "is missing or empty");
  } else if (!channel.user_id.empty()) {
    channel.type = ChannelType::kUser;
  }
  auto checked = reader.Finish(std::move(channel));
  if (!checked) return checked;
  return MakeChannel(udid, std::move(*checked));
}

Result<Channel> DecodeUserEnrollmentChannel(KeyReader& reader, const std::string& enrollment_id) {
  Channel channel;
  channel.user_id = ReadIdPart(reader, "EnrollmentUserID");
  channel.type =
      channel.user_id.empty() ? ChannelType::kUserEnrollmentDevice : ChannelType::kUserEnrollment;
  auto checked = reader.Finish(std::move(channel));
  if (!checked) return checked;
  return MakeChannel(enrollment_id, std::move(*checked));
}

Result<EventBody> DecodeAuthenticate(KeyReader& reader) {
  AuthenticateEvent event;
  event.topic = reader.String("Topic");
  event.serial_number = reader.String("SerialNumber");
  event.os_version = reader.String("OSVersion");
  event.build_version = reader.String("BuildVersion");
  event.product_name = reader.String("ProductName");
  event.model = reader.String("Model");
  event.device_name = reader.String("DeviceName");
  return reader.Finish(EventBody(std::move(event)));
}

Result<EventBody> DecodeTokenUpdate(KeyReader& reader) {
  TokenUpdateEvent event;
  event.topic = reader.String("Topic");
  event.awaiting_configuration = reader.Bool("AwaitingConfiguration");
  event.user_short_name = reader.String("UserShortName");
  return reader.Finish(EventBody(std::move(event)));
}

Result<ErrorChainEntry> DecodeErrorChainEntry(const PlistDict& dict, std::string place) {
  KeyReader reader(dict, std::move(place));
  ErrorChainEntry entry;
  entry.code = reader.Code("ErrorCode");
  entry.domain = reader.String("ErrorDomain");
  entry.localized_description = reader.String("LocalizedDescription");
  entry.us_english_description = reader.String("USEnglishDescription");
  return reader.Finish(std::move(entry));
}

/// Decodes one payload of a reported profile as far as Director reads it: is it the MDM payload?
Result<bool> DecodeIsMdmPayload(const PlistDict& dict, std::string place) {
  KeyReader reader(dict, std::move(place));
  return reader.Finish(reader.String("PayloadType") == kMdmPayload);
}

Result<ReportedProfile> DecodeReportedProfile(const PlistDict& dict, std::string place) {
  KeyReader reader(dict, place);
  ReportedProfile profile;
  profile.payload_identifier = PayloadIdentifier(reader.RequiredString("PayloadIdentifier"));
  profile.payload_uuid = reader.String("PayloadUUID");
  profile.display_name = reader.String("PayloadDisplayName");
  profile.is_declarative = reader.String("Source") == kDeclarativeSource;
  if (const PlistArray* content = reader.Array("PayloadContent")) {
    const auto payloads =
        DecodeItems<bool>(*content, place + ".PayloadContent", &DecodeIsMdmPayload);
    if (!payloads) return Fail(payloads.error());
    profile.has_mdm_payload =
        std::find(payloads->begin(), payloads->end(), true) != payloads->end();
  }
  return reader.Finish(std::move(profile));
}

Result<DeviceInformationReport> DecodeDeviceInformation(const PlistDict& dict) {
  KeyReader reader(dict, "QueryResponses");
  DeviceInformationReport report;
  report.serial_number = reader.String("SerialNumber");
  report.os_version = reader.String("OSVersion");
  report.build_version = reader.String("BuildVersion");
  report.product_name = reader.String("ProductName");
  report.model_name = reader.String("ModelName");
  report.device_name = reader.String("DeviceName");
  report.is_supervised = reader.Bool("IsSupervised");
  report.awaiting_configuration = reader.Bool("AwaitingConfiguration");
  return reader.Finish(std::move(report));
}

/// True for what the schema promises: a dictionary, or an array of dictionaries, so that whoever
/// reads the answer need not look.
bool IsAnswerTo(InventoryKind kind, const PlistValue& answer) {
  const bool is_list =
      kind == InventoryKind::kCertificateList || kind == InventoryKind::kInstalledApplicationList;
  if (!is_list) return answer.AsDict() != nullptr;
  const PlistArray* list = answer.AsArray();
  return list != nullptr && std::all_of(list->begin(), list->end(), [](const PlistValue& entry) {
           return entry.AsDict() != nullptr;
         });
}

/// The answer to a question about the device as it is; nothing when it has another shape: that is
/// an answer all the same, without news.
std::optional<InventoryReport> DecodeInventory(const PlistDict& message) {
  for (const auto& [kind, key] : kAnswerKeys) {
    const PlistValue* answer = message.Find(key);
    if (answer == nullptr) continue;
    if (!IsAnswerTo(kind, *answer)) return std::nullopt;
    return InventoryReport{kind, *answer};
  }
  return std::nullopt;
}

/// The new personal recovery key, encrypted. One of another shape is none: the answer itself
/// counts. Source: Apple device-management schema, rotate.file.vault.key.
std::string DecodeEncryptedRecoveryKey(const PlistDict& message) {
  const PlistValue* result = message.Find("RotateResult");
  const PlistDict* dict = result == nullptr ? nullptr : result->AsDict();
  const PlistValue* key = dict == nullptr ? nullptr : dict->Find("EncryptedNewRecoveryKey");
  const PlistData* data = key == nullptr ? nullptr : key->AsData();
  if (data == nullptr || data->bytes.size() > kEncryptedRecoveryKeyMaxBytes) return {};
  return data->bytes;
}

/// Decodes the parts of a result that have a structure of their own.
Status DecodeAnswers(KeyReader& reader, ResultEvent& event) {
  if (const PlistArray* chain = reader.Array("ErrorChain")) {
    auto entries = DecodeItems<ErrorChainEntry>(*chain, "ErrorChain", &DecodeErrorChainEntry);
    if (!entries) return Fail(entries.error());
    event.error_chain = std::move(*entries);
  }
  if (const PlistArray* list = reader.Array("ProfileList")) {
    auto profiles = DecodeItems<ReportedProfile>(*list, "ProfileList", &DecodeReportedProfile);
    if (!profiles) return Fail(profiles.error());
    event.profile_list = std::move(*profiles);
  }
  event.password_verified = reader.Bool("PasswordVerified");
  if (const PlistDict* responses = reader.Dict("QueryResponses")) {
    auto report = DecodeDeviceInformation(*responses);
    if (!report) return Fail(report.error());
    event.device_information = std::move(*report);
  }
  return {};
}

Result<CommandStatus> ParseStatus(std::string_view name) {
  for (const auto& [status, status_name] : kStatuses) {
    if (name == status_name) return status;
  }
  return Fail(InvalidField("Status", "Status is unknown: " + Printable(name, kTopicMaxBytes)));
}

struct EventNamer {
  std::string_view operator()(const AuthenticateEvent&) const { return "Authenticate"; }
  std::string_view operator()(const TokenUpdateEvent&) const { return "TokenUpdate"; }
  std::string_view operator()(const CheckOutEvent&) const { return "CheckOut"; }
  std::string_view operator()(const IdleEvent&) const { return "Idle"; }
  std::string_view operator()(const ResultEvent& event) const {
    return CommandStatusName(event.status);
  }
  std::string_view operator()(const OtherEvent& event) const { return event.topic; }
};

}  // namespace

std::vector<ReportedApp> ReadApps(const PlistArray& answer) {
  std::vector<ReportedApp> apps;
  for (const PlistValue& value : answer) {
    const PlistDict* dict = value.AsDict();
    if (dict == nullptr || TextAt(*dict, "Identifier").empty()) continue;
    const PlistValue* installing = dict->Find("Installing");
    const bool* flag = installing == nullptr ? nullptr : installing->AsBool();
    apps.push_back({TextAt(*dict, "Identifier"), TextAt(*dict, "Version"),
                    TextAt(*dict, "ShortVersion"), flag != nullptr && *flag});
  }
  return apps;
}

std::vector<ReportedManagedApp> ReadManagedApps(const PlistDict& answer) {
  std::vector<ReportedManagedApp> apps;
  for (const auto& [identifier, value] : answer.entries()) {
    const PlistDict* dict = value.AsDict();
    if (dict == nullptr || identifier.empty()) continue;
    std::string status = Printable(TextAt(*dict, "Status"), kManagedAppStatusMaxBytes);
    if (!status.empty()) apps.push_back({identifier, std::move(status)});
  }
  return apps;
}

std::string_view ChannelTypeName(ChannelType type) {
  for (const auto& [known, name] : kChannelTypes) {
    if (known == type) return name;
  }
  return {};
}

Result<ChannelType> ParseChannelType(std::string_view name) {
  for (const auto& [type, known] : kChannelTypes) {
    if (known == name) return type;
  }
  return Fail(InvalidField("type", "unknown channel type"));
}

bool IsUserChannel(ChannelType type) {
  switch (type) {
    case ChannelType::kDevice:
    case ChannelType::kUserEnrollmentDevice:
      return false;
    case ChannelType::kUser:
    case ChannelType::kSharedIpad:
    case ChannelType::kUserEnrollment:
      return true;
  }
  return false;
}

Result<Channel> DecodeChannel(const PlistDict& message) {
  KeyReader reader(message);
  const std::string udid = ReadIdPart(reader, "UDID");
  if (!udid.empty()) return DecodeUdidChannel(reader, udid);
  const std::string enrollment_id = ReadIdPart(reader, "EnrollmentID");
  if (enrollment_id.empty()) reader.Refuse("UDID", "and EnrollmentID are missing or empty");
  return DecodeUserEnrollmentChannel(reader, enrollment_id);
}

std::string_view CommandStatusName(CommandStatus status) {
  for (const auto& [known, name] : kStatuses) {
    if (known == status) return name;
  }
  return {};
}

Result<EventBody> DecodeCheckin(const PlistDict& message) {
  KeyReader reader(message);
  const std::string type = reader.RequiredString("MessageType");
  if (type == "Authenticate") return DecodeAuthenticate(reader);
  if (type == "TokenUpdate") return DecodeTokenUpdate(reader);
  if (type == "CheckOut") return reader.Finish(EventBody(CheckOutEvent{}));
  return reader.Finish(EventBody(OtherEvent{Printable(type, kTopicMaxBytes)}));
}

Result<EventBody> DecodeResult(const PlistDict& message) {
  KeyReader reader(message);
  const std::string status_name = reader.RequiredString("Status");
  if (status_name == "Idle") return EventBody(IdleEvent{});
  ResultEvent event;
  event.command_uuid = CommandUuid(reader.RequiredString("CommandUUID"));
  if (auto read = reader.Finish(true); !read) return Fail(read.error());
  auto status = ParseStatus(status_name);
  if (!status) return Fail(status.error());
  event.status = *status;
  event.rejection_reason = TextAt(message, "RejectionReason");
  if (auto answers = DecodeAnswers(reader, event); !answers) return Fail(answers.error());
  if (event.status == CommandStatus::kAcknowledged) {
    event.inventory = DecodeInventory(message);
    event.encrypted_recovery_key = DecodeEncryptedRecoveryKey(message);
  }
  return reader.Finish(EventBody(std::move(event)));
}

std::string_view EventName(const EventBody& body) { return std::visit(EventNamer{}, body); }

}  // namespace director
