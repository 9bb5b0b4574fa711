#include <fmt/core.h>

#include <fstream>

#include "base/clock.h"
#include "bench/bench.h"
#include "bench/fleet.h"
#include "director/payloads.h"
#include "signing/device_identity.h"
#include "store/sqlite_store.h"

namespace director::bench {
namespace {

constexpr std::size_t kSignedDevices = 10'000;

Result<Config> SigningConfig(const Scratch& scratch, Timestamp now) {
  const auto authority = MakeAuthority("Bench CA", now, 1);
  if (!authority) return Fail(authority.error());
  const auto identity = IssueIdentity(*authority, "Bench signer", now, 1);
  if (!identity) return Fail(identity.error());
  Config config;
  config.signing_certificate_file = scratch.path("signer.pem");
  config.signing_key_file = config.signing_certificate_file;
  std::ofstream(config.signing_certificate_file) << identity->certificate_pem << identity->key_pem;
  return config;
}

}  // namespace

/// As many payloads as a fleet takes, and how many signatures that costs.
Status SignatureBench(const Options& options, const Report& report) {
  const Scratch scratch;
  const SystemClock clock;
  const Result<Config> config = SigningConfig(scratch, clock.Now());
  if (!config) return Fail(config.error());
  auto store = OpenSqliteStore(":memory:");
  if (!store) return Fail(store.error());
  if (Status seeded = SeedRevisions(**store, kProfiles, clock.Now()); !seeded)
    return Fail(seeded.error());
  auto identity = SigningIdentity::Load(*config, clock);
  if (!identity) return Fail(identity.error());
  Payloads payloads(**store, identity->get());
  const std::size_t devices = options.devices == 0 ? kSignedDevices : options.devices;
  for (std::size_t device = 0; device < devices; ++device) {
    for (std::size_t profile = 0; profile < kProfiles; ++profile) {
      const auto payload = payloads.Get(PayloadUuidOf(profile));
      if (!payload) return Fail(payload.error());
    }
  }
  const auto made = static_cast<double>(payloads.signatures());
  report({fmt::format("signatures for {} devices x {} profiles", devices, kProfiles), made,
          "signatures", kProfiles, "revisions", made / kProfiles, 1.0, true});
  return {};
}

}  // namespace director::bench
