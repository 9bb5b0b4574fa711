#include "director/turns.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "mdm/item_definition.h"
#include "reconciler/identity_rule.h"
#include "reconciler/setup.h"

namespace director {
namespace {

constexpr Duration kUnknownUpstreamPause = std::chrono::hours(1);

/// It was pushed at its turn. What it wants now must not queue anew: it would be asleep when that
/// turn comes.
bool AnswersPush(const Enrollment& enrollment, const Settings& settings, Timestamp now) {
  return enrollment.pushed_at && enrollment.last_seen_at >= *enrollment.pushed_at &&
         now < *enrollment.pushed_at + settings.awake_window;
}

/// What the plan costs its MDM server, with the pushes that this makes by itself.
PaceCost PlanCost(const Plan& plan, const Upstreams::Member& server) {
  const bool pushes_on_enqueue =
      server.upstream->limits().pushes_on_enqueue && !plan.commands.empty();
  const std::size_t pushes = pushes_on_enqueue ? plan.commands.size() : plan.push ? 1 : 0;
  return std::max(CostOf(plan.commands.size(), server.rates.commands_per_second),
                  CostOf(pushes, server.rates.pushes_per_second));
}

/// Where a renewal that cannot wait had a turn among the others, the earlier one counts. Empty when
/// that has come.
std::optional<Timestamp> EarlierTurn(Upstreams& upstreams, const EnrollmentId& id,
                                     const std::string& authority, Timestamp turn, Timestamp now) {
  if (authority != kUrgentRenewals) return turn;
  const auto other = upstreams.CertificateAuthority(IdentityItem().value()).Booked(id, now);
  if (other) turn = std::min(turn, *other);
  return turn <= now ? std::nullopt : std::optional(turn);
}

}  // namespace

Snapshot WithServers(Snapshot snapshot, Upstreams& upstreams, const Settings& settings,
                     Timestamp now) {
  const UpstreamName& name = snapshot.enrollment.upstream;
  Upstreams::Member* server = upstreams.Find(name);
  if (server == nullptr) {
    snapshot.upstream_retry_at = now + kUnknownUpstreamPause;
    snapshot.upstream_problem = fmt::format("no MDM server named {} is configured", name.value());
    return snapshot;
  }
  snapshot.upstream_retry_at = server->health.retry_at(now);
  snapshot.upstream_away_since = server->health.away_since();
  snapshot.upstream_problem = server->health.problem();
  snapshot.upstream_pushes = server->upstream->limits().pushes_on_enqueue;
  if (IsInSetup(snapshot.enrollment, now)) return snapshot;
  const EnrollmentId& id = snapshot.enrollment.channel.enrollment_id;
  if (!AnswersPush(snapshot.enrollment, settings, now)) {
    snapshot.turn_at = server->pace.TurnOf(id, now);
  }
  std::set<std::string> authorities;
  if (settings.renewal.has_profiles) {
    authorities.insert({IdentityItem().value(), std::string(kUrgentRenewals)});
  }
  for (const DesiredAssignment& assignment : snapshot.assignments) {
    if (!assignment.certificate_authority.empty()) {
      authorities.insert(assignment.certificate_authority);
    }
  }
  for (const std::string& authority : authorities) {
    auto turn = upstreams.CertificateAuthority(authority).TurnOf(id, now);
    if (turn) turn = EarlierTurn(upstreams, id, authority, *turn, now);
    if (turn) snapshot.certificate_turns.emplace(authority, *turn);
  }
  return snapshot;
}

std::optional<Timestamp> SettlesAt(const Enrollment& enrollment, Upstreams& upstreams,
                                   Timestamp now) {
  const Upstreams::Member* server = upstreams.Find(enrollment.upstream);
  if (server == nullptr) return std::nullopt;
  const Duration settle_time = server->upstream->limits().settle_time;
  const Duration silent_for = now - enrollment.last_seen_at;
  if (silent_for >= settle_time || silent_for <= -settle_time) return std::nullopt;
  return enrollment.last_seen_at + settle_time;
}

bool BookTurns(Snapshot& snapshot, const Plan& plan, Upstreams& upstreams, const Settings& settings,
               Timestamp now) {
  Upstreams::Member* server = upstreams.Find(snapshot.enrollment.upstream);
  if (server == nullptr || (plan.commands.empty() && !plan.push)) return true;
  const EnrollmentId& id = snapshot.enrollment.channel.enrollment_id;
  const auto book = [&](Pace& pace, PaceCost cost, bool at_once) -> std::optional<Timestamp> {
    if (!at_once) return pace.Book(id, cost, now);
    pace.BookAtOnce(id, cost, now);
    return std::nullopt;
  };
  const bool in_setup = IsInSetup(snapshot.enrollment, now);
  snapshot.turn_at = book(server->pace, PlanCost(plan, *server),
                          in_setup || AnswersPush(snapshot.enrollment, settings, now));
  if (snapshot.turn_at) return false;
  std::map<std::string, std::size_t> certificates;
  for (const PlannedCommand& command : plan.commands) {
    if (!command.certificate_authority.empty()) ++certificates[command.certificate_authority];
  }
  bool has_come = true;
  for (const auto& [authority, count] : certificates) {
    auto turn = book(upstreams.CertificateAuthority(authority),
                     upstreams.CostOfCertificates(authority, count), in_setup);
    if (turn) turn = EarlierTurn(upstreams, id, authority, *turn, now);
    if (!turn) continue;
    snapshot.certificate_turns[authority] = *turn;
    has_come = false;
  }
  return has_come;
}

void UseTurns(const PlanCommit& commit, Upstreams& upstreams) {
  Upstreams::Member* server = upstreams.Find(commit.upstream);
  if (server == nullptr || (commit.plan.commands.empty() && !commit.plan.push)) return;
  server->pace.Use(commit.enrollment_id);
  for (const PlannedCommand& command : commit.plan.commands) {
    if (command.certificate_authority.empty()) continue;
    upstreams.CertificateAuthority(command.certificate_authority).Use(commit.enrollment_id);
    if (command.certificate_authority != kUrgentRenewals) continue;
    upstreams.CertificateAuthority(IdentityItem().value()).Use(commit.enrollment_id);
  }
}

}  // namespace director
