#include "director/ingest.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/invariant.h"
#include "base/log.h"
#include "base/log_keys.h"
#include "base/text.h"
#include "director/clear_device.h"
#include "director/identity.h"
#include "reconciler/file_vault_key.h"
#include "reconciler/observe.h"
#include "store/report_json.h"
#include "webhook/decode.h"

namespace director {
namespace {

/// The newest proposals of a device, among which earlier keys are looked for.
constexpr std::size_t kEarlierKeysMax = 200;

using IntentKey = std::pair<EnrollmentId, CommandUuid>;

/// The state that one batch touches, loaded once, changed event by event, written once.
class Recording {
 public:
  Recording(StoreWriter& writer, const RecordOptions& options)
      : writer_(writer), options_(options) {}

  /// What has one of these names is loaded, and so locked, with what the batch is about.
  Status Load(const std::vector<Incoming>& batch, const std::set<std::string>& names) {
    std::set<EnrollmentId> ids;
    std::set<IntentKey> keys;
    for (const std::string& name : names) {
      const auto named = writer_.FindEnrollments(name);
      if (!named) return Fail(named.error());
      ids.insert(named->begin(), named->end());
    }
    for (const Incoming& incoming : batch) {
      const auto* event = std::get_if<MdmEvent>(&incoming.content);
      if (event == nullptr || event->channel.enrollment_id.empty()) continue;
      ids.insert(event->channel.enrollment_id);
      if (const auto* result = std::get_if<ResultEvent>(&event->body)) {
        keys.emplace(event->channel.enrollment_id, result->command_uuid);
      }
    }
    auto enrollments = writer_.LoadEnrollments({ids.begin(), ids.end()});
    if (!enrollments) return Fail(enrollments.error());
    for (Enrollment& enrollment : *enrollments) {
      const EnrollmentId id = enrollment.channel.enrollment_id;
      enrollments_.emplace(id, std::move(enrollment));
    }
    auto intents = writer_.LoadIntents({keys.begin(), keys.end()});
    if (!intents) return Fail(intents.error());
    for (auto& [id, intent] : *intents) {
      const IntentKey key{id, intent.command_uuid};
      intents_.emplace(key, std::move(intent));
    }
    return {};
  }

  Status Apply(const Incoming& incoming) {
    now_ = incoming.received_at;
    if (const auto* letter = std::get_if<DeadLetter>(&incoming.content)) {
      dead_letters_.push_back(*letter);
      happenings_.push_back({0,
                             letter->received_at,
                             {},
                             "dead_letter",
                             fmt::format("A webhook of {} could not be read: {}",
                                         letter->upstream.value(), letter->reason)});
      return {};
    }
    const auto& event = std::get<MdmEvent>(incoming.content);
    if (event.channel.enrollment_id.empty()) return {};
    return Take(event, incoming.received_at);
  }

  /// The names of the devices that `Save` withdraws assignments from.
  std::set<std::string> cleared_names() const {
    std::set<std::string> names;
    for (const EnrollmentId& id : cleared_) names.merge(NamesOf(enrollments_.at(id)));
    return names;
  }

  Status Save() {
    std::vector<Enrollment> enrollments;
    for (const EnrollmentId& id : changed_) enrollments.push_back(enrollments_.at(id));
    std::vector<std::pair<EnrollmentId, Intent>> intents;
    for (const IntentKey& key : answered_) intents.emplace_back(key.first, intents_.at(key));
    if (Status done = writer_.SaveEnrollments(enrollments, due_); !done) return done;
    if (Status done = writer_.SaveIntents(intents); !done) return done;
    if (Status done = writer_.SaveReports(reports_, now_); !done) return done;
    if (Status done = writer_.SaveAppLists(app_lists_, now_); !done) return done;
    if (Status done = writer_.SaveManagedAppLists(managed_app_lists_, now_); !done) return done;
    if (Status done = writer_.SaveInventory(inventory_); !done) return done;
    if (Status done = writer_.AddHappenings(happenings_); !done) return done;
    for (const EnrollmentId& id : cleared_) {
      if (Status done = WithdrawOwn(writer_, enrollments_.at(id), now_); !done) return done;
    }
    return writer_.AddDeadLetters(dead_letters_);
  }

