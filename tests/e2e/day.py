"""Steps of a fleet's life that start with the devices: another OS, identities that end."""

import collections

from processes import Failed, wait_until

UPDATED = ("26.1", "25B78")  # newer than what every simulated device begins with
OLDER = ("15.1", "24B83")
LEARN_SECONDS = 300
RENEW_SECONDS = 600


def _devices(scenario):
    """Rows of the device channels by enrollment id."""
    return {row["enrollment_id"]: row for row in scenario.director.cli_json("devices")
            if not row["user_id"]}


def _expect_sends(scenario, since, lost, identifier):
    """Each device was sent this since the event, and nothing else was sent to anybody; more than
    once at most as often as the MDM server lost one."""
    sends = collections.Counter(scenario.sends(since))
    expected = collections.Counter((device, identifier) for device in _devices(scenario))
    wrong = (set(sends) ^ set(expected))
    if wrong:
        raise Failed(f"{len(wrong)} sends are not as they should be, {sorted(wrong)[:3]}")
    again = sends - expected
    if again.total() > lost:
        raise Failed(f"{again.total()} commands were sent again, {again.most_common(3)}")


def _expect_more(scenario, earlier, **grown):
    """The fleet's own counts grew by so much since an earlier report."""
    report = scenario.new_fleet_report()
    for name, count in grown.items():
        if report[name] - earlier[name] != count:
            raise Failed(f"{name} grew by {report[name] - earlier[name]} at the devices, "
                         f"not by {count}")


def _run_os(scenario, os):
    scenario.set_os(*os)
    wait_until(f"word of build {os[1]}", lambda: _all_run(scenario, os), LEARN_SECONDS,
               scenario.processes)


def _all_run(scenario, os):
    scenario.repair_queues()
    others = [row for row in _devices(scenario).values() if row["build_version"] != os[1]]
    if others:
        raise Failed(f"{len(others)} devices run another build, {others[0]['enrollment_id']}")
    return True


def update_os(scenario, identifier):
    """A newer build has one profile installed again, an older one nothing."""
    before = scenario.director.last_event_id()
    repaired = scenario.repaired_queues
    report = scenario.new_fleet_report()
    _run_os(scenario, UPDATED)
    wait_until("installs for the new build", lambda: _have_been_sent(scenario, before),
               LEARN_SECONDS, scenario.processes)
    note = scenario.converge()
    _expect_sends(scenario, before, scenario.repaired_queues - repaired, identifier)
    _expect_more(scenario, report, os_updates=scenario.device_count,
                 installs=scenario.device_count)

    before = scenario.director.last_event_id()
    report = scenario.new_fleet_report()
    _run_os(scenario, OLDER)
    learnt = _devices(scenario)
    wait_until("another word of the older build", lambda: _all_said_again(scenario, learnt),
               LEARN_SECONDS, scenario.processes)
    scenario.converge()
    if sends := scenario.sends(before):
        raise Failed(f"{len(sends)} commands after a downgrade, {sends[0]}")
    _expect_more(scenario, report, os_updates=scenario.device_count, installs=0)
    return f"{identifier} once for each device, nothing after the downgrade; {note}"


def _have_been_sent(scenario, before):
    scenario.repair_queues()
    return len(scenario.sends(before)) >= scenario.device_count


def _all_said_again(scenario, learnt):
    """By then each device was decided about with the older build."""
    scenario.repair_queues()
    for enrollment_id, row in _devices(scenario).items():
        if row["device_information_at"] <= learnt[enrollment_id]["device_information_at"]:
            raise Failed(f"{enrollment_id} has said nothing new")
    return True


def renew(scenario):
    """Identities that end in a month are renewed when the operator wants more time than that."""
    scenario.start_fleet("--identity-ends-in", "30d")
    scenario.converge()
    earlier = _identities(scenario)
    before = scenario.director.last_event_id()
    report = scenario.new_fleet_report()
    retried = []
    scenario.director.change_settings({"identity_renew_before": "90d"})
    wait_until("renewed identities", lambda: _all_renewed(scenario, earlier, retried), RENEW_SECONDS,
               scenario.processes, pause=1)
    note = scenario.converge()
    for enrollment_id, (epoch, _) in _identities(scenario).items():
        if epoch != earlier[enrollment_id][0]:
            raise Failed(f"{enrollment_id} was taken for newly enrolled")
    _expect_sends(scenario, before, len(retried), scenario.IDENTITY)
    _expect_more(scenario, report, renewals=scenario.device_count,
                 installs=scenario.device_count)
    again = f"; {len(retried)} were lost in the MDM server and sent again" if retried else ""
    return f"one command for each of {scenario.device_count} devices{again}; {note}"


def _identities(scenario):
    """Epoch and end of the identity, by enrollment id."""
    found = {}
    for enrollment_id in _devices(scenario):
        device = scenario.director.device(enrollment_id)
        found[enrollment_id] = (device["epoch"], device["identity"]["not_after"])
    return found


def _all_renewed(scenario, earlier, retried):
    scenario.repair_queues()
    waiting = [device for device, (_, ends_at) in _identities(scenario).items()
               if ends_at is None or ends_at <= earlier[device][1]]
    for device in waiting:
        # Lost with its queue, or by MicroMDM's, which loses what comes while a device answers.
        # Director waits for hours then; a test does not.
        identity = scenario.director.device(device)["identity"]
        if identity["state"] == "backing_off" and "is taken as lost" in identity["reason"]:
            scenario.director.cli("retry", device, scenario.IDENTITY)
            retried.append(device)
    if waiting:
        reason = scenario.director.device(waiting[0])["identity"]["reason"]
        raise Failed(f"{len(waiting)} devices have their old identity, {waiting[0]}: {reason}")
    return True
