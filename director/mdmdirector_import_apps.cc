// Apps by the URL of their manifest: the import takes them over for the enrollments to come.

#include "director/assignment_rules.h"
#include "director/mdmdirector_import_parts.h"
#include "director/mdmdirector_support.h"
#include "director/revisions.h"
#include "mdm/app.h"

namespace director::mdmdirector {

Result<WantedRow> TranslateApp(const MdmDirectorApp& app, Timestamp now) {
  if (!app.udid.empty() && !CanNameDevice(app.udid)) {
    return Fail(ErrorKind::kInvalid, "its UDID names no device");
  }
  AppSpec spec;
  spec.manifest_url = app.manifest_url;
  const Result<ItemDefinition> defined = DefineApp(spec);
  if (!defined) return Fail(defined.error());
  WantedRow wanted;
  wanted.app = ToRevision(*defined, kSource, now);
  wanted.new_revision = wanted.app->payload_uuid;
  wanted.serial_number = app.serial_number;
  Assignment& assignment = wanted.assignment;
  assignment.payload_identifier = defined->item;
  assignment.payload_uuid = wanted.app->payload_uuid;
  assignment.target_kind = app.udid.empty() ? TargetKind::kAll : TargetKind::kDevice;
  assignment.target = app.udid;
  assignment.at_enrollment_only = true;
  assignment.source = kSource;
  assignment.assigned_at = now;
  return wanted;
}

}  // namespace director::mdmdirector
