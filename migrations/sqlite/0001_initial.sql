-- The first schema. Times are UTC milliseconds since 1970, words are spelt as in the program,
-- unknown facts are empty strings, absent times are NULL. Every hot table is keyed by enrollment first.
-- Words are compared one by one: for an IN of more than two SQLite fills a table at every write.

PRAGMA application_id = 1145655875;  -- "DIRC": tells our files from those of other programs

CREATE TABLE schema_migrations (
  number INTEGER PRIMARY KEY CHECK (number > 0),
  name TEXT NOT NULL CHECK (name <> ''),
  applied_at INTEGER NOT NULL
) STRICT;

CREATE TABLE enrollments (
  enrollment_id TEXT NOT NULL PRIMARY KEY CHECK (enrollment_id <> ''),
  device_id TEXT NOT NULL CHECK (device_id <> ''),
  channel_type TEXT NOT NULL
    CHECK (channel_type = 'Device' OR channel_type = 'User' OR channel_type = 'Shared iPad' OR
      channel_type = 'User Enrollment (Device)' OR channel_type = 'User Enrollment'),
  udid TEXT NOT NULL,
  user_id TEXT NOT NULL,
  upstream TEXT NOT NULL CHECK (upstream <> ''),
  status TEXT NOT NULL
    CHECK (status = 'authenticated' OR status = 'enrolled' OR status = 'checked_out' OR
      status = 'quarantined'),
  quarantine_reason TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  ask_first INTEGER NOT NULL CHECK (ask_first IN (0, 1)),
  awaiting_configuration INTEGER CHECK (awaiting_configuration IN (0, 1)),
  awaiting_since INTEGER,
  serial_number TEXT NOT NULL,
  os_version TEXT NOT NULL,
  build_version TEXT NOT NULL,
  product_name TEXT NOT NULL,
  model_name TEXT NOT NULL,
  device_name TEXT NOT NULL,
  user_short_name TEXT NOT NULL,
  topic TEXT NOT NULL,
  -- Its identity, as the last CertificateList of this epoch showed it that we asked for; the issuer
  -- is empty without one.
  identity_issuer TEXT NOT NULL,
  identity_not_before INTEGER,
  identity_not_after INTEGER,
  identity_asked_at INTEGER,
  renewal_began_at INTEGER,  -- the last attempt to renew it
  renewal_replaces_until INTEGER,
  renewal_authenticated_at INTEGER,
  renewal_ended_at INTEGER,
  is_supervised INTEGER CHECK (is_supervised IN (0, 1)),
  first_seen_at INTEGER NOT NULL,
  last_seen_at INTEGER NOT NULL,
  authenticated_at INTEGER,
  enrolled_at INTEGER,
  device_information_at INTEGER,  -- when the device last answered each question, in this epoch
  security_info_at INTEGER,
  certificate_list_at INTEGER,
  installed_application_list_at INTEGER,
  managed_application_list_at INTEGER,
  epoch_began_at INTEGER,  -- NULL: the enrollment is older than what Director knows of it
  push_count INTEGER NOT NULL CHECK (push_count >= 0),
  pushed_at INTEGER,
  push_unregistered INTEGER NOT NULL CHECK (push_unregistered IN (0, 1)),
  wants_wake INTEGER NOT NULL CHECK (wants_wake IN (0, 1)),
  -- What an enrollment that has begun has still to do; empty when it is whole.
  missing_step TEXT NOT NULL
    CHECK (missing_step = '' OR missing_step = 'token_update' OR missing_step = 'first_answer' OR
      missing_step = 'profile_list'),
  missing_since INTEGER CHECK ((missing_since IS NULL) = (missing_step = '')),
  report_wanted_at INTEGER,  -- a ProfileList newer than this is wanted
  due_at INTEGER NOT NULL,   -- when to decide again
  lease_id INTEGER NOT NULL DEFAULT 0  -- the last one; 0: none. Held as long as it is in `leases`
) STRICT, WITHOUT ROWID;

