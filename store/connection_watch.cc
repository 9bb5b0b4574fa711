#include "store/connection_watch.h"

#include <sys/socket.h>
#include <unistd.h>

namespace director {

ConnectionWatch::Scope::Scope(ConnectionWatch& watch, int socket)
    : watch_(watch), number_(watch.Begin(socket)) {}

ConnectionWatch::Scope::~Scope() { watch_.End(number_); }

ConnectionWatch::ConnectionWatch(std::chrono::milliseconds limit)
    : limit_(limit), thread_([this] { Run(); }) {}

ConnectionWatch::~ConnectionWatch() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

std::uint64_t ConnectionWatch::Begin(int socket) {
  const std::lock_guard lock(mutex_);
  watched_.emplace(++last_number_,
                   Watched{::dup(socket), std::chrono::steady_clock::now() + limit_});
  if (watched_.size() == 1) changed_.notify_one();
  return last_number_;
}

void ConnectionWatch::End(std::uint64_t number) {
  const std::lock_guard lock(mutex_);
  const auto watched = watched_.find(number);
  if (watched == watched_.end()) return;
  ::close(watched->second.socket);
  watched_.erase(watched);
}

void ConnectionWatch::Run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (watched_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const auto first = watched_.begin();
    const SteadyTime give_up_at = first->second.give_up_at;
    if (std::chrono::steady_clock::now() < give_up_at) {
      changed_.wait_until(lock, give_up_at);
      continue;
    }
    ::shutdown(first->second.socket, SHUT_RDWR);
    ::close(first->second.socket);
    watched_.erase(first);
  }
}

}  // namespace director
