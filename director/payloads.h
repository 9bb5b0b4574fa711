#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/clock.h"
#include "director/config.h"
#include "signing/signer.h"
#include "store/store.h"

namespace director {

/// The signing identity as it is on disk now: loaded at start, loaded again when one of its files
/// changes. A change that does not load is logged and the old identity stays. Thread-safe.
class SigningIdentity {
 public:
  /// kInvalid with one clear line when the identity cannot be used.
  static Result<std::unique_ptr<SigningIdentity>> Load(const Config& config, const Clock& clock);

  std::shared_ptr<const Signer> Current();

 private:
  SigningIdentity(const Config& config, const Clock& clock);
  Result<std::shared_ptr<const Signer>> LoadNow() const;
  std::string FileTimes() const;

  const Config config_;
  const Clock& clock_;
  std::mutex mutex_;
  std::shared_ptr<const Signer> signer_;
  std::string file_times_;
};

/// Hands out the content of revisions: profiles as they go into InstallProfile, signed once per
/// certificate, others as they are stored. Keeps the most recently used ones, at most
/// `kCacheMaxBytes`. Thread-safe.
class Payloads {
 public:
  /// Without `identity` profiles go unsigned.
  Payloads(Store& store, SigningIdentity* identity) : store_(store), identity_(identity) {}

  /// kNotFound when there is no such revision; kUnavailable when it cannot be read or signed now.
  Result<std::shared_ptr<const std::string>> Get(const PayloadUuid& payload_uuid);

  /// Signatures made since the start.
  std::uint64_t signatures() const;

  static constexpr std::size_t kCacheMaxBytes = 32 * 1024 * 1024;

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<const std::string> payload;
  };
  std::shared_ptr<const std::string> FindCached(const std::string& key);
  void Keep(const std::string& key, std::shared_ptr<const std::string> payload);

  Store& store_;
  SigningIdentity* identity_;
  mutable std::mutex mutex_;
  std::list<Entry> recent_;  // most recently used first
  std::map<std::string, std::list<Entry>::iterator> by_key_;
  std::size_t cached_bytes_ = 0;
  std::uint64_t signatures_ = 0;
};

}  // namespace director
