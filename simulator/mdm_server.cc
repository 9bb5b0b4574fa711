#include "simulator/mdm_server.h"

#include <fmt/format.h>
#include <httplib.h>

#include <algorithm>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/text.h"
#include "simulator/webhook_sender.h"

namespace director {
namespace {

constexpr int kKeepAliveSeconds = 2;

void Write(const CoreAnswer& answer, httplib::Response& response) {
  response.status = answer.status;
  if (!answer.content_type.empty()) response.set_content(answer.body, answer.content_type);
}

/// Reads the body by hand: the library would take `application/x-www-form-urlencoded` apart, while
/// the real server ignores the type. Nothing when it is too large or ends early.
std::optional<std::string> ReadBody(const httplib::ContentReader& reader,
                                    httplib::Response& response) {
  std::string body;
  const bool is_whole = reader([&body](const char* bytes, std::size_t size) {
    if (body.size() + size > kCoreBodyMaxBytes) return false;
    body.append(bytes, size);
    return true;
  });
  if (is_whole) return body;
  Write({413, "text/plain; charset=utf-8", "Request Entity Too Large\n"}, response);
  return std::nullopt;
}

}  // namespace

class MdmServer::Impl {
 public:
  Impl(const MdmServerSettings& settings, const Clock& clock,
       std::unique_ptr<WebhookSender> webhook)
      : settings_(settings),
        clock_(clock),
        webhook_(std::move(webhook)),
        core_(settings.faults, MakeSinks(), settings.seed),
        authorization_("Basic " + EncodeBase64("nanomdm:" + settings.api_key.Reveal())) {}
  ~Impl() { Stop(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Status Listen();
  void Stop();

  CoreAnswer HandleDevice(const DeviceRequest& request) {
    return Run([&] { return core_.HandleDevice(request, clock_.Now()); });
  }
  CoreAnswer HandleApi(const ApiRequest& request) {
    return Run([&] { return core_.HandleApi(request, clock_.Now()); });
  }
  void SetPushListener(PushListener listener) {
    const std::lock_guard lock(listener_mutex_);
    listener_ = std::move(listener);
  }
  template <typename Use>
  auto WithCore(Use use) {
    const std::lock_guard lock(core_mutex_);
    return use(core_);
  }

  int port() const { return port_; }
  const MdmServerSettings& settings() const { return settings_; }
  WebhookSender* webhook() { return webhook_.get(); }

 private:
  CoreSinks MakeSinks() {
    CoreSinks sinks;
    sinks.webhook = [this](const std::string& body) {
      if (webhook_) webhook_->Post(body);
    };
    sinks.push = [this](const EnrollmentId& id) { pending_pushes_.push_back(id); };
    return sinks;
  }

  template <typename Call>
  CoreAnswer Run(Call call);
  void Route();
  bool IsAllowed(const httplib::Request& request, httplib::Response& response) const;
  void ServeApi(const httplib::Request& request, std::string body, httplib::Response& response);
  void ServeDevice(const httplib::Request& request, std::string body, httplib::Response& response);

  const MdmServerSettings settings_;
  const Clock& clock_;
  const std::unique_ptr<WebhookSender> webhook_;
  std::mutex core_mutex_;
  MdmCore core_;
  std::vector<EnrollmentId> pending_pushes_;  // guarded by core_mutex_
  std::mutex listener_mutex_;
  PushListener listener_;
  const std::string authorization_;
  httplib::Server http_;
  std::thread thread_;
  std::mutex stop_mutex_;
  int port_ = 0;
};

template <typename Call>
CoreAnswer MdmServer::Impl::Run(Call call) {
  std::vector<EnrollmentId> pushes;
  CoreAnswer answer;
  {
    const std::lock_guard lock(core_mutex_);
    answer = call();
    pushes.swap(pending_pushes_);
  }
  if (pushes.empty()) return answer;
  // Outside of the core's lock: the listener may wake a device that connects at once.
  const std::lock_guard lock(listener_mutex_);
  if (!listener_) return answer;
  for (const EnrollmentId& id : pushes) listener_(id);
  return answer;
}

bool MdmServer::Impl::IsAllowed(const httplib::Request& request,
                                httplib::Response& response) const {
  if (settings_.api_key.empty()) {
    Write({404, "text/plain; charset=utf-8", "404 page not found\n"}, response);
    return false;
  }
  if (ConstantTimeEquals(request.get_header_value("Authorization"), authorization_)) return true;
  Write({401, "text/plain; charset=utf-8", "Unauthorized\n"}, response);
  response.set_header("Www-Authenticate", "Basic realm=\"nanomdm\"");
  return false;
}

void MdmServer::Impl::ServeApi(const httplib::Request& request, std::string body,
                               httplib::Response& response) {
  if (!IsAllowed(request, response)) return;
  std::this_thread::sleep_for(settings_.api_delay);
  Write(HandleApi({request.method, request.target, std::move(body)}), response);
}

void MdmServer::Impl::ServeDevice(const httplib::Request& request, std::string body,
                                  httplib::Response& response) {
  DeviceRequest device;
  device.content_type = request.get_header_value("Content-Type");
  device.body = std::move(body);
  // emplace keeps the first of repeated parameters, as the real server does.
  for (const auto& [key, value] : request.params) device.url_params.emplace(key, value);
  Write(HandleDevice(device), response);
}

void MdmServer::Impl::Route() {
  using httplib::ContentReader;
  using httplib::Request;
  using httplib::Response;
  const auto api = [this](const Request& request, Response& response) {
    ServeApi(request, "", response);
  };
  const auto api_with_body = [this](const Request& request, Response& response,
                                    const ContentReader& reader) {
    if (auto body = ReadBody(reader, response)) ServeApi(request, std::move(*body), response);
  };
  const std::string paths = "/v1/(enqueue|push|queue)/.*";
  http_.Get(paths, api);
  http_.Delete(paths, api);
  http_.Put(paths, api_with_body);
  http_.Post(paths, api_with_body);
  http_.Get("/version", [this](const Request& request, Response& response) {
    Write(HandleApi({request.method, request.target, ""}), response);
  });
  const auto device = [this](const Request& request, Response& response,
                             const ContentReader& reader) {
    if (auto body = ReadBody(reader, response)) ServeDevice(request, std::move(*body), response);
  };
  http_.Put("/mdm", device);
  http_.Put("/checkin", device);
}

Status MdmServer::Impl::Listen() {
  const std::size_t threads = std::clamp<std::size_t>(settings_.http_threads, 1, 256);
  http_.new_task_queue = [threads] { return new httplib::ThreadPool(threads); };
  http_.set_payload_max_length(kCoreBodyMaxBytes);
  http_.set_keep_alive_timeout(kKeepAliveSeconds);
  http_.set_tcp_nodelay(true);
  Route();
  if (settings_.port == 0) {
    port_ = http_.bind_to_any_port(settings_.host);
  } else if (http_.bind_to_port(settings_.host, settings_.port)) {
    port_ = settings_.port;
  }
  if (port_ <= 0) {
    return Fail(ErrorKind::kUnavailable,
                fmt::format("cannot listen on {}:{}", settings_.host, settings_.port));
  }
  thread_ = std::thread([this] { http_.listen_after_bind(); });
  // One answered request proves that the loop runs; `stop` before that would be lost.
  httplib::Client probe(settings_.host, port_);
  if (!probe.Get("/version")) return Fail(ErrorKind::kUnavailable, "the listener does not answer");
  return {};
}

void MdmServer::Impl::Stop() {
  const std::lock_guard lock(stop_mutex_);
  if (thread_.joinable()) {
    http_.stop();
    thread_.join();
  }
  if (webhook_) webhook_->Stop();
}

Result<std::unique_ptr<MdmServer>> MdmServer::Start(const MdmServerSettings& settings,
                                                    const Clock& clock) {
  std::unique_ptr<WebhookSender> webhook;
  if (!settings.webhook_url.empty()) {
    Result<std::unique_ptr<WebhookSender>> started = WebhookSender::Start(settings);
    if (!started) return Fail(started.error());
    webhook = std::move(*started);
  }
  auto impl = std::make_unique<Impl>(settings, clock, std::move(webhook));
  if (Status listening = impl->Listen(); !listening) return Fail(listening.error());
  return std::unique_ptr<MdmServer>(new MdmServer(std::move(impl)));
}

MdmServer::MdmServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
MdmServer::~MdmServer() = default;

void MdmServer::Stop() { impl_->Stop(); }
int MdmServer::port() const { return impl_->port(); }
std::string MdmServer::url() const {
  return fmt::format("http://{}:{}", impl_->settings().host, impl_->port());
}
void MdmServer::SetPushListener(PushListener listener) {
  impl_->SetPushListener(std::move(listener));
}
CoreAnswer MdmServer::HandleDevice(const DeviceRequest& request) {
  return impl_->HandleDevice(request);
}
CoreAnswer MdmServer::HandleApi(const ApiRequest& request) { return impl_->HandleApi(request); }
void MdmServer::SetFaults(const CoreFaults& faults) {
  impl_->WithCore([&](MdmCore& core) { core.SetFaults(faults); });
}
void MdmServer::MarkUnregistered(const EnrollmentId& enrollment_id) {
  impl_->WithCore([&](MdmCore& core) { core.MarkUnregistered(enrollment_id); });
}
void MdmServer::LoseQueue(const EnrollmentId& enrollment_id) {
  impl_->WithCore([&](MdmCore& core) { core.LoseQueue(enrollment_id); });
}
std::optional<CoreEnrollment> MdmServer::FindEnrollment(const EnrollmentId& enrollment_id) const {
  return impl_->WithCore([&](MdmCore& core) { return core.FindEnrollment(enrollment_id); });
}
CoreCounters MdmServer::core_counters() const {
  return impl_->WithCore([](MdmCore& core) { return core.counters(); });
}
WebhookCounters MdmServer::webhook_counters() const {
  return impl_->webhook() == nullptr ? WebhookCounters() : impl_->webhook()->counters();
}
bool MdmServer::FlushWebhooks(Duration timeout) {
  return impl_->webhook() == nullptr || impl_->webhook()->Flush(timeout);
}

}  // namespace director
