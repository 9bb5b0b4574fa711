#!/usr/bin/env python3
"""Kills the demo with SIGKILL in the middle of its roll-out and starts it again on the same file.

usage: demo_kill.py DIRECTOR_BINARY
"""

import contextlib
import pathlib
import sqlite3
import sys
import tempfile

from processes import Failed, Processes, wait_until

PROJECT = pathlib.Path(__file__).resolve().parents[2]
DEVICES = 60
# What only a decision or an owner deletes: every row of these must still be there afterwards.
KEPT = {
    "revisions": "SELECT payload_uuid FROM revisions",
    "assignments": "SELECT assignment_id FROM assignments",
    "enrollments": "SELECT enrollment_id FROM enrollments",
    "intents": "SELECT enrollment_id || ' ' || command_uuid FROM intents",
    "happenings": "SELECT happening_id FROM happenings",
}


def read(database, query):
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return {row[0] for row in connection.execute(query)}


def is_in_the_middle(database):
    """True when many items are verified and not all are."""
    try:
        verified = len(read(database, "SELECT enrollment_id || ' ' || payload_identifier FROM items WHERE state = 'verified'"))
    except sqlite3.OperationalError as error:  # the file or its tables are about to come
        raise Failed(str(error)) from error
    return DEVICES < verified < DEVICES * len(list((PROJECT / "examples").glob("*.mobileconfig")))


def run(binary, folder):
    database = folder / "demo.db"
    command = [binary, "demo", "--devices", DEVICES, "--database", database, "--examples",
               PROJECT / "examples"]
    processes = Processes(folder)
    try:
        victim = processes.start("killed", command)
        wait_until("roll-out in its middle", lambda: is_in_the_middle(database), 60, processes,
                   pause=0.02)
        victim.kill()
        processes.forget(victim)
        before = {name: read(database, query) for name, query in KEPT.items()}
        if read(database, "PRAGMA integrity_check") != {"ok"}:
            raise Failed("the database is damaged after SIGKILL")

        survivor = processes.start("restarted", [*command, "--once"])
        wait_until("end of the restarted demo", lambda: not survivor.is_running(), 240)
        if survivor.exit_code() != 0:
            raise Failed("the fleet did not converge after the restart:\n" +
                         survivor.log_path.read_text())
        processes.forget(survivor)
    finally:
        processes.kill_all()
    for name, query in KEPT.items():
        lost = before[name] - read(database, query)
        if lost or not before[name]:
            raise Failed(f"{name}: {len(lost)} of {len(before[name])} rows are gone: "
                         f"{sorted(lost)[:5]}")
    counts = ", ".join(f"{len(rows)} {name}" for name, rows in before.items())
    print(f"killed in the middle with {counts}; all still there, and the fleet converged")


def main():
    with tempfile.TemporaryDirectory(prefix="director-e2e-") as folder:
        try:
            run(pathlib.Path(sys.argv[1]).absolute(), pathlib.Path(folder))
        except Failed as failure:
            sys.exit(f"FAILED: {failure}")


if __name__ == "__main__":
    main()
