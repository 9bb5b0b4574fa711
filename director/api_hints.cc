// What other tools say about devices.
#include <fmt/core.h>

#include <utility>

#include "director/api.h"
#include "director/api_support.h"
#include "director/json_body.h"
#include "reconciler/hint.h"

namespace director {
namespace {

constexpr std::size_t kSeenProfilesMax = 1'000;

/// The text at `key` of an entry; empty when it is missing or can be no name.
std::string NameAt(const nlohmann::json& entry, const char* key) {
  const auto found = entry.find(key);
  const bool is_text = found != entry.end() && found->is_string();
  return is_text ? found->get<std::string>() : std::string();
}

void ReadSeenProfile(JsonBody& body, const nlohmann::json& entry, std::size_t index,
                     std::vector<SeenProfile>& profiles) {
  const std::string place = fmt::format("profiles[{}]", index);
  if (!entry.is_object()) return body.Problem(place, "must be an object");
  for (const auto& [key, value] : entry.items()) {
    const bool is_known = key == "payload_identifier" || key == "payload_uuid";
    if (!is_known) body.Problem(fmt::format("{}.{}", place, key), "unknown key");
  }
  SeenProfile seen{PayloadIdentifier(NameAt(entry, "payload_identifier")),
                   NameAt(entry, "payload_uuid")};
  if (seen.payload_identifier.empty()) {
    body.Problem(place + ".payload_identifier", "must be a string that is not empty");
  }
  if (seen.payload_uuid.empty()) {
    body.Problem(place + ".payload_uuid", "must be a string that is not empty");
  }
  profiles.push_back(std::move(seen));
}

Hint ReadHint(JsonBody& body) {
  Hint hint;
  const auto found = body.json().find("profiles");
  for (const auto& [key, value] : body.json().items()) {
    if (key != "profiles") body.Problem(key, "unknown key");
  }
  if (found == body.json().end() || found->is_null()) return hint;
  if (!found->is_array() || found->size() > kSeenProfilesMax) {
    body.Problem("profiles", fmt::format("must be an array of at most {}", kSeenProfilesMax));
    return hint;
  }
  hint.profiles.emplace();
  for (std::size_t i = 0; i < found->size(); ++i) {
    ReadSeenProfile(body, (*found)[i], i, *hint.profiles);
  }
  return hint;
}

}  // namespace

HttpServerResponse Api::SeeDevice(const HttpServerRequest& request) {
  if (Status ok = CheckQuery(request, {}); !ok) return ProblemResponse(ok.error());
  Result<JsonBody> body = JsonBody::Parse(request.body.empty() ? "{}" : request.body);
  if (!body) return ProblemResponse(body.error());
  const Hint hint = ReadHint(*body);
  if (!body->problems().empty()) {
    return ProblemResponse(400, "the hint has problems", body->problems());
  }
  const Timestamp now = deps_.clock.Now();
  EnrollmentId id;
  HintEffect effect;
  const auto decide = [&](StoreReader& reader) -> Status {
    const Result<Snapshot> snapshot = reader.LoadSnapshot(id);
    if (!snapshot) return Fail(snapshot.error());
    effect = TakeHint(*snapshot, hint, deps_.config.settings, now);
    return {};
  };
  // A tool that repeats itself costs a read; only what changes something is written.
  Status done = deps_.store.Read([&](StoreReader& reader) -> Status {
    const Result<EnrollmentId> found = FindDevice(reader, request.path_values.at("device"));
    if (!found) return Fail(found.error());
    id = *found;
    return decide(reader);
  });
  if (done && effect.IsChange()) {
    done = deps_.store.Write([&](StoreWriter& writer) -> Status {
      // Loaded first, so that it stays as it is.
      if (const auto held = writer.LoadEnrollments({id}); !held) return Fail(held.error());
      if (Status decided = decide(writer); !decided) return decided;
      if (!effect.IsChange()) return {};
      if (Status saved = writer.SaveEnrollments({effect.enrollment}); !saved) return saved;
      return writer.MarkDue({{id, now}});
    });
    deps_.notify();
  }
  if (!done) return ProblemResponse(done.error());
  return JsonResponse(202, {{"due_at", effect.IsChange() ? TimeJson(now) : nlohmann::json()},
                            {"report_wanted", effect.wants_report},
                            {"push_sooner", effect.pushes_sooner},
                            {"reason", effect.reason}});
}

}  // namespace director
