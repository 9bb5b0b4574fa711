#include <fmt/core.h>
#include <stdlib.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <thread>

#include "base/text.h"
#include "bench/bench.h"
#include "upstream/http_client.h"

namespace director::bench {

Scratch::Scratch() {
  std::string pattern = "director-bench-XXXXXX";
  if (mkdtemp(pattern.data()) != nullptr) folder_ = pattern;
}

Scratch::~Scratch() {
  std::error_code ignored;  // what stays behind is a scratch folder
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

double Rate(std::size_t threads, double seconds, const std::function<bool(std::size_t)>& call) {
  using Clock = std::chrono::steady_clock;
  std::atomic<std::uint64_t> calls{0};
  const auto start = Clock::now();
  const auto end =
      start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  std::vector<std::thread> workers;
  for (std::size_t i = 0; i < threads; ++i) {
    workers.emplace_back([&, i] {
      std::uint64_t own = 0;
      while (Clock::now() < end && call(i)) ++own;
      calls += own;
    });
  }
  for (std::thread& worker : workers) worker.join();
  return static_cast<double>(calls.load()) /
         std::chrono::duration<double>(Clock::now() - start).count();
}

Result<double> PostRate(int port, const std::string& path, const std::vector<std::string>& bodies,
                        std::size_t connections, double seconds) {
  HttpEndpoint endpoint;
  endpoint.url = fmt::format("http://127.0.0.1:{}", port);
  std::vector<std::unique_ptr<HttpClient>> clients;
  for (std::size_t i = 0; i < connections; ++i) {
    Result<std::unique_ptr<HttpClient>> client = MakeHttpClient(endpoint);
    if (!client) return Fail(client.error());
    clients.push_back(std::move(*client));
  }
  std::atomic<std::size_t> next{0};
  std::atomic<std::size_t> refused{0};
  const double rate = Rate(connections, seconds, [&](std::size_t thread) {
    const std::size_t index = next.fetch_add(1);
    if (index >= bodies.size()) return false;
    HttpRequest request;
    request.method = "POST";
    request.path = path;
    request.body = bodies[index];
    request.content_type = "application/json";
    const Result<HttpResponse> response = clients[thread]->Send(request);
    if (response && response->status == 200) return true;
    if (refused++ == 0) {
      fmt::print(stderr, "first failure: {}\n",
                 response ? response->body : ErrorForLog(response.error()));
    }
    return true;
  });
  if (refused > 0)
    return Fail(ErrorKind::kCorrupt,
                fmt::format("{} requests were not answered 200", refused.load()));
  return rate;
}

std::string UdidOf(std::size_t index) {
  return fmt::format("AAAAAAAA-0000-4000-8000-{:012X}", index);
}

Result<std::vector<PayloadUuid>> SeedRevisions(Store& store, Timestamp now) {
  std::vector<PayloadUuid> payload_uuids;
  const Status written = store.Write([&](StoreWriter& writer) -> Status {
    for (std::size_t i = 0; i < kProfiles; ++i) {
      Revision revision;
      revision.payload_uuid = PayloadUuid(fmt::format("BBBBBBBB-0000-8000-8000-{:012X}", i));
      revision.payload_identifier = PayloadIdentifier(fmt::format("com.example.profile{}", i));
      revision.source = "bench";
      revision.created_at = now;
      revision.mobileconfig = std::string(4096, 'x');
      revision.size_bytes = 4096;
      if (const auto saved = writer.SaveRevision(revision); !saved) return Fail(saved.error());
      payload_uuids.push_back(revision.payload_uuid);
    }
    return {};
  });
  if (!written) return Fail(written.error());
  return payload_uuids;
}

std::string WebhookBody(const std::string& topic, const std::string& udid,
                        const std::string& plist) {
  const char* event = topic == "mdm.Connect" ? "acknowledge_event" : "checkin_event";
  const std::string status = topic == "mdm.Connect" ? R"("status":"Acknowledged",)" : "";
  return fmt::format(
      R"({{"topic":"{}","event_id":"{}","created_at":"{}","{}":{{"udid":"{}",{}"raw_payload":"{}"}}}})",
      topic, udid.substr(24), FormatTime(SystemClock().Now()), event, udid, status,
      EncodeBase64(plist));
}

}  // namespace director::bench
