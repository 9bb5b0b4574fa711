#include "simulator/transport.h"

#include <map>
#include <mutex>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "base/log_keys.h"

namespace director {
namespace {

constexpr std::size_t kSignersMax = 1'000'000;

std::string_view ContentType(MessageKind kind) {
  switch (kind) {
    case MessageKind::kCheckin:
      return kCheckinContentType;
    case MessageKind::kConnect:
      return kConnectContentType;
  }
  return {};
}

DeviceRequest MakeRequest(const DeviceMessage& message) {
  return {std::string(ContentType(message.kind)), message.body, {}};
}

DeviceReply MakeReply(CoreAnswer answer) { return {answer.status, std::move(answer.body)}; }

class CoreTransport final : public DeviceTransport {
 public:
  CoreTransport(MdmStandIn& core, const Clock& clock) : core_(core), clock_(clock) {}
  DeviceReply Send(const DeviceFacts&, const DeviceMessage& message) override {
    return MakeReply(core_.HandleDevice(MakeRequest(message), clock_.Now()));
  }

 private:
  MdmStandIn& core_;
  const Clock& clock_;
};

class ServerTransport final : public DeviceTransport {
 public:
  explicit ServerTransport(MdmServer& server) : server_(server) {}
  DeviceReply Send(const DeviceFacts&, const DeviceMessage& message) override {
    return MakeReply(server_.HandleDevice(MakeRequest(message)));
  }

 private:
  MdmServer& server_;
};

class HttpTransport final : public DeviceTransport {
 public:
  HttpTransport(const HttpTransportSettings& settings, std::unique_ptr<HttpClient> client)
      : settings_(settings), client_(std::move(client)) {}

  DeviceReply Send(const DeviceFacts& device, const DeviceMessage& message) override {
    HttpRequest request;
    request.method = "PUT";
    request.path = Path(message.kind);
    request.body = message.body;
    request.content_type = ContentType(message.kind);
    request.timeout = settings_.timeout;
    if (settings_.authority) {
      Result<std::string> signature = Sign(device, message);
      if (!signature) return NoAnswer(signature.error());
      request.headers["Mdm-Signature"] = std::move(*signature);
    }
    Result<HttpResponse> response = client_->Send(request);
    if (!response) return NoAnswer(response.error());
    return {response->status, std::move(response->body)};
  }

 private:
  static DeviceReply NoAnswer(const Error& error) {
    Log(LogLevel::kDebug, "a simulated device got no answer",
        {{log_key::kError, ErrorForLog(error)}});
    return {};
  }

  std::string Path(MessageKind kind) const {
    switch (settings_.protocol) {
      case DeviceProtocol::kNanoMdm:
        return "/mdm";
      case DeviceProtocol::kMicroMdm:
        return kind == MessageKind::kCheckin ? "/mdm/checkin" : "/mdm/connect";
    }
    return {};
  }

  using Signer = std::shared_ptr<const MessageSigner>;
  struct SignerInUse {
    int identity = 0;
    Signer signer;
  };

  Result<std::string> Sign(const DeviceFacts& device, const DeviceMessage& message) {
    Result<Signer> signer = SignerOf(device, message.identity);
    if (!signer) return Fail(signer.error());
    return (*signer)->SignDetached(message.body);
  }

  /// User channels use their device's certificate, so the UDID is the key.
  Result<Signer> SignerOf(const DeviceFacts& device, int identity) {
    {
      const std::lock_guard lock(mutex_);
      const auto found = signers_.find(device.udid);
      const bool is_user = !device.user_id.empty();
      if (found != signers_.end() && (is_user || found->second.identity == identity)) {
        return found->second.signer;
      }
      if (found == signers_.end() && signers_.size() >= kSignersMax) {
        return Fail(ErrorKind::kUnavailable, "too many devices for one transport");
      }
    }
    // Making a key takes a while.
    Result<PemIdentity> issued =
        IssueIdentity(*settings_.authority, device.udid, settings_.now, settings_.certificate_days);
    if (!issued) return Fail(issued.error());
    Result<std::unique_ptr<MessageSigner>> signer = MakeMessageSigner(*issued);
    if (!signer) return Fail(signer.error());
    const std::lock_guard lock(mutex_);
    return Use(device, {identity, std::move(*signer)});
  }

  /// A second thread's signer for the same identity is thrown away, a user's for any.
  Signer Use(const DeviceFacts& device, SignerInUse made) {
    const auto [place, is_first] = signers_.try_emplace(device.udid, made);
    if (is_first) return made.signer;
    const bool replaces = device.user_id.empty() && place->second.identity != made.identity;
    if (replaces) place->second = std::move(made);
    return place->second.signer;
  }

  const HttpTransportSettings settings_;
  const std::unique_ptr<HttpClient> client_;
  std::mutex mutex_;
  std::map<std::string, SignerInUse> signers_;  ///< by UDID
};

}  // namespace

std::unique_ptr<DeviceTransport> MakeCoreTransport(MdmStandIn& core, const Clock& clock) {
  return std::make_unique<CoreTransport>(core, clock);
}

std::unique_ptr<DeviceTransport> MakeServerTransport(MdmServer& server) {
  return std::make_unique<ServerTransport>(server);
}

Result<std::unique_ptr<DeviceTransport>> MakeHttpTransport(const HttpTransportSettings& settings) {
  Result<std::unique_ptr<HttpClient>> client = MakeHttpClient(settings.endpoint);
  if (!client) return Fail(client.error());
  return std::make_unique<HttpTransport>(settings, std::move(*client));
}

}  // namespace director
