#include "director/upstreams.h"

#include <algorithm>
#include <utility>

#include "mdm/item_definition.h"
#include "reconciler/identity_rule.h"

namespace director {
namespace {
constexpr Duration kPauseMin = std::chrono::seconds(1);
constexpr Duration kPauseMax = std::chrono::minutes(5);
constexpr int kDoublingsMax = 9;  // 1 s * 2^9 is above kPauseMax
}  // namespace

void UpstreamHealth::RecordSuccess() {
  const std::lock_guard lock(mutex_);
  failures_ = 0;
  problem_.clear();
}

void UpstreamHealth::RecordFailure(Timestamp now, std::string detail) {
  const std::lock_guard lock(mutex_);
  // Requests that were under way together count as one failure.
  if (failures_ > 0 && now < retry_at_) return;
  const Duration pause = kPauseMin * (1 << std::min(failures_, kDoublingsMax));
  if (failures_++ == 0) away_since_ = now;
  retry_at_ = now + std::min(pause, kPauseMax);
  problem_ = std::move(detail);
}

bool UpstreamHealth::answers() const {
  const std::lock_guard lock(mutex_);
  return failures_ == 0;
}

std::optional<Timestamp> UpstreamHealth::retry_at(Timestamp now) const {
  const std::lock_guard lock(mutex_);
  if (failures_ == 0 || retry_at_ <= now) return std::nullopt;
  return retry_at_;
}

std::optional<Timestamp> UpstreamHealth::away_since() const {
  const std::lock_guard lock(mutex_);
  if (failures_ == 0) return std::nullopt;
  return away_since_;
}

std::string UpstreamHealth::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

std::optional<Timestamp> PushCertificate::expires_at() const {
  const std::lock_guard lock(mutex_);
  return expires_at_;
}

void PushCertificate::Set(std::optional<Timestamp> expires_at) {
  const std::lock_guard lock(mutex_);
  expires_at_ = expires_at;
}

void Upstreams::Add(std::unique_ptr<Upstream> upstream, const UpstreamRates& rates) {
  auto member = std::make_unique<Member>();
  const UpstreamName name = upstream->name();
  member->upstream = std::move(upstream);
  member->rates = rates;
  members_.emplace(name, std::move(member));
}

Pace& Upstreams::CertificateAuthority(const std::string& name) {
  const std::lock_guard lock(mutex_);
  return certificate_authorities_[name];
}

PaceCost Upstreams::CostOfCertificates(const std::string& name, std::size_t count) const {
  const bool is_renewal = name == IdentityItem().value() || name == kUrgentRenewals;
  return CostOf(count, is_renewal ? renewals_per_hour_ / 3600 : certificates_per_minute_ / 60);
}

std::size_t Upstreams::WaitingForCertificates(Timestamp now) {
  const std::lock_guard lock(mutex_);
  std::size_t waiting = 0;
  for (auto& [name, pace] : certificate_authorities_) waiting += pace.Waiting(now);
  return waiting;
}

Upstreams::Member* Upstreams::Find(const UpstreamName& name) {
  const auto found = members_.find(name);
  return found == members_.end() ? nullptr : found->second.get();
}

std::map<UpstreamName, Duration> Upstreams::settle_times() const {
  std::map<UpstreamName, Duration> times;
  for (const auto& [name, member] : members_) {
    const Duration time = member->upstream->limits().settle_time;
    if (time > Duration::zero()) times.emplace(name, time);
  }
  return times;
}

}  // namespace director
