#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>

#include "store/connection_watch.h"
#include "tests/support/catch.h"

namespace director::store_connection_watch_test {
namespace {

/// Two ends that nobody writes to.
class Silence {
 public:
  Silence() { REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, ends_.data()) == 0); }
  ~Silence() {
    for (const int end : ends_) close(end);
  }
  int socket() const { return ends_[0]; }
  /// Waits for a byte; 0 when there will be none.
  ssize_t Read() const {
    char byte = 0;
    return recv(ends_[0], &byte, 1, 0);
  }
  bool is_open() const {
    char byte = 0;
    return recv(ends_[0], &byte, 1, MSG_DONTWAIT) == -1;
  }

 private:
  std::array<int, 2> ends_{};
};

}  // namespace

TEST_CASE("whoever waits for longer than the limit finds the connection lost") {
  ConnectionWatch watch(std::chrono::milliseconds(50));
  const Silence first;
  const Silence second;
  const ConnectionWatch::Scope first_watched(watch, first.socket());
  const ConnectionWatch::Scope second_watched(watch, second.socket());
  CHECK(first.Read() == 0);
  CHECK(second.Read() == 0);
}

TEST_CASE("what came to its end in time is left alone, whatever ends after it") {
  ConnectionWatch watch(std::chrono::milliseconds(50));
  const Silence in_time;
  { const ConnectionWatch::Scope watched(watch, in_time.socket()); }
  const Silence late;
  const ConnectionWatch::Scope watched(watch, late.socket());
  CHECK(late.Read() == 0);
  CHECK(in_time.is_open());
}

}  // namespace director::store_connection_watch_test
