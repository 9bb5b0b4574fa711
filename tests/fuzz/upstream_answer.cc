#include <algorithm>
#include <charconv>
#include <memory>
#include <string>
#include <vector>

#include "tests/fuzz/properties.h"
#include "tests/fuzz/target.h"
#include "upstream/answer.h"
#include "upstream/escrow.h"
#include "upstream/micromdm.h"
#include "upstream/nanomdm.h"

// Answers of MDM servers, of the escrow server, and of the proxies before them. Each part of an
// input is one answer: its first line is the status (0: the connection broke), the rest the body.
// When the parts are used up, the connection is refused.
namespace director::fuzz_upstream_answer {
namespace {

constexpr std::size_t kDetailSizeMaxBytes = 300;
constexpr int kRequestsMax = 12;  // three targets, each asked about at most twice; pages of a queue
const CommandUuid kCommandUuid("11111111-2222-3333-4444-555555555555");

HttpResponse ReadAnswer(std::string_view part) {
  const std::string_view line = fuzz::TakeLine(part);
  int status = 200;
  // Three digits, as HTTP has them.
  std::from_chars(line.data(), line.data() + std::min<std::size_t>(line.size(), 3), status);
  return {status, "application/json", std::string(part)};
}

class ScriptedClient final : public HttpClient {
 public:
  explicit ScriptedClient(std::string_view input) : parts_(fuzz::SplitParts(input)) {}

  Result<HttpResponse> Send(const HttpRequest& request) override {
    INVARIANT(request.path.starts_with('/'));
    INVARIANT(++sent_ <= kRequestsMax);
    if (next_ == parts_.size()) return Fail(ErrorKind::kUnavailable, "connection refused");
    HttpResponse answer = ReadAnswer(parts_[next_++]);
    if (answer.status == 0) return Fail(ErrorKind::kUnknownOutcome, "connection closed");
    return answer;
  }

 private:
  std::vector<std::string_view> parts_;
  std::size_t next_ = 0;
  int sent_ = 0;
};

const std::vector<EnrollmentId>& Targets() {
  static const std::vector<EnrollmentId> targets = {EnrollmentId("UD1"), EnrollmentId("UD1:USR1"),
                                                    EnrollmentId("bad/id")};
  return targets;
}

void CheckDetail(const std::string& detail) {
  INVARIANT(detail.size() <= kDetailSizeMaxBytes);
  INVARIANT(fuzz::IsPrintable(detail));
}

void CheckEnqueue(Upstream& upstream) {
  const auto results =
      upstream.Enqueue({kCommandUuid, "ProfileList", "<?xml version=\"1.0\"?><plist/>", Targets()});
  INVARIANT(results.size() == Targets().size());
  for (std::size_t i = 0; i < results.size(); ++i) {
    INVARIANT(results[i].enrollment_id == Targets()[i]);
    INVARIANT(results[i].detail.empty() == (results[i].outcome == EnqueueOutcome::kQueued));
    CheckDetail(results[i].detail);
  }
  INVARIANT(results.back().outcome == EnqueueOutcome::kRejected);
}

void CheckPush(Upstream& upstream) {
  const auto results = upstream.Push(Targets());
  INVARIANT(results.size() == Targets().size());
  for (std::size_t i = 0; i < results.size(); ++i) {
    INVARIANT(results[i].enrollment_id == Targets()[i]);
    CheckDetail(results[i].detail);
  }
  INVARIANT(results.back().outcome == PushOutcome::kFailed);
}

void CheckQueue(Upstream& upstream) {
  const auto queue = upstream.ReadQueue(Targets().front());
  if (!queue) fuzz::CheckRefusal(queue.error());
  INVARIANT(!queue || queue->size() <= kQueuedCommandsMax);
  const Status cleared = upstream.ClearQueue(Targets().front());
  if (!cleared) fuzz::CheckRefusal(cleared.error());
  INVARIANT(!upstream.ReadQueue(Targets().back()) && !upstream.ClearQueue(Targets().back()));
}

void CheckProbe(Upstream& upstream) {
  const Result<std::string> version = upstream.Probe();
  if (!version) return fuzz::CheckRefusal(version.error());
  INVARIANT(version->size() <= 64 && fuzz::IsPrintable(*version));
}

/// A PIN counts as taken only by a 200, and no words about a refusal repeat it.
void CheckEscrow(std::string_view input) {
  const Secret pin("493817");
  const auto escrow =
      MakeCryptEscrow(std::make_unique<ScriptedClient>(input), std::chrono::seconds(1));
  const Status deposited = escrow->Deposit("C02XK0AAJG5H", SecretType::kUnlockPin, pin);
  const std::vector<std::string_view> parts = fuzz::SplitParts(input);
  if (deposited) {
    INVARIANT(!parts.empty() && ReadAnswer(parts.front()).status == 200);
    return;
  }
  fuzz::CheckRefusal(deposited.error());
  INVARIANT(deposited.error().message.find(pin.Reveal()) == std::string::npos);
}

std::unique_ptr<Upstream> MakeNano(std::string_view input) {
  NanoMdmSettings settings;
  settings.name = UpstreamName("nano");
  settings.api_path = "/v1";
  return MakeNanoMdm(settings, std::make_unique<ScriptedClient>(input));
}

std::unique_ptr<Upstream> MakeMicro(std::string_view input) {
  MicroMdmSettings settings;
  settings.name = UpstreamName("micro");
  return MakeMicroMdm(settings, std::make_unique<ScriptedClient>(input));
}

}  // namespace

FUZZ_TARGET(upstream_answer) {
  for (const auto make : {&MakeNano, &MakeMicro}) {
    CheckEnqueue(*make(input));
    CheckPush(*make(input));
    CheckQueue(*make(input));
    CheckProbe(*make(input));
  }
  CheckEscrow(input);
  CheckDetail(CleanDetail(input));
  if (SaysDuplicate(input)) INVARIANT(!SaysBadCommand(input));
}

}  // namespace director::fuzz_upstream_answer
