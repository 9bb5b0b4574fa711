#include "simulator/webhook_sender.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/log.h"
#include "base/log_keys.h"
#include "base/text.h"
#include "signing/hmac.h"

namespace director {
namespace {

Result<std::string> DecodePercent(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    unsigned byte = 0;
    const char* begin = text.data() + i + 1;
    const bool has_digits = i + 2 < text.size();
    if (!has_digits || std::from_chars(begin, begin + 2, byte, 16).ptr != begin + 2) {
      return Fail(InvalidField("webhook_url", "broken percent-encoding in the credentials"));
    }
    decoded += static_cast<char>(byte);
    i += 2;
  }
  return decoded;
}

Status ReadUserInfo(std::string_view user_info, HttpEndpoint& endpoint) {
  const std::size_t colon = user_info.find(':');
  Result<std::string> user = DecodePercent(user_info.substr(0, colon));
  if (!user) return Fail(user.error());
  endpoint.user = std::move(*user);
  if (colon == std::string_view::npos) return {};
  Result<std::string> password = DecodePercent(user_info.substr(colon + 1));
  if (!password) return Fail(password.error());
  endpoint.password = Secret(std::move(*password));
  return {};
}

}  // namespace

Result<WebhookTarget> ParseWebhookUrl(const std::string& url) {
  const std::string_view text = url;
  const std::size_t scheme_end = text.find("://");
  const std::string_view scheme = text.substr(0, std::min(scheme_end, text.size()));
  if (scheme != "http" && scheme != "https") {
    return Fail(InvalidField("webhook_url", "the URL must begin with http:// or https://"));
  }
  const std::string_view rest = text.substr(scheme_end + 3);
  const std::size_t path_at = std::min(rest.find_first_of("/?"), rest.size());
  std::string_view authority = rest.substr(0, path_at);
  WebhookTarget target;
  const std::size_t at = authority.rfind('@');
  if (at != std::string_view::npos) {
    if (Status read = ReadUserInfo(authority.substr(0, at), target.endpoint); !read) {
      return Fail(read.error());
    }
    authority.remove_prefix(at + 1);
  }
  if (authority.empty()) return Fail(InvalidField("webhook_url", "the URL has no host"));
  target.endpoint.url = std::string(scheme) + "://" + std::string(authority);
  const std::string_view path = rest.substr(path_at);
  target.path = path.starts_with('/') ? std::string(path) : "/" + std::string(path);
  return target;
}

Result<std::unique_ptr<WebhookSender>> WebhookSender::Start(const MdmServerSettings& settings) {
  Result<WebhookTarget> target = ParseWebhookUrl(settings.webhook_url);
  if (!target) return Fail(target.error());
  Result<std::unique_ptr<HttpClient>> client = MakeHttpClient(target->endpoint);
  if (!client) return Fail(client.error());
  return std::unique_ptr<WebhookSender>(
      new WebhookSender(settings, std::move(*target), std::move(*client)));
}

WebhookSender::WebhookSender(const MdmServerSettings& settings, WebhookTarget target,
                             std::unique_ptr<HttpClient> client)
    : target_(std::move(target)),
      hmac_key_(settings.webhook_hmac_key),
      queue_max_(settings.webhook_queue_max),
      timeout_(settings.webhook_timeout),
      client_(std::move(client)) {
  const std::size_t count = std::clamp<std::size_t>(settings.webhook_threads, 1, 64);
  for (std::size_t i = 0; i < count; ++i) threads_.emplace_back([this] { Run(); });
}

WebhookSender::~WebhookSender() { Stop(); }

void WebhookSender::Post(std::string body) {
  {
    const std::lock_guard lock(mutex_);
    if (is_stopping_ || queue_.size() >= queue_max_) {
      ++counters_.dropped;
      return;
    }
    queue_.push_back(std::move(body));
  }
  work_.notify_one();
}

void WebhookSender::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    work_.wait(lock, [this] { return is_stopping_ || !queue_.empty(); });
    if (is_stopping_) return;
    const std::string body = std::move(queue_.front());
    queue_.pop_front();
    ++under_way_;
    lock.unlock();
    const bool was_delivered = Send(body);
    lock.lock();
    --under_way_;
    ++(was_delivered ? counters_.delivered : counters_.failed);
    if (queue_.empty() && under_way_ == 0) quiet_.notify_all();
  }
}

bool WebhookSender::Send(const std::string& body) {
  HttpRequest request;
  request.method = "POST";
  request.path = target_.path;
  request.body = body;
  request.content_type = "application/json; charset=utf-8";
  request.timeout = timeout_;
  if (!hmac_key_.empty()) {
    request.headers["X-Hmac-Signature"] = EncodeBase64(HmacSha256(hmac_key_, body));
  }
  const Result<HttpResponse> response = client_->Send(request);
  if (!response) {
    Log(LogLevel::kWarning, "the webhook could not be sent",
        {{log_key::kError, ErrorForLog(response.error())}});
    return false;
  }
  if (response->status == 200) return true;
  Log(LogLevel::kWarning, "the webhook was refused", {{log_key::kStatus, response->status}});
  return false;
}

bool WebhookSender::Flush(Duration timeout) {
  std::unique_lock lock(mutex_);
  return quiet_.wait_for(lock, timeout, [this] { return queue_.empty() && under_way_ == 0; });
}

void WebhookSender::Stop() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
    counters_.dropped += queue_.size();
    queue_.clear();
  }
  work_.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

WebhookCounters WebhookSender::counters() const {
  const std::lock_guard lock(mutex_);
  return counters_;
}

}  // namespace director
