-- The first schema; the tables of migrations/sqlite/0001_initial.sql. Times are UTC milliseconds since 1970,
-- words are spelt as in the program, unknown facts are empty strings, absent times are NULL. Every hot table is
-- keyed by enrollment first. Texts that are compared or ordered have the collation "C": the same order everywhere.

-- What is checked in the hot tables is checked by domains: a CHECK of a table is read and parsed again by every
-- statement that writes it, which is a twentieth of what webhooks cost.
CREATE DOMAIN nonempty AS text COLLATE "C" CHECK (VALUE <> '');
CREATE DOMAIN amount AS integer CHECK (VALUE >= 0);
CREATE DOMAIN sha256 AS text COLLATE "C" CHECK (length(VALUE) = 64);
CREATE DOMAIN channel_type AS text COLLATE "C"
  CHECK (VALUE IN ('Device', 'User', 'Shared iPad', 'User Enrollment (Device)', 'User Enrollment'));
CREATE DOMAIN enrollment_status AS text COLLATE "C"
  CHECK (VALUE IN ('authenticated', 'enrolled', 'checked_out', 'quarantined'));
-- What an enrollment that has begun has still to do; empty when it is whole.
CREATE DOMAIN enrollment_step AS text COLLATE "C"
  CHECK (VALUE IN ('', 'token_update', 'first_answer', 'profile_list'));
CREATE DOMAIN report_kind AS text COLLATE "C"
  CHECK (VALUE IN ('ProfileList', 'DeviceInformation', 'SecurityInfo', 'CertificateList',
    'InstalledApplicationList', 'ManagedApplicationList', 'apps', 'managed_apps',
    -- what MDMDirector last heard: only shown
    'mdmdirector:ProfileList', 'mdmdirector:DeviceInformation', 'mdmdirector:SecurityInfo',
    'mdmdirector:CertificateList'));
CREATE DOMAIN presence AS text COLLATE "C" CHECK (VALUE IN ('present', 'absent'));
CREATE DOMAIN item_state AS text COLLATE "C"
  CHECK (VALUE IN ('pending', 'in_flight', 'not_now', 'acknowledged', 'verified', 'backing_off', 'parked', 'blocked'));
CREATE DOMAIN intent_state AS text COLLATE "C"
  CHECK (VALUE IN ('journaled', 'sent', 'unknown', 'not_now', 'acknowledged', 'denied', 'failed', 'not_sent',
    'refused', 'lost'));
CREATE DOMAIN error_class AS text COLLATE "C"
  CHECK (VALUE IN ('transient', 'permanent', 'user', 'server', 'done', 'unknown'));

CREATE TABLE enrollments (
  enrollment_id nonempty PRIMARY KEY,
  device_id nonempty NOT NULL,
  channel_type channel_type NOT NULL,
  udid text COLLATE "C" NOT NULL,
  user_id text COLLATE "C" NOT NULL,
  upstream nonempty NOT NULL,
  status enrollment_status NOT NULL,
  quarantine_reason text NOT NULL,
  epoch bigint NOT NULL,
  ask_first boolean NOT NULL,
  awaiting_configuration boolean,
  awaiting_since bigint,
  serial_number text COLLATE "C" NOT NULL,
  os_version text NOT NULL,
  build_version text NOT NULL,
  product_name text NOT NULL,
  model_name text NOT NULL,
  device_name text NOT NULL,
  user_short_name text NOT NULL,
  topic text NOT NULL,
  -- Its identity, as the last CertificateList of this epoch showed it that we asked for; the issuer
  -- is empty without one.
  identity_issuer text NOT NULL,
  identity_not_before bigint,
  identity_not_after bigint,
  identity_asked_at bigint,
  renewal_began_at bigint,  -- the last attempt to renew it
  renewal_replaces_until bigint,
  renewal_authenticated_at bigint,
  renewal_ended_at bigint,
  is_supervised boolean,
  first_seen_at bigint NOT NULL,
  authenticated_at bigint,
  enrolled_at bigint,
  device_information_at bigint,  -- when the device last answered each question, in this epoch
  security_info_at bigint,
  certificate_list_at bigint,
  installed_application_list_at bigint,
  managed_application_list_at bigint,
  epoch_began_at bigint,  -- NULL: the enrollment is older than what Director knows of it
  push_unregistered boolean NOT NULL,
  report_wanted_at bigint,  -- a ProfileList newer than this is wanted
  missing_step enrollment_step NOT NULL,
  missing_since bigint CHECK ((missing_since IS NULL) = (missing_step = ''))
) WITH (fillfactor = 80);

CREATE INDEX enrollments_missing ON enrollments (missing_since) WHERE missing_since IS NOT NULL;
CREATE INDEX enrollments_identity ON enrollments (status, identity_not_after) WHERE user_id = '';
CREATE INDEX enrollments_status ON enrollments (status);
CREATE INDEX enrollments_id ON enrollments (lower(enrollment_id));
CREATE INDEX enrollments_device ON enrollments (lower(device_id));
CREATE INDEX enrollments_serial ON enrollments (lower(serial_number));
CREATE INDEX enrollments_udid ON enrollments (lower(udid));

