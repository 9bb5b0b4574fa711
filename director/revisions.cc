#include "director/revisions.h"

#include <utility>

#include "base/text.h"

namespace director {

Revision ToRevision(Profile profile, const std::string& source, Timestamp now) {
  Revision revision;
  revision.payload_uuid = profile.payload_uuid;
  revision.payload_identifier = profile.payload_identifier;
  revision.display_name = Truncate(profile.display_name, 255);
  revision.payload_scope = profile.payload_scope;
  for (const ProfilePayload& payload : profile.payloads) {
    revision.payload_types.push_back(payload.payload_type);
  }
  revision.certificate_authority = std::move(profile.certificate_authority);
  revision.original_payload_uuid = Truncate(profile.original_payload_uuid, 255);
  revision.source = source;
  revision.created_at = now;
  revision.size_bytes = static_cast<std::int64_t>(profile.mobileconfig.size());
  revision.content = std::move(profile.mobileconfig);
  return revision;
}

Revision ToRevision(const ItemDefinition& definition, const std::string& source, Timestamp now) {
  Revision revision;
  revision.payload_uuid = NameDefinition(definition);
  revision.payload_identifier = definition.item;
  revision.source = source;
  revision.created_at = now;
  revision.request_type = definition.request_type;
  revision.app_version = definition.version;
  revision.content = EncodeDefinition(definition);
  revision.size_bytes = static_cast<std::int64_t>(revision.content.size());
  return revision;
}

}  // namespace director