CREATE INDEX enrollments_due ON enrollments (due_at);
CREATE INDEX enrollments_missing ON enrollments (missing_since) WHERE missing_since IS NOT NULL;
CREATE INDEX enrollments_identity ON enrollments (status, identity_not_after) WHERE user_id = '';
CREATE INDEX enrollments_status ON enrollments (status);
CREATE INDEX enrollments_id ON enrollments (enrollment_id COLLATE NOCASE);
CREATE INDEX enrollments_device ON enrollments (device_id COLLATE NOCASE);
CREATE INDEX enrollments_serial ON enrollments (serial_number COLLATE NOCASE);
CREATE INDEX enrollments_udid ON enrollments (udid COLLATE NOCASE);

-- A worker sends commands to the enrollments of the lease. It deletes the row when it is done.
CREATE TABLE leases (
  lease_id INTEGER PRIMARY KEY CHECK (lease_id > 0),
  lease_until INTEGER NOT NULL  -- then the worker is taken for dead
) STRICT;

CREATE TABLE reports (
  enrollment_id TEXT NOT NULL REFERENCES enrollments ON DELETE CASCADE,
  kind TEXT NOT NULL
    CHECK (kind = 'ProfileList' OR kind = 'DeviceInformation' OR kind = 'SecurityInfo' OR
      kind = 'CertificateList' OR kind = 'InstalledApplicationList' OR
      kind = 'ManagedApplicationList' OR kind = 'apps' OR kind = 'managed_apps' OR
      -- what MDMDirector last heard: only shown
      kind = 'mdmdirector:ProfileList' OR kind = 'mdmdirector:DeviceInformation' OR
      kind = 'mdmdirector:SecurityInfo' OR kind = 'mdmdirector:CertificateList'),
  epoch INTEGER NOT NULL,
  digest TEXT NOT NULL CHECK (length(digest) = 64),  -- SHA-256 of the body
  reported_at INTEGER NOT NULL,
  asked_at INTEGER,
  PRIMARY KEY (enrollment_id, kind)
) STRICT, WITHOUT ROWID;

