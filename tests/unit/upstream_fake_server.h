#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/text.h"

namespace director {

/// A request as it came over the wire.
struct SeenRequest {
  std::string method;
  std::string target;                          ///< path and query, still encoded
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body;
};

/// What a `FakeServer` does with a request.
struct FakeReply {
  enum class Then { kKeep, kClose, kSilence };
  std::string bytes;  ///< raw
  Then then = Then::kKeep;
};

/// An HTTP answer with its length.
inline FakeReply Answer(int status, const std::string& body,
                        const std::string& content_type = "application/json") {
  return {"HTTP/1.1 " + std::to_string(status) + " Text\r\nContent-Type: " + content_type +
              "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body,
          FakeReply::Then::kKeep};
}

/// Closes the connection without a word, like a handler that panics.
inline FakeReply Drop() { return {"", FakeReply::Then::kClose}; }

/// Keeps the connection open and never answers.
inline FakeReply Silence() { return {"", FakeReply::Then::kSilence}; }

/// An HTTP server on a free port of 127.0.0.1 that can also misbehave, which real servers cannot be
/// told to do. One thread; the handler runs there and must not assert. All bytes it sends fit into
/// the socket's buffer or are written blocking with a limit of 5 s.
class FakeServer {
 public:
  using Handler = std::function<FakeReply(const SeenRequest&)>;

  explicit FakeServer(Handler handler) : handler_(std::move(handler)) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    void* raw = &address;
    wake_ = eventfd(0, EFD_CLOEXEC);
    if (listener_ < 0 || wake_ < 0 || bind(listener_, static_cast<sockaddr*>(raw), size) != 0 ||
        listen(listener_, 64) != 0 ||
        getsockname(listener_, static_cast<sockaddr*>(raw), &size) != 0) {
      throw std::runtime_error("cannot open a listening socket");
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;

  ~FakeServer() {
    const std::uint64_t one = 1;
    if (write(wake_, &one, sizeof(one)) != sizeof(one)) std::abort();
    thread_.join();
    close(listener_);
    close(wake_);
  }

  std::string Url() const { return "http://127.0.0.1:" + std::to_string(port_); }

  std::vector<SeenRequest> Requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

  /// The requests once there are `count` of them, or after five seconds: a client that gave up
  /// waiting may be ahead of this server on a busy machine.
  std::vector<SeenRequest> WaitForRequests(std::size_t count) const {
    std::unique_lock lock(mutex_);
    arrived_.wait_for(lock, std::chrono::seconds(5), [&] { return requests_.size() >= count; });
    return requests_;
  }

  int ConnectionCount() const {
    const std::lock_guard lock(mutex_);
    return connection_count_;
  }

 private:
  using Connections = std::map<int, std::string>;  // socket to what is not answered yet

  void Serve() {
    Connections connections;
    while (true) {
      std::vector<pollfd> waits = {{wake_, POLLIN, 0}, {listener_, POLLIN, 0}};
      for (const auto& [fd, pending] : connections) waits.push_back({fd, POLLIN, 0});
      if (poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) break;
      if (waits[0].revents != 0) break;
      if (waits[1].revents != 0) Accept(connections);
      for (std::size_t i = 2; i < waits.size(); ++i) {
        if (waits[i].revents == 0 || Read(waits[i].fd, connections[waits[i].fd])) continue;
        close(waits[i].fd);
        connections.erase(waits[i].fd);
      }
    }
    for (const auto& [fd, pending] : connections) close(fd);
  }

  void Accept(Connections& connections) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    const timeval limit{5, 0};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    connections[fd];
    const std::lock_guard lock(mutex_);
    ++connection_count_;
  }

  /// Returns false when the connection is to be closed.
  bool Read(int fd, std::string& pending) {
    char buffer[16384];
    const ssize_t size = recv(fd, buffer, sizeof(buffer), 0);
    if (size <= 0) return false;
    pending.append(buffer, static_cast<std::size_t>(size));
    SeenRequest request;
    if (!TakeRequest(pending, request)) return true;
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    arrived_.notify_all();
    const FakeReply reply = handler_(request);
    std::string_view rest = reply.bytes;
    while (!rest.empty()) {
      const ssize_t sent = send(fd, rest.data(), rest.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      rest.remove_prefix(static_cast<std::size_t>(sent));
    }
    return reply.then != FakeReply::Then::kClose;
  }

  /// Moves one complete request out of `pending`.
  static bool TakeRequest(std::string& pending, SeenRequest& request) {
    const std::size_t head_end = pending.find("\r\n\r\n");
    if (head_end == std::string::npos) return false;
    std::size_t line_end = pending.find("\r\n");
    const std::string line = pending.substr(0, line_end);
    const std::size_t space = line.find(' ');
    request.method = line.substr(0, space);
    request.target = line.substr(space + 1, line.rfind(' ') - space - 1);
    while (line_end < head_end) {
      const std::size_t begin = line_end + 2;
      line_end = pending.find("\r\n", begin);
      const std::size_t colon = pending.find(':', begin);
      request.headers[ToLowerAscii(pending.substr(begin, colon - begin))] =
          pending.substr(colon + 2, line_end - colon - 2);
    }
    const auto length = request.headers.find("content-length");
    const std::size_t body_size = length == request.headers.end() ? 0 : std::stoul(length->second);
    if (pending.size() < head_end + 4 + body_size) return false;
    request.body = pending.substr(head_end + 4, body_size);
    pending.erase(0, head_end + 4 + body_size);
    return true;
  }

  const Handler handler_;
  int listener_ = -1;
  int wake_ = -1;
  int port_ = 0;
  mutable std::mutex mutex_;
  mutable std::condition_variable arrived_;
  std::vector<SeenRequest> requests_;
  int connection_count_ = 0;
  std::thread thread_;
};

/// A handler that gives these replies in turn, and the last one for ever.
inline FakeServer::Handler InTurn(std::vector<FakeReply> replies) {
  return [replies = std::move(replies), next = std::size_t{0}](const SeenRequest&) mutable {
    const FakeReply& reply = replies[std::min(next, replies.size() - 1)];
    ++next;
    return reply;
  };
}

/// A URL at which nobody listens: the port was free a moment ago.
inline std::string RefusingUrl() {
  const FakeServer gone([](const SeenRequest&) { return Drop(); });
  return gone.Url();
}

}  // namespace director