 private:
  Status Take(const MdmEvent& event, Timestamp received_at) {
    const EnrollmentId& id = event.channel.enrollment_id;
    std::optional<Enrollment> known;
    if (const auto found = enrollments_.find(id); found != enrollments_.end())
      known = found->second;
    std::optional<Intent> intent;
    if (const auto* result = std::get_if<ResultEvent>(&event.body)) {
      const auto found = intents_.find({id, result->command_uuid});
      if (found != intents_.end()) intent = found->second;
    }
    if (Status kept = KeepNewKey(event, received_at); !kept) return kept;
    Observation seen = Observe(known, intent, event, received_at);
    if (seen.inventory) {
      inventory_[{id, seen.inventory->kind}] = {seen.enrollment.epoch, event.created_at,
                                                EncodeAnswer(seen.inventory->answer)};
    }
    if (seen.queue_lost) {
      if (Status done = writer_.LoseOpenIntents({id}, received_at); !done) return done;
      ForgetIntents(id);
    }
    const bool is_device = !IsUserChannel(event.channel.type);
    if (options_.clear_device_on_enroll && seen.begins_epoch && is_device) cleared_.insert(id);
    if (seen.enrollment_changed) {
      enrollments_.insert_or_assign(id, std::move(seen.enrollment));
      changed_.insert(id);
    }
    if (seen.intent) {
      const IntentKey key{id, seen.intent->command_uuid};
      intents_.insert_or_assign(key, std::move(*seen.intent));
      answered_.insert(key);
    }
    if (seen.report) reports_.emplace_back(id, std::move(*seen.report));
    if (seen.app_list) app_lists_.emplace_back(id, std::move(*seen.app_list));
    if (seen.managed_app_list) {
      managed_app_lists_.emplace_back(id, std::move(*seen.managed_app_list));
    }
    if (seen.due) MakeDue(event, received_at);
    for (std::string& text : seen.happenings) {
      happenings_.push_back({0, received_at, id, "device", std::move(text)});
    }
    return {};
  }

  /// A new recovery key is nowhere else: it is taken however late it comes, whatever has become of
  /// its proposal and of the enrollment meanwhile. The first answer counts.
  Status KeepNewKey(const MdmEvent& event, Timestamp received_at) {
    const auto* result = std::get_if<ResultEvent>(&event.body);
    if (result == nullptr || result->encrypted_recovery_key.empty()) return {};
    const EnrollmentId& id = event.channel.enrollment_id;
    Result<Proposal> proposal = writer_.FindProposal(id, result->command_uuid);
    // Another tool has rotated the key, too.
    if (!proposal && proposal.error().kind == ErrorKind::kNotFound) return {};
    if (!proposal) return Fail(proposal.error());
    if (proposal->kind != ProposalKind::kRotateFileVaultKey) return {};
    Result<SealedSecrets> sealed = writer_.LoadSealedSecrets(proposal->proposal_id);
    if (!sealed) return Fail(sealed.error());
    if (!sealed->encrypted_key.empty()) return {};
    sealed->encrypted_key = EncodeBase64(result->encrypted_recovery_key);
    Status saved = writer_.SaveSealedSecrets(proposal->proposal_id, *sealed);
    if (!saved) return saved;
    if (saved = PutBeforeNow(*proposal, event.created_at, received_at); !saved) return saved;
    TakeNewKey(event.created_at, received_at, *proposal);
    if (saved = writer_.SaveProposal(*proposal); !saved) return saved;
    MakeDue(event, received_at);
    happenings_.push_back(
        {0, received_at, id, "device", "Answered RotateFileVaultKey with a new recovery key."});
    return {};
  }

  /// The keys that the Mac gave before a clock was set back are older than the one it gives now,
  /// which is the one in force: no answer can be from the future.
  Status PutBeforeNow(const Proposal& answered, Timestamp answered_at, Timestamp received_at) {
    auto others =
        writer_.ListProposals({.enrollment_id = answered.enrollment_id}, {"", kEarlierKeysMax});
    if (!others) return Fail(others.error());
    for (Proposal& other : *others) {
      const bool is_ahead = other.kind == answered.kind && other.acknowledged_at &&
                            IsAhead(*other.acknowledged_at, std::max(answered_at, received_at));
      if (!is_ahead) continue;
      other.acknowledged_at = answered_at - Duration(1);
      if (Status saved = writer_.SaveProposal(other); !saved) return saved;
    }
    return {};
  }

  void MakeDue(const MdmEvent& event, Timestamp received_at) {
    const auto settle_time = options_.settle_times.find(event.upstream);
    const bool is_at_once = settle_time == options_.settle_times.end();
    due_.emplace(event.channel.enrollment_id,
                 is_at_once ? received_at : received_at + settle_time->second);
  }

