#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"
#include "director/pace.h"
#include "upstream/upstream.h"

namespace director {

/// Whether an MDM server answers. After failures in a row it is left alone for a while: 1 s,
/// doubling to 5 min. Thread-safe.
class UpstreamHealth {
 public:
  void RecordSuccess();
  void RecordFailure(Timestamp now, std::string detail);
  /// False after a failure until the next success.
  bool answers() const;
  /// Set while the server is left alone.
  std::optional<Timestamp> retry_at(Timestamp now) const;
  /// The first of the failures in a row; empty while the server answers.
  std::optional<Timestamp> away_since() const;
  std::string problem() const;

 private:
  mutable std::mutex mutex_;
  int failures_ = 0;
  Timestamp away_since_;
  Timestamp retry_at_;
  std::string problem_;
};

/// When the push certificate of an MDM server expires, as far as it tells. Thread-safe.
class PushCertificate {
 public:
  /// Empty when it is not known.
  std::optional<Timestamp> expires_at() const;
  void Set(std::optional<Timestamp> expires_at);

 private:
  mutable std::mutex mutex_;
  std::optional<Timestamp> expires_at_;
};

/// How much is sent to one MDM server; zero: without a bound.
struct UpstreamRates {
  double commands_per_second = 0;
  double pushes_per_second = 0;
};

/// The configured MDM servers by name, with their health and pace, and the pace of the certificate
/// authorities that profiles make devices ask. The set of servers never changes; thread-safe.
class Upstreams {
 public:
  struct Member {
    std::unique_ptr<Upstream> upstream;
    UpstreamRates rates;
    UpstreamHealth health;
    PushCertificate push_certificate;
    Pace pace;
  };

  /// Each certificate authority is asked by so many devices a minute, and so many identities of
  /// devices are renewed in an hour, and as many that end soon; zero: without a bound.
  explicit Upstreams(double certificates_per_minute = 0, double renewals_per_hour = 0)
      : certificates_per_minute_(certificates_per_minute), renewals_per_hour_(renewals_per_hour) {}

  void Add(std::unique_ptr<Upstream> upstream, const UpstreamRates& rates = {});
  /// Null for a name that is not configured.
  Member* Find(const UpstreamName& name);
  const std::map<UpstreamName, std::unique_ptr<Member>>& all() const { return members_; }
  /// Of those that have one.
  std::map<UpstreamName, Duration> settle_times() const;
  /// The pace of one certificate authority, by its host and port; that of renewals by the name of
  /// their item, of those that cannot wait by `kUrgentRenewals`.
  Pace& CertificateAuthority(const std::string& name);
  /// What `count` certificates cost there.
  PaceCost CostOfCertificates(const std::string& name, std::size_t count) const;
  /// Enrollments that wait for a turn with any of them.
  std::size_t WaitingForCertificates(Timestamp now);

 private:
  const double certificates_per_minute_;
  const double renewals_per_hour_;
  std::mutex mutex_;
  std::map<std::string, Pace> certificate_authorities_;
  std::map<UpstreamName, std::unique_ptr<Member>> members_;
};

}  // namespace director
