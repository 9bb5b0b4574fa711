#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "simulator/mdm_server.h"
#include "upstream/http_client.h"

namespace director {

/// Where events go: a URL taken apart. User info became Basic credentials, path and query stayed
/// encoded.
struct WebhookTarget {
  HttpEndpoint endpoint;
  std::string path;
};

/// kInvalid when it is no http(s) URL with a host, or its user info is badly percent-encoded.
Result<WebhookTarget> ParseWebhookUrl(const std::string& url);

/// Posts events in the background, each once. Thread-safe. Part of `MdmServer`.
class WebhookSender {
 public:
  static Result<std::unique_ptr<WebhookSender>> Start(const MdmServerSettings& settings);
  ~WebhookSender();
  WebhookSender(const WebhookSender&) = delete;
  WebhookSender& operator=(const WebhookSender&) = delete;

  /// Never blocks on the network. Drops the event when the queue is full or after Stop.
  void Post(std::string body);
  /// False after `timeout`.
  bool Flush(Duration timeout);
  /// Drops what waits, joins. Idempotent.
  void Stop();
  WebhookCounters counters() const;

 private:
  WebhookSender(const MdmServerSettings& settings, WebhookTarget target,
                std::unique_ptr<HttpClient> client);
  void Run();
  bool Send(const std::string& body);

  const WebhookTarget target_;
  const Secret hmac_key_;
  const std::size_t queue_max_;
  const Duration timeout_;
  const std::unique_ptr<HttpClient> client_;

  mutable std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable quiet_;
  std::deque<std::string> queue_;
  std::size_t under_way_ = 0;
  bool is_stopping_ = false;
  WebhookCounters counters_;
  std::vector<std::thread> threads_;
};

}  // namespace director
