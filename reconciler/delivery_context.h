#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mdm/command.h"
#include "reconciler/plan.h"
#include "reconciler/state.h"

namespace director {

/// What delivery has to know about one enrollment at one moment.
struct Delivery {
  static constexpr int kUnknownQuestionsMax = 2;

  const Snapshot& snapshot;
  const Settings& settings;
  Timestamp now;
  const std::vector<Intent>& staying;
  std::string noun;
  bool proposal_waits;  ///< for the device to be awake, and for nothing else

  const Enrollment& enrollment() const { return snapshot.enrollment; }
  const std::string& key() const { return snapshot.enrollment.channel.enrollment_id.value(); }
  bool upstream_down() const {
    return snapshot.upstream_retry_at && *snapshot.upstream_retry_at > now;
  }
  bool waits_for_turn() const { return snapshot.turn_at && *snapshot.turn_at > now; }
  /// When the command may go; empty when it need not wait for others that ask the same authority.
  std::optional<Timestamp> CertificateTurn(const PlannedCommand& command) const {
    const auto turn = snapshot.certificate_turns.find(command.certificate_authority);
    if (turn == snapshot.certificate_turns.end() || turn->second <= now) return std::nullopt;
    return turn->second;
  }
  bool awake() const {
    const Timestamp seen_at = enrollment().last_seen_at;
    return seen_at + settings.awake_window > now && !IsAhead(seen_at, now);
  }
  bool silent_since(Timestamp at) const { return !awake() && enrollment().last_seen_at < at; }

  const Intent* Find(std::string_view request_type) const {
    const auto found = std::find_if(staying.begin(), staying.end(), [&](const Intent& intent) {
      return intent.request_type == request_type;
    });
    return found == staying.end() ? nullptr : &*found;
  }
  /// The ProfileList that is waited for. One that was perhaps never queued is not relied on: asking
  /// once more is harmless, and after a crash nobody waits until it counts as lost.
  const Intent* FindReportQuestion() const {
    const Intent* unknown = nullptr;
    int unknown_count = 0;
    for (const Intent& intent : staying) {
      if (intent.request_type != request_type::kProfileList) continue;
      if (intent.state != IntentState::kUnknown) return &intent;
      unknown = &intent;
      ++unknown_count;
    }
    return unknown_count >= kUnknownQuestionsMax ? unknown : nullptr;
  }
  /// How many changes may go now. None while the device has half as many to fetch as may be under
  /// way: it is sent the next ones together, not one for each that it answers.
  int RoomForChanges() const {
    const int most = settings.commands_per_session_max;
    int open = 0;
    int to_fetch = 0;
    for (const Intent& intent : staying) {
      if (intent.payload_identifier.empty() || !IsOpen(intent.state)) continue;
      ++open;
      if (intent.state == IntentState::kSent) ++to_fetch;
    }
    return to_fetch > most / 2 ? 0 : std::max(most - open, 0);
  }
  bool AnyOpen() const {
    return std::any_of(staying.begin(), staying.end(),
                       [](const Intent& intent) { return IsOpen(intent.state); });
  }
};

}  // namespace director