-- Apart from `reports`, so that an unchanged report moves only its times.
CREATE TABLE report_bodies (
  enrollment_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  body TEXT NOT NULL,  -- JSON
  PRIMARY KEY (enrollment_id, kind),
  FOREIGN KEY (enrollment_id, kind) REFERENCES reports ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE items (
  enrollment_id TEXT NOT NULL REFERENCES enrollments ON DELETE CASCADE,
  payload_identifier TEXT NOT NULL CHECK (payload_identifier <> ''),
  presence TEXT NOT NULL CHECK (presence IN ('present', 'absent')),
  payload_uuid TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  state TEXT NOT NULL
    CHECK (state = 'pending' OR state = 'in_flight' OR state = 'not_now' OR
      state = 'acknowledged' OR state = 'verified' OR state = 'backing_off' OR
      state = 'parked' OR state = 'blocked'),
  reason TEXT NOT NULL,
  state_since INTEGER NOT NULL,
  due_at INTEGER,
  attempts INTEGER NOT NULL CHECK (attempts >= 0),
  next_attempt_at INTEGER,
  acknowledged_at INTEGER,
  settled_at INTEGER,
  verified_at INTEGER,
  parked INTEGER NOT NULL CHECK (parked IN (0, 1)),
  parked_build TEXT NOT NULL,
  last_error TEXT NOT NULL,
  last_error_at INTEGER,
  sends_since INTEGER NOT NULL,
  sends INTEGER NOT NULL CHECK (sends >= 0),
  installed_build TEXT NOT NULL,  -- OS build under which it was installed or found; empty: not known
  reinstall_at INTEGER,           -- when it is installed again because the build grew
  PRIMARY KEY (enrollment_id, payload_identifier)
) STRICT, WITHOUT ROWID;

CREATE INDEX items_state ON items (payload_identifier, state, presence);
CREATE INDEX items_waiting ON items (state_since) WHERE state NOT IN ('verified', 'blocked');

CREATE TABLE intents (
  enrollment_id TEXT NOT NULL REFERENCES enrollments ON DELETE CASCADE,
  command_uuid TEXT NOT NULL CHECK (command_uuid <> ''),
  request_type TEXT NOT NULL CHECK (request_type <> ''),
  payload_identifier TEXT NOT NULL,
  payload_uuid TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  state TEXT NOT NULL
    CHECK (state = 'journaled' OR state = 'sent' OR state = 'unknown' OR state = 'not_now' OR
      state = 'acknowledged' OR state = 'denied' OR state = 'failed' OR state = 'not_sent' OR
      state = 'refused' OR state = 'lost'),
  journaled_at INTEGER NOT NULL,
  answered_at INTEGER,
  not_now_count INTEGER NOT NULL CHECK (not_now_count >= 0),
  not_now_at INTEGER,
  error_class TEXT NOT NULL
    CHECK (error_class = 'transient' OR error_class = 'permanent' OR error_class = 'user' OR
      error_class = 'server' OR error_class = 'done' OR error_class = 'unknown'),
  error TEXT NOT NULL,
  closed_at INTEGER,             -- NULL until a plan has digested it
  closed_reason TEXT NOT NULL DEFAULT '',
  lease_id INTEGER NOT NULL DEFAULT 0,  -- under which it was journaled; `journaled` and no longer in `leases`: sent
  PRIMARY KEY (enrollment_id, command_uuid)
) STRICT, WITHOUT ROWID;

CREATE INDEX intents_open ON intents (enrollment_id) WHERE closed_at IS NULL;
-- By the words, not the state: the many commands that go well never touch it.
CREATE INDEX intents_failed ON intents (enrollment_id, command_uuid) WHERE error <> '';
CREATE INDEX intents_closed ON intents (closed_at) WHERE closed_at IS NOT NULL;

CREATE TABLE revisions (
  payload_uuid TEXT NOT NULL PRIMARY KEY CHECK (payload_uuid <> ''),
  payload_identifier TEXT NOT NULL CHECK (payload_identifier <> ''),
  display_name TEXT NOT NULL,
  payload_scope TEXT NOT NULL,
  payload_types TEXT NOT NULL,  -- JSON array of strings
  certificate_authority TEXT NOT NULL,
  request_type TEXT NOT NULL CHECK (request_type <> ''),  -- of the command that brings it to a device
  app_version TEXT NOT NULL,
  original_payload_uuid TEXT NOT NULL,
  source TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),
  content BLOB NOT NULL  -- the mobileconfig, or the definition of an app or of accounts
) STRICT;

CREATE INDEX revisions_identifier ON revisions (payload_identifier, created_at DESC, payload_uuid);

CREATE TABLE assignments (
  assignment_id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice
  payload_identifier TEXT NOT NULL CHECK (payload_identifier <> ''),
  channel TEXT NOT NULL CHECK (channel IN ('device', 'user')),
  target_kind TEXT NOT NULL CHECK (target_kind IN ('all', 'device')),
  target TEXT NOT NULL,
  presence TEXT NOT NULL CHECK (presence IN ('present', 'absent')),
  payload_uuid TEXT REFERENCES revisions,
  adopt INTEGER NOT NULL CHECK (adopt IN (0, 1)),
  during_setup INTEGER NOT NULL CHECK (during_setup IN (0, 1)),
  at_enrollment_only INTEGER NOT NULL CHECK (at_enrollment_only IN (0, 1)),
  source TEXT NOT NULL,
  assigned_at INTEGER NOT NULL,
  CONSTRAINT all_names_no_target CHECK ((target_kind = 'all') = (target = '')),
  CONSTRAINT present_names_a_revision CHECK ((presence = 'present') = (payload_uuid IS NOT NULL))
) STRICT;

CREATE UNIQUE INDEX assignments_key
  ON assignments (payload_identifier, channel, target_kind, target COLLATE NOCASE);
CREATE INDEX assignments_target ON assignments (channel, target_kind, target COLLATE NOCASE);

-- Something changed for everybody on a channel; the enrollments up to `spread_to` have been made due.
CREATE TABLE fleet_changes (
  fleet_change_id INTEGER PRIMARY KEY AUTOINCREMENT,
  channel TEXT NOT NULL CHECK (channel IN ('device', 'user')),
  changed_at INTEGER NOT NULL,
  spread_to TEXT NOT NULL DEFAULT ''
) STRICT;