-- What changes with every event and decision, apart from the facts and their indexes. Its row is the lock of
-- the enrollment: whoever changes anything of an enrollment holds it.
CREATE TABLE schedule (
  enrollment_id text COLLATE "C" PRIMARY KEY REFERENCES enrollments ON DELETE CASCADE,
  due_at bigint NOT NULL,   -- when to decide again
  lease_id bigint NOT NULL DEFAULT 0,  -- the last one; 0: none. Held as long as it is in `leases`
  last_seen_at bigint NOT NULL,
  push_count amount NOT NULL,
  pushed_at bigint,
  wants_wake boolean NOT NULL
) WITH (fillfactor = 70);

CREATE INDEX schedule_due ON schedule (due_at, enrollment_id);

-- A worker sends commands to the enrollments of the lease. It deletes the row when it is done.
CREATE TABLE leases (
  lease_id bigint PRIMARY KEY CHECK (lease_id > 0),
  lease_until bigint NOT NULL  -- then the worker is taken for dead
);

CREATE TABLE reports (
  enrollment_id text COLLATE "C" NOT NULL,
  kind report_kind NOT NULL,
  epoch bigint NOT NULL,
  digest sha256 NOT NULL,  -- SHA-256 of the body
  reported_at bigint NOT NULL,
  asked_at bigint,
  PRIMARY KEY (enrollment_id, kind)
) WITH (fillfactor = 80);

-- Apart from `reports`, so that an unchanged report moves only its times.
CREATE TABLE report_bodies (
  enrollment_id text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL,
  body text NOT NULL,  -- JSON
  PRIMARY KEY (enrollment_id, kind)
);

CREATE TABLE items (
  enrollment_id text COLLATE "C" NOT NULL,
  payload_identifier nonempty NOT NULL,
  presence presence NOT NULL,
  payload_uuid text NOT NULL,
  epoch bigint NOT NULL,
  state item_state NOT NULL,
  reason text NOT NULL,
  state_since bigint NOT NULL,
  due_at bigint,
  attempts amount NOT NULL,
  next_attempt_at bigint,
  acknowledged_at bigint,
  settled_at bigint,
  verified_at bigint,
  parked boolean NOT NULL,
  parked_build text NOT NULL,
  last_error text NOT NULL,
  last_error_at bigint,
  sends_since bigint NOT NULL,
  sends amount NOT NULL,
  installed_build text NOT NULL,  -- OS build under which it was installed or found; empty: not known
  reinstall_at bigint,            -- when it is installed again because the build grew
  PRIMARY KEY (enrollment_id, payload_identifier)
) WITH (fillfactor = 90);

CREATE INDEX items_state ON items (payload_identifier, state, presence);
CREATE INDEX items_waiting ON items (state_since, enrollment_id, payload_identifier)
  WHERE state NOT IN ('verified', 'blocked');

CREATE TABLE intents (
  enrollment_id text COLLATE "C" NOT NULL,
  command_uuid nonempty NOT NULL,
  request_type nonempty NOT NULL,
  payload_identifier text NOT NULL,
  payload_uuid text NOT NULL,
  epoch bigint NOT NULL,
  state intent_state NOT NULL,
  journaled_at bigint NOT NULL,
  answered_at bigint,
  not_now_count amount NOT NULL,
  not_now_at bigint,
  error_class error_class NOT NULL,
  error text NOT NULL,
  closed_at bigint,              -- NULL until a plan has digested it
  closed_reason text NOT NULL DEFAULT '',
  lease_id bigint NOT NULL DEFAULT 0,  -- under which it was journaled; `journaled` and no longer in `leases`: sent
  PRIMARY KEY (enrollment_id, command_uuid)
) WITH (fillfactor = 50);

CREATE INDEX intents_open ON intents (enrollment_id) WHERE closed_at IS NULL;
-- By the words, not the state: the many commands that go well never touch it.
CREATE INDEX intents_failed ON intents (enrollment_id, command_uuid) WHERE error <> '';
CREATE INDEX intents_closed ON intents (closed_at) WHERE closed_at IS NOT NULL;

CREATE TABLE revisions (
  payload_uuid text COLLATE "C" PRIMARY KEY CHECK (payload_uuid <> ''),
  payload_identifier text COLLATE "C" NOT NULL CHECK (payload_identifier <> ''),
  display_name text NOT NULL,
  payload_scope text NOT NULL,
  payload_types text NOT NULL,  -- JSON array of strings
  certificate_authority text NOT NULL,
  request_type text NOT NULL CHECK (request_type <> ''),  -- of the command that brings it to a device
  app_version text NOT NULL,
  original_payload_uuid text NOT NULL,
  source text NOT NULL,
  created_at bigint NOT NULL,
  size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
  content bytea NOT NULL  -- the mobileconfig, or the definition of an app or of accounts
);

CREATE INDEX revisions_identifier ON revisions (payload_identifier, created_at DESC, payload_uuid);