  /// After LoseOpenIntents the loaded copies are out of date; answers to them change nothing.
  void ForgetIntents(const EnrollmentId& id) {
    std::erase_if(intents_, [&](const auto& entry) { return entry.first.first == id; });
    std::erase_if(answered_, [&](const IntentKey& key) { return key.first == id; });
  }

  StoreWriter& writer_;
  const RecordOptions& options_;
  Timestamp now_;
  std::map<EnrollmentId, Enrollment> enrollments_;
  std::map<IntentKey, Intent> intents_;
  std::set<EnrollmentId> changed_;
  std::set<EnrollmentId> cleared_;  ///< they began anew and lose what is for them alone
  std::set<IntentKey> answered_;
  std::vector<std::pair<EnrollmentId, ProfileListReport>> reports_;
  std::vector<std::pair<EnrollmentId, AppListReport>> app_lists_;
  std::vector<std::pair<EnrollmentId, ManagedAppListReport>> managed_app_lists_;
  Inventory inventory_;
  std::vector<Happening> happenings_;
  std::vector<DeadLetter> dead_letters_;
  std::map<EnrollmentId, Timestamp> due_;
};

/// What is desired is locked before devices are, and all devices in the order of their ids, as
/// everywhere, or two transactions could wait for each other. Whether it has to be, and who becomes
/// due by it, is only seen by looking at the devices: rarely, and then a second time.
Status RecordOnce(Store& store, const std::vector<Incoming>& batch, const RecordOptions& options,
                  const BeforeCommit& before_commit) {
  Status done;
  std::set<std::string> cleared;
  bool needs_lock = false;
  for (const bool is_locked : {false, true}) {
    done = store.Write([&](StoreWriter& writer) -> Status {
      if (Status locked = is_locked ? writer.LockDesired() : Status(); !locked) return locked;
      Recording recording(writer, options);
      if (Status loaded = recording.Load(batch, cleared); !loaded) return loaded;
      for (const Incoming& incoming : batch) {
        if (Status applied = recording.Apply(incoming); !applied) return applied;
      }
      if (!is_locked) {
        cleared = recording.cleared_names();
        needs_lock = !cleared.empty();
        if (needs_lock) return Fail(ErrorKind::kInvalid, "what is desired must be locked first");
      }
      Status saved = recording.Save();
      if (saved) before_commit();
      return saved;
    });
    if (!needs_lock) break;
  }
  return done;
}

bool IsPoll(const Incoming& incoming) {
  const auto* event = std::get_if<MdmEvent>(&incoming.content);
  return event != nullptr && std::holds_alternative<IdleEvent>(event->body);
}

DeadLetter MakeDeadLetter(std::string_view body, const UpstreamName& upstream,
                          Timestamp received_at, std::string reason) {
  DeadLetter letter;
  letter.received_at = received_at;
  letter.upstream = upstream;
  letter.reason = std::move(reason);
  letter.body = std::string(body.substr(0, kDeadLetterBodyMaxBytes));
  letter.size_bytes = static_cast<std::int64_t>(body.size());
  return letter;
}

}  // namespace

Incoming DecodeIncoming(std::string_view body, const UpstreamName& upstream, Timestamp received_at,
                        const std::vector<std::string>& identity_issuers) {
  Result<MdmEvent> event = DecodeWebhook(body, upstream, received_at);
  if (event) {
    TakeIdentity(identity_issuers, *event);
    return {received_at, std::move(*event)};
  }
  const Error& error = event.error();
  const std::string reason =
      error.field.empty() ? error.message : fmt::format("{}: {}", error.field, error.message);
  Log(LogLevel::kWarning, "webhook could not be read; kept as a dead letter",
      {{log_key::kUpstream, upstream.value()}, {log_key::kReason, reason}});
  return {received_at, MakeDeadLetter(body, upstream, received_at, reason)};
}

Result<std::vector<Incoming>> WithoutIdlePolls(Store& store, std::vector<Incoming> batch) {
  std::set<EnrollmentId> polling;
  std::set<EnrollmentId> saying_more;
  Timestamp first = Timestamp::max();
  Timestamp last = Timestamp::min();
  for (const Incoming& incoming : batch) {
    first = std::min(first, incoming.received_at);
    last = std::max(last, incoming.received_at);
    const auto* event = std::get_if<MdmEvent>(&incoming.content);
    if (event == nullptr) continue;
    (IsPoll(incoming) ? polling : saying_more).insert(event->channel.enrollment_id);
  }
  std::erase_if(polling, [&](const EnrollmentId& id) { return saying_more.contains(id); });
  if (polling.empty()) return batch;
  std::set<EnrollmentId> quiet;
  const Status read = store.ReadOnce([&](StoreReader& reader) -> Status {
    const auto found = reader.FindQuiet({polling.begin(), polling.end()}, last - kSeenWriteInterval,
                                        first + kLateEventAfter);
    if (!found) return Fail(found.error());
    quiet = {found->begin(), found->end()};
    return {};
  });
  if (!read && read.error().kind == ErrorKind::kUnavailable) return Fail(read.error());
  // Otherwise an id was refused: all stay, to be recorded each for itself.
  std::erase_if(batch, [&](const Incoming& incoming) {
    return IsPoll(incoming) &&
           quiet.contains(std::get<MdmEvent>(incoming.content).channel.enrollment_id);
  });
  return batch;
}

Status RecordIncoming(Store& store, const std::vector<Incoming>& batch,
                      const RecordOptions& options, const BeforeCommit& before_commit) {
  Status done = RecordOnce(store, batch, options, before_commit);
  if (done || done.error().kind == ErrorKind::kUnavailable) return done;
  if (batch.size() > 1) {
    for (const Incoming& incoming : batch) {
      Status alone = RecordIncoming(store, {incoming}, options, before_commit);
      if (!alone) return alone;
    }
    return {};
  }
  const auto* event = std::get_if<MdmEvent>(&batch.front().content);
  if (event == nullptr) return done;
  Log(LogLevel::kError, "event could not be recorded; kept as a dead letter",
      {{log_key::kEnrollmentId, event->channel.enrollment_id.value()},
       {log_key::kError, ErrorForLog(done.error())}});
  // A recovery key that a Mac made is nowhere else.
  const auto* result = std::get_if<ResultEvent>(&event->body);
  const std::string kept =
      result == nullptr ? std::string() : EncodeBase64(result->encrypted_recovery_key);
  const DeadLetter letter =
      MakeDeadLetter(kept, event->upstream, batch.front().received_at,
                     fmt::format("{} of {}: {}", EventName(event->body),
                                 event->channel.enrollment_id.value(), done.error().message));
  return RecordOnce(store, {Incoming{batch.front().received_at, letter}}, options, before_commit);
}

Ingest::Ingest(Store& store, OnDue on_due, RecordOptions options)
    : store_(store), on_due_(std::move(on_due)), options_(options) {
  for (std::size_t i = 0; i < kThreads; ++i) threads_.emplace_back([this] { Run(); });
}

Ingest::~Ingest() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  arrived_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

std::size_t Ingest::QueueDepth() const {
  const std::lock_guard lock(mutex_);
  return queue_.size();
}

Status Ingest::Accept(Incoming incoming) {
  std::future<Status> outcome;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return Fail(ErrorKind::kUnavailable, "the server is stopping");
    if (queue_.size() >= kQueueMax) {
      return Fail(ErrorKind::kUnavailable, "too many webhooks at once");
    }
    outcome = queue_.emplace_back(Waiting{std::move(incoming), {}}).outcome.get_future();
  }
  arrived_.notify_one();
  return outcome.get();
}

