"""Whether every device has what is wanted, and nothing was sent again without a cause."""

import collections
import contextlib

from accepted import stored_assignments
from database import open_read_only
from processes import Failed


def wanted_profiles(connection, device):
    """PayloadIdentifier -> PayloadUUID that the assignments say; a device beats all."""
    wanted = {}
    for (identifier, target), value in sorted(stored_assignments(connection).items()):
        if target in ("", device.udid):  # the empty one sorts first
            wanted[identifier] = value
    return wanted


def has_converged(database, devices):
    """By the devices themselves and by what Director says about them. Raises Failed for what is
    missing."""
    with contextlib.closing(open_read_only(database)) as connection:
        items = {(row[0], row[1]): row[2:] for row in connection.execute(
            "SELECT enrollment_id, payload_identifier, payload_uuid, state FROM items")}
        doubtful = connection.execute(
            "SELECT COUNT(*) AS n FROM intents WHERE closed_at IS NULL AND (state = 'unknown' OR "
            "(state = 'journaled' AND lease_id IN (SELECT lease_id FROM leases)))").fetchone()[0]
        for device in devices:
            wanted = wanted_profiles(connection, device)
            present = {i: value[1] for i, value in wanted.items() if value[0] == "present"}
            if device.installed != present:
                raise Failed(f"{device.udid} has {device.installed}, not {present}")
            for identifier, (_, payload_uuid) in wanted.items():
                item = items.get((device.udid, identifier))
                if item != (payload_uuid, "verified"):
                    raise Failed(f"{identifier} on {device.udid} is {item}")
    if doubtful:
        raise Failed(f"{doubtful} commands are in doubt")
    return True


def check_repeats(mdm, wiped, faults):
    """One revision goes to one enrollment once. Only a fault (an outcome or an answer may be lost
    with it, and counts as lost when it is late) or a new enrollment is a reason to send it again.
    `faults` are the beginning and the end of each, `wiped` the same by enrollment, of
    time.monotonic(). Returns the most sends of one revision."""
    sends_max = 0
    installs = collections.defaultdict(list)
    for send in mdm.sends:
        if send.command.request_type == "InstallProfile":
            installs[send.enrollment_id, send.command.payload_uuid].append(send.at)
    for (enrollment_id, payload_uuid), times in installs.items():
        sends_max = max(sends_max, len(times))
        for first, second in zip(times, times[1:]):
            reasons = [*faults, *wiped[enrollment_id]]
            if not any(begin < second and first < end for begin, end in reasons):
                raise Failed(f"{payload_uuid} was sent to {enrollment_id} {len(times)} times, "
                             f"at {first:.2f} s and at {second:.2f} s, without a cause; faults: "
                             + ", ".join(f"{begin:.2f} to {end:.2f}" for begin, end in faults))
    return sends_max