-- What an enrollment profile of an MDM server must keep when it is sent again.
CREATE TABLE enrollment_profile_pins (
  upstream TEXT NOT NULL CHECK (upstream <> ''),
  payload_identifier TEXT NOT NULL CHECK (payload_identifier <> ''),
  content TEXT NOT NULL,  -- JSON
  pinned_at INTEGER NOT NULL,
  is_proven INTEGER NOT NULL CHECK (is_proven IN (0, 1)),  -- a device took it
  PRIMARY KEY (upstream, payload_identifier)
) STRICT, WITHOUT ROWID;

CREATE TABLE proposals (
  proposal_id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice
  enrollment_id TEXT NOT NULL REFERENCES enrollments ON DELETE CASCADE,
  kind TEXT NOT NULL
    CHECK (kind = 'DeviceLock' OR kind = 'EraseDevice' OR kind = 'RestartDevice' OR
      kind = 'RotateFileVaultKey' OR kind = 'SetRecoveryLock' OR kind = 'ShutDownDevice' OR
      kind = 'VerifyRecoveryLock'),
  reason TEXT NOT NULL,
  source TEXT NOT NULL,
  repeats INTEGER NOT NULL CHECK (repeats IN (0, 1)),
  message TEXT NOT NULL,
  phone_number TEXT NOT NULL,
  sealed_secret TEXT NOT NULL,  -- empty without one; stays when the proposal has ended
  sealed_current_secret TEXT NOT NULL,  -- the same; what the device wants to see first
  sealed_reply_identity TEXT NOT NULL,  -- the same; the key pair that opens what the device answers
  encrypted_key TEXT NOT NULL,  -- base64 of what it answered with; empty before
  verifies INTEGER NOT NULL,  -- a proposal_id, or 0
  epoch INTEGER NOT NULL,
  command_uuid TEXT NOT NULL,  -- of the command that was sent last; empty before
  created_at INTEGER NOT NULL,
  not_before INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  state TEXT NOT NULL
    CHECK (state = 'waiting' OR state = 'sent' OR state = 'answered' OR state = 'done' OR
      state = 'failed' OR state = 'cancelled' OR state = 'expired' OR state = 'dropped'),
  explanation TEXT NOT NULL,
  state_since INTEGER NOT NULL,
  escrowed_at INTEGER,
  attempts INTEGER NOT NULL CHECK (attempts >= 0),
  last_error TEXT NOT NULL,
  next_attempt_at INTEGER,
  acknowledged_at INTEGER,
  cancelled_at INTEGER,
  effect TEXT NOT NULL
    CHECK (effect = 'none' OR effect = 'unknown' OR effect = 'carried_out' OR effect = 'denied')
) STRICT;

-- A device has one open proposal at most; what is answered holds up no other.
CREATE UNIQUE INDEX proposals_one ON proposals (enrollment_id) WHERE state IN ('waiting', 'sent');
CREATE INDEX proposals_unfinished ON proposals (enrollment_id)
  WHERE state IN ('waiting', 'sent', 'answered');
CREATE INDEX proposals_ended ON proposals (state_since) WHERE state NOT IN ('waiting', 'sent')
  AND kind NOT IN ('RotateFileVaultKey', 'SetRecoveryLock', 'VerifyRecoveryLock');
CREATE INDEX proposals_enrollment ON proposals (enrollment_id);
CREATE INDEX proposals_created ON proposals (created_at);

CREATE TABLE happenings (
  happening_id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  enrollment_id TEXT NOT NULL,  -- empty when it is about no single enrollment
  kind TEXT NOT NULL CHECK (kind <> ''),
  text TEXT NOT NULL
) STRICT;

CREATE INDEX happenings_enrollment ON happenings (enrollment_id) WHERE enrollment_id <> '';

CREATE TABLE dead_letters (
  dead_letter_id INTEGER PRIMARY KEY,
  received_at INTEGER NOT NULL,
  upstream TEXT NOT NULL,
  reason TEXT NOT NULL,
  size_bytes INTEGER NOT NULL CHECK (size_bytes >= 0),
  body BLOB NOT NULL CHECK (length(body) <= 65536)
) STRICT;
