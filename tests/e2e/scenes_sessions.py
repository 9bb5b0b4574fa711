"""Scenes in which other sessions of the database, or what stands before it, are in the way."""

import contextlib
import threading
import time

from pgbouncer import POOL_SIZE
from processes import Failed, wait_until
from served import Client
from session import TOO_MANY, Refused, Session

SESSIONS_MAX = 200
LOCK_ALL = "SELECT 1 FROM schedule ORDER BY enrollment_id FOR UPDATE"
LOCK_ASSIGNMENTS = "SELECT 1 FROM assignments FOR UPDATE"
LOCK_LAST = "SELECT enrollment_id FROM schedule ORDER BY enrollment_id DESC LIMIT 1 FOR UPDATE"
BACKENDS = "FROM pg_stat_activity WHERE application_name = 'director'"
FILL_SECONDS = 20
SAY_SECONDS = 10
WAITER_SECONDS = 20
POOL_SECONDS = 20
COUNT_SECONDS = 3
DEADLOCK_TRIES_MAX = 3
GIVE_UP_SECONDS = 20  # Director waits half as long


def use_up_connections(stage):
    """All are taken: whoever has lost one gets none."""
    stage.happened()
    with contextlib.ExitStack() as held:
        first = held.enter_context(Session(stage.pair.primary.port))
        taken = [first]
        wait_until("the last free connection", lambda: take_all(stage.pair.primary.port, first, taken, held),
                   FILL_SECONDS, pause=0)
        for replica in stage.replicas:
            stage.wait_for_refusal(replica)
            wait_until(f"{replica.name} to say why", lambda r=replica: "too many clients" in r.log, SAY_SECONDS,
                       stage.processes, pause=0.02)
        released_at = time.monotonic()
    return f"all {len(taken)} connections taken, {stage.recover(released_at)}"


def take_all(port, first, taken, held):
    """True when Director has none left. It competes for each that is freed."""
    first.execute(f"SELECT pg_terminate_backend(pid) {BACKENDS}")
    with contextlib.suppress(Refused):
        while len(taken) < SESSIONS_MAX:
            taken.append(held.enter_context(Session(port)))
    return first.execute(f"SELECT count(*) {BACKENDS}") == [("0",)]


def hold_locks(stage):
    """For longer than Director waits for one."""
    stage.happened()
    with Session(stage.pair.primary.port) as session:
        session.execute("BEGIN")
        session.execute(LOCK_ASSIGNMENTS)
        rows = session.execute(LOCK_ALL)
        held_at = time.monotonic()
        refusals = stage.load.refusals
        wait_until("503 for what waits for a lock", lambda: stage.load.refusals > refusals, GIVE_UP_SECONDS,
                   stage.processes, pause=0.02)
        released_at = time.monotonic()
    return (f"{len(rows)} rows locked for {released_at - held_at:.1f} s until Director gave up waiting, "
            f"{stage.recover(released_at)}")


def deadlock(stage):
    """Director is the one whose transaction the server ends, and begins it anew."""
    stage.happened()
    began_at = time.monotonic()
    before = count_deadlocks(stage)
    for _ in range(DEADLOCK_TRIES_MAX):
        lock_each_other_out(stage)
        if has_grown(lambda: count_deadlocks(stage), before):
            return (f"{count_deadlocks(stage) - before} deadlocks, the assignment in the middle of it was "
                    f"accepted all the same, {stage.recover(began_at)} with all of it")
    raise Failed(f"no deadlock in {DEADLOCK_TRIES_MAX} tries")


def has_grown(count, before):
    """The statistics are a second late."""
    try:
        return wait_until("a larger count", lambda: count() > before, COUNT_SECONDS, pause=0.05)
    except Failed:
        return False


def lock_each_other_out(stage):
    accepted = []

    def assign():
        with Client(stage.random.choice(stage.replicas)) as client:
            accepted.append(stage.load.roll_out(client))

    with Session(stage.pair.primary.port) as session, Session(stage.pair.primary.port) as watcher:
        session.execute("SET deadlock_timeout = '1min'")  # the other one looks first, and gives in
        pid = session.execute("SELECT pg_backend_pid()")[0][0]
        session.execute("BEGIN")
        session.execute(LOCK_LAST)
        assigning = threading.Thread(target=assign)
        assigning.start()
        # An assignment to all locks one after the other, and the last one last.
        wait_until("somebody who waits for the lock", lambda: watcher.execute(
            f"SELECT pid {BACKENDS} AND {pid} = ANY (pg_blocking_pids(pid))"), WAITER_SECONDS, pause=0.01)
        session.execute(LOCK_ALL)
        session.execute("ROLLBACK")
    assigning.join()
    if not accepted or accepted[0] is None:
        raise Failed("an assignment that met a deadlock was refused")


def count_deadlocks(stage):
    return int(stage.pair.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = 'postgres'")[0][0])


def more_than_pool(counts):
    clients, servers = counts
    if not servers <= POOL_SIZE < clients:
        raise Failed(f"{clients} connections share {servers}")
    return counts


def pool_connections(stage):
    """Each transaction gets whichever of the few connections is free, behind the back of both."""
    clients, servers = wait_until("more connections than there are in the pool",
                                  lambda: more_than_pool(stage.bouncer.count()), POOL_SECONDS, pause=0.05)
    victim = stage.random.choice(stage.replicas)
    stage.happened()
    victim.kill()
    killed_at = time.monotonic()
    victim.start()
    return (f"{clients} connections on {servers} of the server, {victim.name} killed and started again, "
            f"{stage.recover(killed_at)}")
