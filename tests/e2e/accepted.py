"""What Director has accepted, and whether the database still knows it."""

import collections
import contextlib
import dataclasses
import json
import pathlib
import threading

from database import check_integrity, is_postgres, open_read_only
from fake_device import MARKER
from processes import Failed

# Once the device's answer was accepted, the command is open no more. `lost` is one that a new
# enrollment overtook.
ANSWERED_STATES = {"acknowledged", "lost"}


@dataclasses.dataclass
class DeviceRecord:
    """The least and the most of what the rows about one device may say."""

    authenticates_sent: int = 0
    authenticates_accepted: int = 0
    epoch: int = 0
    name_sent: int = 0
    name_accepted: int = 0
    report_sent: int = 0
    report_accepted: int = 0
    is_known: bool = False
    is_enrolled: bool = False
    answered: set = dataclasses.field(default_factory=set)


class Accepted:
    """Each device and each assignment has one thread that writes about it; checks run when no
    thread does."""

    def __init__(self):
        self.devices = collections.defaultdict(DeviceRecord)
        self.revisions = {}  # payload_uuid -> payload_identifier
        # (payload_identifier, target) -> what may be stored there: (presence, payload_uuid) or None
        self.assignments = {}
        self.problems = []
        self.webhooks = 0
        self.writes = 0
        self.in_doubt = 0  # commands that a kill caught between journal and outcome
        self._lock = threading.Lock()

    # --- while the load runs ---------------------------------------------------------------------

    def will_send(self, event):
        device = self.devices[event.enrollment_id]
        device.name_sent = max(device.name_sent, event.name)
        device.report_sent = max(device.report_sent, event.report)
        if event.kind == "Authenticate":
            device.authenticates_sent += 1
            device.is_enrolled = False

    def was_accepted(self, event):
        device = self.devices[event.enrollment_id]
        device.is_known = True
        device.name_accepted = max(device.name_accepted, event.name)
        device.report_accepted = max(device.report_accepted, event.report)
        device.authenticates_accepted += event.kind == "Authenticate"
        device.is_enrolled = device.is_enrolled or event.kind != "Authenticate"
        if event.kind == "Answer":
            device.answered.add(event.command_uuid)
        with self._lock:
            self.webhooks += 1

    def will_assign(self, key, value):
        """`value` is (presence, payload_uuid), or None for an assignment that is withdrawn."""
        self.assignments.setdefault(key, {None}).add(value)

    def was_assigned(self, key, value):
        self.assignments[key] = {value}
        self.count_write()

    def count_write(self):
        with self._lock:
            self.writes += 1

    def problem(self, text):
        with self._lock:
            self.problems.append(text)

    # --- between the rounds ----------------------------------------------------------------------

    def check(self, database, mdm):
        """Raises Failed for the first thing that is not as it was accepted. What is seen here must
        still be there the next time."""
        for text in self.problems + mdm.violations:
            raise Failed(text)
        if not is_postgres(database):
            if not pathlib.Path(database).exists():
                return self._expect_nothing("there is no file")
            with contextlib.closing(open_read_only(database)) as connection:
                check_integrity(connection)
                if not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall():
                    return self._expect_nothing("there are no tables")
        with contextlib.closing(open_read_only(database)) as connection:
            self._check_devices(connection)
            self._check_revisions(connection)
            self._check_assignments(connection)
            self._check_intents(connection, mdm)
        return None

    def _expect_nothing(self, why):
        if self.webhooks or self.writes:
            raise Failed(f"{self.webhooks} webhooks and {self.writes} writes are lost: {why}")

    def _check_devices(self, connection):
        rows = {row[0]: row[1:] for row in connection.execute(
            "SELECT enrollment_id, epoch, status, device_name FROM enrollments")}
        reports = {row[0]: row[1] for row in connection.execute(
            "SELECT r.enrollment_id, b.body FROM reports AS r "
            "LEFT JOIN report_bodies AS b USING (enrollment_id, kind) WHERE r.kind = 'ProfileList'")}
        for enrollment_id, device in self.devices.items():
            if enrollment_id in rows:
                self._check_facts(enrollment_id, device, *rows[enrollment_id])
                self._check_report(enrollment_id, device, reports.get(enrollment_id))
            elif device.is_known:
                raise Failed(f"{enrollment_id} was accepted and is not there")

    @staticmethod
    def _check_facts(enrollment_id, device, epoch, status, device_name):
        name = int(device_name or 0)
        if not device.name_accepted <= name <= device.name_sent:
            raise Failed(f"{enrollment_id}: name {name}, accepted were {device.name_accepted}, "
                         f"sent {device.name_sent}")
        # Each Authenticate begins an epoch; so does whatever is heard first.
        least = max(device.authenticates_accepted, device.epoch)
        if not least <= epoch <= device.authenticates_sent + 1:
            raise Failed(f"{enrollment_id}: epoch {epoch} after {device.epoch}, "
                         f"{device.authenticates_accepted} Authenticates accepted, "
                         f"{device.authenticates_sent} sent")
        if device.is_enrolled and status != "enrolled":
            raise Failed(f"{enrollment_id} is {status}")
        device.is_known = True
        device.name_accepted = name
        device.epoch = epoch

    @staticmethod
    def _check_report(enrollment_id, device, body):
        found = 0
        for profile in json.loads(body) if body else []:
            if profile["id"] == MARKER:
                found = int(profile["uuid"][-12:])
        if not device.report_accepted <= found <= device.report_sent:
            raise Failed(f"{enrollment_id}: report {found}, accepted were "
                         f"{device.report_accepted}, sent {device.report_sent}")
        device.report_accepted = found

    def _check_revisions(self, connection):
        stored = dict(connection.execute("SELECT payload_uuid, payload_identifier FROM revisions"))
        for payload_uuid, identifier in self.revisions.items():
            if stored.get(payload_uuid) != identifier:
                raise Failed(f"revision {payload_uuid} of {identifier} is "
                             f"{stored.get(payload_uuid, 'gone')}")

    def _check_assignments(self, connection):
        stored = stored_assignments(connection)
        for key, allowed in self.assignments.items():
            if stored.get(key) not in allowed:
                raise Failed(f"assignment of {key} is {stored.get(key)}, not of {allowed}")
            self.assignments[key] = {stored.get(key)}
        if strange := set(stored) - set(self.assignments):
            raise Failed(f"nobody assigned {strange}")

    def _check_intents(self, connection, mdm):
        sends = list(mdm.sends)  # before the journal is read: directors go on meanwhile
        states = {(row[0], row[1]): row[2] for row in connection.execute(
            "SELECT enrollment_id, command_uuid, state FROM intents")}
        self.in_doubt += connection.execute(
            "SELECT COUNT(*) AS n FROM intents JOIN leases ON leases.lease_id = intents.lease_id "
            "WHERE state = 'journaled'").fetchone()[0]
        for send in sends:
            if (send.enrollment_id, send.command.command_uuid) not in states:
                raise Failed(f"{send} was sent and is not in the journal")
        for enrollment_id, device in self.devices.items():
            for command_uuid in device.answered:
                state = states.get((enrollment_id, command_uuid), "acknowledged")
                if state not in ANSWERED_STATES:
                    raise Failed(f"the answer to {command_uuid} of {enrollment_id} was accepted; "
                                 f"the journal says {state}")


def stored_assignments(connection):
    """(payload_identifier, target) -> (presence, payload_uuid)."""
    return {(row[0], row[1]): (row[2], row[3]) for row in connection.execute(
        "SELECT payload_identifier, target, presence, COALESCE(payload_uuid, '') "
        "FROM assignments")}
