#include "bench/http_load.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string_view>

namespace director::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;
using SteadyTime = SteadyClock::time_point;

constexpr int kPollMs = 100;
constexpr std::string_view kHeadEnd = "\r\n\r\n";

/// One keep-alive connection with at most one request under way.
class Connection {
 public:
  explicit Connection(int port) : port_(port) { Open(); }
  ~Connection() { ::close(socket_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int socket() const { return socket_; }
  bool is_open() const { return is_open_; }
  bool is_busy() const { return is_busy_; }
  SteadyTime wanted_at() const { return wanted_at_; }

  void Send(const std::string& head, const std::string& body, SteadyTime wanted_at) {
    is_busy_ = true;
    wanted_at_ = wanted_at;
    answer_.clear();
    if (must_reopen_ || IsClosedByServer()) {
      ::close(socket_);
      Open();
    }
    Write(head + body);
  }

  /// The whole answer's status once it is there, 0 before, -1 when the connection failed.
  int Receive() {
    char buffer[16384];
    const ssize_t size = ::recv(socket_, buffer, sizeof buffer, 0);
    if (size <= 0) return -1;
    answer_.append(buffer, static_cast<std::size_t>(size));
    const std::size_t head_end = answer_.find(kHeadEnd);
    if (head_end == std::string::npos) return 0;
    if (answer_.size() < head_end + kHeadEnd.size() + BodySize()) return 0;
    is_busy_ = false;
    // A server ends a connection after so many answers.
    must_reopen_ = answer_.find("\r\nConnection: close\r\n") < head_end;
    return std::atoi(answer_.c_str() + std::string_view("HTTP/1.1 ").size());
  }
  const std::string& answer() const { return answer_; }

 private:
  void Open() {
    socket_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port_));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int at_once = 1;
    setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);
    is_open_ = ::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    must_reopen_ = false;
  }

  /// A server ends a connection that nothing came through for a while.
  bool IsClosedByServer() const {
    char next = 0;
    return ::recv(socket_, &next, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
  }

  void Write(std::string_view bytes) {
    while (!bytes.empty() && is_open_) {
      const ssize_t size = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      is_open_ = size > 0;
      if (is_open_) bytes.remove_prefix(static_cast<std::size_t>(size));
    }
  }

  std::size_t BodySize() const {
    constexpr std::string_view kName = "\r\nContent-Length: ";
    const std::size_t at = answer_.find(kName);
    return at == std::string::npos
               ? 0
               : static_cast<std::size_t>(std::atoll(answer_.c_str() + at + kName.size()));
  }

  const int port_;
  int socket_ = -1;
  bool is_open_ = false;
  bool must_reopen_ = false;
  bool is_busy_ = false;
  SteadyTime wanted_at_;
  std::string answer_;
};

/// The thread that sends and receives.
class Load {
 public:
  Load(const std::string& path, const std::vector<std::string>& bodies, const LoadShape& shape)
      : path_(path), bodies_(bodies), shape_(shape) {}

  Status Connect(int port) {
    for (std::size_t i = 0; i < shape_.connections; ++i) {
      connections_.push_back(std::make_unique<Connection>(port));
      if (!connections_.back()->is_open())
        return Fail(ErrorKind::kUnavailable, "the server takes no connection");
    }
    return {};
  }

  Status Run() {
    start_ = SteadyClock::now();
    end_ = start_ + std::chrono::duration_cast<SteadyClock::duration>(
                        std::chrono::duration<double>(shape_.seconds));
    while (true) {
      const std::size_t busy = SendSome();
      if (busy == 0 && IsOver()) return {};
      if (Status done = ReceiveSome(); !done) return done;
    }
  }

  LoadResult Result() const {
    LoadResult result;
    result.answers = latencies_ms_.size();
    if (latencies_ms_.empty()) return result;
    std::vector<double> sorted = latencies_ms_;
    std::sort(sorted.begin(), sorted.end());
    result.rate = static_cast<double>(sorted.size()) /
                  std::chrono::duration<double>(last_answer_at_ - start_).count();
    result.p50_ms = sorted[sorted.size() / 2];
    result.p99_ms = sorted[sorted.size() * 99 / 100];
    result.max_ms = sorted.back();
    return result;
  }

 private:
  bool IsOver() const { return next_ == bodies_.size() || SteadyClock::now() >= end_; }

  /// When the next request is to go out.
  SteadyTime NextAt(SteadyTime now) const {
    if (shape_.rate == 0) return now;
    return start_ + std::chrono::duration_cast<SteadyClock::duration>(
                        std::chrono::duration<double>(static_cast<double>(next_) / shape_.rate));
  }

  /// Returns how many wait for their answer.
  std::size_t SendSome() {
    std::size_t busy = 0;
    for (const auto& connection : connections_) {
      const SteadyTime now = SteadyClock::now();
      const bool may_send = !connection->is_busy() && now < end_ && next_ < bodies_.size();
      if (may_send && NextAt(now) <= now) {
        const std::string& body = bodies_[next_];
        const std::string head = fmt::format(
            "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            "Content-Length: {}\r\n\r\n",
            path_, body.size());
        connection->Send(head, body, NextAt(now));
        ++next_;
      }
      if (connection->is_busy()) ++busy;
    }
    return busy;
  }

  Status ReceiveSome() {
    std::vector<pollfd> waiting;
    std::vector<Connection*> whose;
    for (const auto& connection : connections_) {
      if (!connection->is_busy()) continue;
      waiting.push_back({connection->socket(), POLLIN, 0});
      whose.push_back(connection.get());
    }
    ::poll(waiting.data(), waiting.size(), shape_.rate == 0 ? kPollMs : 1);
    for (std::size_t i = 0; i < waiting.size(); ++i) {
      if (waiting[i].revents == 0) continue;
      const int status = whose[i]->Receive();
      if (status == 0) continue;
      if (status < 0) return Fail(ErrorKind::kUnavailable, "the server closed a connection");
      if (status != 200)
        return Fail(ErrorKind::kCorrupt, "not answered 200: " + whose[i]->answer());
      last_answer_at_ = SteadyClock::now();
      latencies_ms_.push_back(
          std::chrono::duration<double, std::milli>(last_answer_at_ - whose[i]->wanted_at())
              .count());
    }
    return {};
  }

  const std::string path_;
  const std::vector<std::string>& bodies_;
  const LoadShape shape_;
  std::vector<std::unique_ptr<Connection>> connections_;
  SteadyTime start_;
  SteadyTime end_;
  SteadyTime last_answer_at_;
  std::size_t next_ = 0;
  std::vector<double> latencies_ms_;
};

}  // namespace

Result<LoadResult> PostAll(int port, const std::string& path,
                           const std::vector<std::string>& bodies, const LoadShape& shape) {
  Load load(path, bodies, shape);
  if (Status connected = load.Connect(port); !connected) return Fail(connected.error());
  if (Status done = load.Run(); !done) return Fail(done.error());
  return load.Result();
}

}  // namespace director::bench
