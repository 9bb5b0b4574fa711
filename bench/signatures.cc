#include <fmt/core.h>

#include <fstream>

#include "bench/bench.h"
#include "director/payloads.h"
#include "signing/device_identity.h"
#include "store/sqlite_store.h"

namespace director::bench {
namespace {

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
Result<std::vector<Line>> SignatureBench(const Options& options) {
  const Scratch scratch;
  const SystemClock clock;
  const Result<Config> config = SigningConfig(scratch, clock.Now());
  if (!config) return Fail(config.error());
  auto store = OpenSqliteStore(":memory:");
  if (!store) return Fail(store.error());
  const auto payload_uuids = SeedRevisions(**store, clock.Now());
  if (!payload_uuids) return Fail(payload_uuids.error());
  auto identity = SigningIdentity::Load(*config, clock);
  if (!identity) return Fail(identity.error());
  Payloads payloads(**store, identity->get());
  for (std::size_t device = 0; device < options.devices; ++device) {
    for (const PayloadUuid& payload_uuid : *payload_uuids) {
      const auto payload = payloads.Get(payload_uuid);
      if (!payload) return Fail(payload.error());
    }
  }
  const auto made = static_cast<double>(payloads.signatures());
  return std::vector<Line>{
      {fmt::format("signatures for {} devices x {} profiles", options.devices, kProfiles), made,
       "signatures", kProfiles, "revisions", made / kProfiles, 1.0, true}};
}

}  // namespace director::bench
