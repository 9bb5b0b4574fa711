#pragma once

#include <string>
#include <vector>

#include "upstream/upstream.h"

namespace director::test {

/// An MDM server that takes everything and sends it nowhere.
class WillingUpstream final : public Upstream {
 public:
  const UpstreamName& name() const override { return name_; }
  UpstreamLimits limits() const override { return {50, false}; }
  std::vector<EnqueueTargetResult> Enqueue(const EnqueueRequest& request) override {
    std::vector<EnqueueTargetResult> results;
    for (const EnrollmentId& id : request.targets) {
      results.push_back({id, EnqueueOutcome::kQueued, {}});
    }
    return results;
  }
  std::vector<PushTargetResult> Push(const std::vector<EnrollmentId>& targets) override {
    std::vector<PushTargetResult> results;
    for (const EnrollmentId& id : targets) results.push_back({id, push_outcome, push_detail});
    return results;
  }
  Result<std::vector<QueuedCommand>> ReadQueue(const EnrollmentId&) override {
    return std::vector<QueuedCommand>();
  }
  Status ClearQueue(const EnrollmentId&) override { return clearing; }
  Result<std::string> Probe() override { return std::string("1"); }

  PushOutcome push_outcome = PushOutcome::kSent;
  std::string push_detail;
  Status clearing;

 private:
  const UpstreamName name_{"nanomdm"};
};

}  // namespace director::test
