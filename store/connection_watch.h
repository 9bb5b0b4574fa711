#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <thread>

namespace director {

/// Ends the waiting for a database that does not answer.
///
/// libpq has no bound for it. Keepalives and tcp_user_timeout do not help: they ask whether the
/// next machine's kernel is there, and that is also so with a balancer whose server is gone and
/// with a server that hangs. Hence the one thread of this module: nobody else can wake who waits in
/// libpq. Thread-safe.
class ConnectionWatch {
 public:
  explicit ConnectionWatch(std::chrono::milliseconds limit);
  ~ConnectionWatch();
  ConnectionWatch(const ConnectionWatch&) = delete;
  ConnectionWatch& operator=(const ConnectionWatch&) = delete;

  /// When this lives longer than the limit, the socket is shut down: whoever waits for it finds the
  /// connection lost. Holds a descriptor of its own: when the connection closes the socket
  /// meanwhile, nobody else's is met.
  class Scope {
   public:
    Scope(ConnectionWatch& watch, int socket);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    ConnectionWatch& watch_;
    const std::uint64_t number_;
  };

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;
  struct Watched {
    int socket;  ///< our own descriptor
    SteadyTime give_up_at;
  };

  std::uint64_t Begin(int socket);
  void End(std::uint64_t number);
  void Run();

  const std::chrono::milliseconds limit_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::uint64_t, Watched> watched_;  ///< by number: the first is the first to end
  std::uint64_t last_number_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace director
