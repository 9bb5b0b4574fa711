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
      Result<std::string> signature = Sign(device, message.body);
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

  Result<std::string> Sign(const DeviceFacts& device, std::string_view body) {
    // User channels use their device's certificate, so the UDID is the key.
    Result<const MessageSigner*> signer = SignerOf(device.udid);
    if (!signer) return Fail(signer.error());
    return (*signer)->SignDetached(body);
  }

  Result<const MessageSigner*> SignerOf(const std::string& udid) {
    {
      const std::lock_guard lock(mutex_);
      const auto found = signers_.find(udid);
      if (found != signers_.end()) return found->second.get();
      if (signers_.size() >= kSignersMax) {
        return Fail(ErrorKind::kUnavailable, "too many devices for one transport");
      }
    }
    // Making a key takes a while; a second thread's signer for the same device would be thrown
    // away.
    Result<PemIdentity> identity =
        IssueIdentity(*settings_.authority, udid, settings_.now, settings_.certificate_days);
    if (!identity) return Fail(identity.error());
    Result<std::unique_ptr<MessageSigner>> signer = MakeMessageSigner(*identity);
    if (!signer) return Fail(signer.error());
    const std::lock_guard lock(mutex_);
    return signers_.emplace(udid, std::move(*signer)).first->second.get();
  }

  const HttpTransportSettings settings_;
  const std::unique_ptr<HttpClient> client_;
  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<MessageSigner>> signers_;
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