Status Ingest::Take(std::vector<Incoming> batch, const BeforeCommit& before_commit) {
  try {
    const Result<std::vector<Incoming>> news = WithoutIdlePolls(store_, std::move(batch));
    if (!news) return Fail(news.error());
    if (news->empty()) return {};
    Status done = RecordIncoming(store_, *news, options_, before_commit);
    if (done) on_due_();
    return done;
  } catch (const InvariantViolation& violation) {
    Log(LogLevel::kError, "webhooks could not be recorded", {{log_key::kError, violation.what()}});
    return Fail(ErrorKind::kUnavailable, "not recorded");
  }
}

/// Each request is told apart and without the lock, or all of them would wake to wait for it.
void Ingest::Run() {
  while (true) {
    std::unique_lock turn(turn_);
    std::vector<std::promise<Status>> waiting;
    std::vector<Incoming> batch;
    {
      std::unique_lock lock(mutex_);
      arrived_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      while (!queue_.empty() && batch.size() < kBatchMax) {
        waiting.push_back(std::move(queue_.front().outcome));
        batch.push_back(std::move(queue_.front().incoming));
        queue_.pop_front();
      }
    }
    const auto end_turn = [&] {
      if (turn.owns_lock()) turn.unlock();
    };
    const Status done = Take(std::move(batch), end_turn);
    end_turn();
    for (std::promise<Status>& one : waiting) one.set_value(done);
  }
}

}  // namespace director
