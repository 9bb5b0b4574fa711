"""Scenes in which a process dies: a director, the database, the machine of the database."""

import time

from converged import has_converged
from processes import Failed, wait_until
from stage import CONVERGE_SECONDS, DEVICES


def kill_director(stage):
    """In the middle of a roll-out; the other one must finish it alone."""
    victim, _ = stage.random.sample(stage.replicas, 2)
    payload_uuid = stage.start_roll_out()
    victim.kill()
    killed_at = time.monotonic()
    stage.happened()
    sent, verified = stage.count_sent(payload_uuid), stage.count_verified(payload_uuid)
    if verified >= DEVICES:
        raise Failed("the roll-out was over before the kill")
    stage.load.join()
    stage.load.start_calm()
    wait_until("the end of the roll-out", lambda: has_converged(stage.pair.url, stage.load.devices),
               CONVERGE_SECONDS, stage.processes, pause=0.1)
    took = time.monotonic() - killed_at
    restarted_at = time.monotonic()
    victim.start()
    return (f"{victim.name} killed with {sent} commands sent and {verified} of {DEVICES} devices done, "
            f"the other one was done after {took:.1f} s; started again and "
            f"{stage.recover(restarted_at)}")


def kill_primary(stage):
    """It recovers by itself; its standby finds it again."""
    stage.happened()
    stage.pair.primary.kill()
    for replica in stage.replicas:
        stage.wait_for_refusal(replica)
    started_at = time.monotonic()
    stage.pair.primary.start()
    return f"{stage.pair.primary.name} killed and started again, {stage.recover(started_at)}"


def promote_standby(stage):
    """Whoever was told 200 by the lost primary finds it at the new one."""
    lost = stage.pair.primary
    lost_at = time.monotonic()
    stage.happened()
    stage.pair.fail_over()
    recovered = stage.recover(lost_at)
    stage.load.join()
    stage.load.accepted.check(stage.pair.url, stage.mdm)
    stage.load.start()
    stage.pair.rebuild()
    return (f"{lost.name} lost for good, {stage.pair.primary.name} promoted, {recovered} with the "
            f"promotion; {lost.name} is its standby now")
