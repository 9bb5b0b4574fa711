#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"
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

/// The configured MDM servers by name, with their health. The set never changes; thread-safe.
class Upstreams {
 public:
  struct Member {
    std::unique_ptr<Upstream> upstream;
    UpstreamHealth health;
  };

  void Add(std::unique_ptr<Upstream> upstream);
  /// Null for a name that is not configured.
  Member* Find(const UpstreamName& name);
  const std::map<UpstreamName, std::unique_ptr<Member>>& all() const { return members_; }

 private:
  std::map<UpstreamName, std::unique_ptr<Member>> members_;
};

}  // namespace director