CREATE TABLE assignments (
  assignment_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- never used twice
  payload_identifier text COLLATE "C" NOT NULL CHECK (payload_identifier <> ''),
  channel text COLLATE "C" NOT NULL CHECK (channel IN ('device', 'user')),
  target_kind text COLLATE "C" NOT NULL CHECK (target_kind IN ('all', 'device')),
  target text COLLATE "C" NOT NULL,
  presence text NOT NULL CHECK (presence IN ('present', 'absent')),
  payload_uuid text COLLATE "C" REFERENCES revisions,
  adopt boolean NOT NULL,
  during_setup boolean NOT NULL,
  at_enrollment_only boolean NOT NULL,
  source text NOT NULL,
  assigned_at bigint NOT NULL,
  CONSTRAINT all_names_no_target CHECK ((target_kind = 'all') = (target = '')),
  CONSTRAINT present_names_a_revision CHECK ((presence = 'present') = (payload_uuid IS NOT NULL))
);

CREATE UNIQUE INDEX assignments_key ON assignments (payload_identifier, channel, target_kind, lower(target));
CREATE INDEX assignments_target ON assignments (channel, target_kind, lower(target));

-- Something changed for everybody on a channel; the enrollments up to `spread_to` have been made due.
CREATE TABLE fleet_changes (
  fleet_change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  channel text COLLATE "C" NOT NULL CHECK (channel IN ('device', 'user')),
  changed_at bigint NOT NULL,
  spread_to text COLLATE "C" NOT NULL DEFAULT ''
);

-- What an enrollment profile of an MDM server must keep when it is sent again.
CREATE TABLE enrollment_profile_pins (
  upstream text NOT NULL CHECK (upstream <> ''),
  payload_identifier text COLLATE "C" NOT NULL CHECK (payload_identifier <> ''),
  content text NOT NULL,  -- JSON
  pinned_at bigint NOT NULL,
  is_proven boolean NOT NULL,  -- a device took it
  PRIMARY KEY (upstream, payload_identifier)
);

CREATE TABLE proposals (
  proposal_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- never used twice
  enrollment_id text COLLATE "C" NOT NULL REFERENCES enrollments ON DELETE CASCADE,
  kind text COLLATE "C" NOT NULL
    CHECK (kind IN ('DeviceLock', 'EraseDevice', 'RestartDevice', 'RotateFileVaultKey',
      'SetRecoveryLock', 'ShutDownDevice', 'VerifyRecoveryLock')),
  reason text NOT NULL,
  source text NOT NULL,
  repeats boolean NOT NULL,
  message text NOT NULL,
  phone_number text NOT NULL,
  sealed_secret text NOT NULL,  -- empty without one; stays when the proposal has ended
  sealed_current_secret text NOT NULL,  -- the same; what the device wants to see first
  sealed_reply_identity text NOT NULL,  -- the same; the key pair that opens what the device answers
  encrypted_key text NOT NULL,  -- base64 of what it answered with; empty before
  verifies bigint NOT NULL,  -- a proposal_id, or 0
  epoch bigint NOT NULL,
  command_uuid text NOT NULL,  -- of the command that was sent last; empty before
  created_at bigint NOT NULL,
  not_before bigint NOT NULL,
  expires_at bigint NOT NULL,
  state text COLLATE "C" NOT NULL
    CHECK (state IN ('waiting', 'sent', 'answered', 'done', 'failed', 'cancelled', 'expired',
      'dropped')),
  explanation text NOT NULL,
  state_since bigint NOT NULL,
  escrowed_at bigint,
  attempts integer NOT NULL CHECK (attempts >= 0),
  last_error text NOT NULL,
  next_attempt_at bigint,
  acknowledged_at bigint,
  cancelled_at bigint,
  effect text COLLATE "C" NOT NULL CHECK (effect IN ('none', 'unknown', 'carried_out', 'denied'))
);

-- A device has one open proposal at most; what is answered holds up no other.
CREATE UNIQUE INDEX proposals_one ON proposals (enrollment_id) WHERE state IN ('waiting', 'sent');
CREATE INDEX proposals_unfinished ON proposals (enrollment_id)
  WHERE state IN ('waiting', 'sent', 'answered');
CREATE INDEX proposals_ended ON proposals (state_since, proposal_id) WHERE state NOT IN ('waiting', 'sent')
  AND kind NOT IN ('RotateFileVaultKey', 'SetRecoveryLock', 'VerifyRecoveryLock');
CREATE INDEX proposals_enrollment ON proposals (enrollment_id, proposal_id);
CREATE INDEX proposals_created ON proposals (created_at);

CREATE TABLE happenings (
  happening_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at bigint NOT NULL,
  enrollment_id text COLLATE "C" NOT NULL,  -- empty when it is about no single enrollment
  kind text NOT NULL CHECK (kind <> ''),
  text text NOT NULL
);

CREATE INDEX happenings_enrollment ON happenings (enrollment_id, happening_id) WHERE enrollment_id <> '';

CREATE TABLE dead_letters (
  dead_letter_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  received_at bigint NOT NULL,
  upstream text NOT NULL,
  reason text NOT NULL,
  size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
  body bytea NOT NULL CHECK (length(body) <= 65536)
);
