#!/usr/bin/env python3
"""Takes the disk away from `director serve`: full, read-only, with damaged files on it.

usage: disk.py DIRECTOR_BINARY [--seed N]

What cannot be stored must be refused with a clear error, never half-written, never answered 200;
no damage may end the process by a signal.
"""

import argparse
import contextlib
import os
import pathlib
import random
import resource
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading

from database import check_integrity, open_read_only
from fake_device import Device
from fake_mdm import FakeMdm
from load import IDENTIFIERS, Load, make_mobileconfig
from processes import Failed, Processes, can_connect, wait_until
from served import Client, Served

NOBODY = 65534
PAGE = 4096
FILE_SIZE_MAX = 600 * 1024
REQUESTS_MAX = 5000
DAMAGED_PAGES = 12
LOAD_DEVICES = 40
LOAD_SECONDS = 1


class Skipped(Exception):
    """This machine cannot show the case; the text says why."""


def wal_of(database):
    return database.with_name(database.name + "-wal")


def expect(condition, text):
    if not condition:
        raise Failed(text)


class Case:
    """One folder with one database, and Director on it."""

    def __init__(self, binary, folder, seed, database="disk/director.db"):
        self.folder = folder
        self.mdm = FakeMdm()
        self.seed = seed
        self.disk = folder / "disk"
        self.disk.mkdir(mode=0o755, parents=True)
        self.processes = Processes(folder)
        self.served = Served(binary, folder, self.processes, self.mdm, database)
        self.database = pathlib.Path(self.served.database)
        self.wal = wal_of(self.database)

    def another(self, name, database="disk/director.db"):
        return Case(self.served.binary, self.folder / name, self.seed, database)

    def close(self):
        self.processes.kill_all()
        self.mdm.close()
        self.disk.chmod(0o755)

    def fill(self):
        """Makes a database with devices, reports, profiles and commands in it; closed at the end.
        """
        load = Load(self.served, self.mdm, self.seed, LOAD_DEVICES, 2)
        self.served.start()
        load.start()
        enough = threading.Event()
        enough.wait(LOAD_SECONDS)  # not for anything: so long the load runs
        load.join()
        self.served.stop()
        load.accepted.check(self.database, self.mdm)
        return load

    def expect_refusal(self, *words, **options):
        """Director gives up at once, with one line that names the file and says what is wrong."""
        before = len(self.served.log)
        self.served.spawn(**options)
        code = self.served.wait_for_end()
        lines = self.served.log[before:].splitlines()
        said = lines[-1] if lines else ""
        expect(code == 1, f"exit code {code}: {said}")
        expect(len(lines) == 1, f"{len(lines)} lines: {lines}")
        for word in (str(self.database), *words):
            expect(word in said, f"no {word!r} in: {said}")

    def ready(self):
        with Client(self.served) as client:
            status, body = client.get("/readyz")
        return status, body.decode()

    def expect_ready(self):
        expect(self.ready()[0] == 200, f"not ready: {self.ready()[1]}")


# --- a full disk ---------------------------------------------------------------------------------


def post_until_refused(case, client):
    """Enrolls device after device; returns the accepted ones and the first that was refused."""
    accepted = []
    for index in range(REQUESTS_MAX):
        device = Device(case.mdm, index)
        status = client.post_webhook(device.authenticate().body)
        if status != 200:
            expect(status == 503, f"a full disk is answered {status}")
            return accepted, device
        accepted.append(device)
    raise Failed("the disk is not full")


def enrolled_in(database):
    """Reads a copy: SQLite does not find its way through /proc, and may need room."""
    with tempfile.TemporaryDirectory(prefix="director-copy-") as folder:
        for path in (database, wal_of(database)):
            if path.exists():
                shutil.copy(path, folder)
        with contextlib.closing(open_read_only(pathlib.Path(folder) / database.name)) as copy:
            check_integrity(copy)
            return {row[0] for row in copy.execute("SELECT enrollment_id FROM enrollments")}


def check_full(case, database):
    """Director runs on a disk that is full or gets full; `database` is where it is seen from here.
    Returns the devices that must be there."""
    with Client(case.served) as client:
        accepted, refused = post_until_refused(case, client)
        # What is left may do for a smaller write; each probe takes a page of it.
        wait_until("readyz to tell of the full disk", lambda: case.ready()[0] == 503, 10, pause=0)
        upload = client.call("POST", "/profiles", make_mobileconfig(IDENTIFIERS[0], 1),
                             "application/x-apple-aspen-config")
        expect(upload[0] == 503, f"an upload to a full disk is answered {upload}")
    expect(enrolled_in(database) == {d.udid for d in accepted}, "not what was accepted is stored")
    expect('"database"' in case.ready()[1], f"readyz says {case.ready()}")
    expect("level=error" in case.served.log and str(case.database) in case.served.log,
           f"the log does not name the database:\n{case.served.log[-2000:]}")
    return accepted + [refused]


def check_mended(case, database, devices):
    with Client(case.served) as client:
        status = client.post_webhook(devices[-1].authenticate().body)
    expect(status == 200, f"with room again, a webhook is answered {status}")
    expect(enrolled_in(database) == {d.udid for d in devices}, "not what was accepted is stored")
    case.expect_ready()


def limit_file_size():
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_SIZE_MAX, resource.RLIM_INFINITY))


def full_by_limit(case):
    case.served.start(preexec_fn=limit_file_size)
    devices = check_full(case, case.database)
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(case.served.process.pid, resource.RLIMIT_FSIZE, unlimited)
    check_mended(case, case.database, devices)
    case.served.stop()
    case.served.start()
    expect(enrolled_in(case.database) == {d.udid for d in devices}, "the restart lost something")
    case.served.stop()


def full_at_start(case):
    limit = (PAGE, PAGE)
    case.expect_refusal(
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
    case.served.start()
    case.expect_ready()
    case.served.stop()


def mounted(options, folder):
    """The words before a program that give it a file system of its own at `folder`."""
    probe = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "-o", options, "tmpfs",
                            folder], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        raise Skipped(f"no file system can be mounted: {probe.stderr.strip()}")
    script = f'mount -t tmpfs -o "{options}" tmpfs "$1" && shift && exec "$@"'
    return ["unshare", "-m", "sh", "-c", script, "sh", folder]


def full_tmpfs(case):
    case.served.prefix = mounted("size=1m", case.disk)
    case.served.start()
    # Director alone has it mounted.
    inside = pathlib.Path(f"/proc/{case.served.process.pid}/root{case.disk}")
    filler = inside / "filler"
    with open(filler, "wb") as file, contextlib.suppress(OSError):
        while True:
            os.write(file.fileno(), bytes(PAGE))
    devices = check_full(case, inside / "director.db")
    filler.unlink()
    check_mended(case, inside / "director.db", devices)
    case.served.stop()


# --- a read-only disk ----------------------------------------------------------------------------


def unprivileged():
    """Options for a child that file modes bind."""
    if os.geteuid() != 0:
        return {}
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []}


def read_only_folder(case):
    case.disk.chmod(0o555)
    case.expect_refusal("ermission denied", **unprivileged())


def read_only_file(case):
    case.served.start()
    case.served.stop()
    case.database.chmod(0o444)
    case.disk.chmod(0o555)
    case.expect_refusal("cannot be", **unprivileged())


def read_only_mount(case):
    case.served.prefix = mounted("ro", case.disk)
    case.expect_refusal("Read-only file system")


def no_place_for_files(case):
    with contextlib.closing(case.another("proc", "/proc/director.db")) as nowhere:
        nowhere.expect_refusal("No such file")


# --- damaged files -------------------------------------------------------------------------------


def overwrite(path, offset, data):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


def is_sound(database):
    with contextlib.closing(open_read_only(database)) as connection:
        try:
            check_integrity(connection)
        except (Failed, sqlite3.DatabaseError):
            return False
    return True


def stored_name(database, device):
    with contextlib.closing(open_read_only(database)) as connection:
        try:
            return connection.execute("SELECT device_name FROM enrollments WHERE enrollment_id = ?",
                                      (device.udid,)).fetchone()[0]
        except (sqlite3.DatabaseError, TypeError) as error:
            return str(error)


def speak_to_damaged(case, devices):
    """Each device speaks, each is looked at. Returns how many requests were refused."""
    refused = 0
    with Client(case.served) as client:
        for device in devices:
            events = [device.authenticate(), device.token_update(), device.list_profiles()]
            statuses = [client.post_webhook(event.body) for event in events]
            expect(set(statuses) <= {200, 503}, f"webhooks are answered {statuses}")
            name = stored_name(case.database, device)
            expect(statuses[0] != 200 or name == str(events[0].name),
                   f"{device.udid}: accepted name {events[0].name}, stored is {name}")
            looked = client.call("GET", f"/devices/{device.udid}")[0]
            expect(looked in (200, 404, 503), f"a device that cannot be read is answered {looked}")
            refused += statuses.count(503) + (looked == 503)
    return refused


def damaged_page(case, load, number, data):
    """Returns True when Director noticed."""
    overwrite(case.database, number * PAGE, data)
    sound = is_sound(case.database)
    case.served.spawn()
    wait_until("start or refusal", lambda: can_connect(case.served.port) or
               not case.served.process.is_running(), 30, pause=0.002)
    if not case.served.process.is_running():
        code = case.served.wait_for_end()
        line = case.served.log.splitlines()[-1]
        expect(code == 1, f"exit code {code}: {line}")
        expect(not sound and str(case.database) in line and "damaged" in line, line)
        return True
    refused = speak_to_damaged(case, load.devices)
    case.served.stop()
    expect("kept as a dead letter" not in case.served.log, "an event was thrown away with a 200")
    expect(refused == 0 or not sound, f"{refused} requests refused on a sound database")
    expect(refused == 0 or (str(case.database) in case.served.log and
                            "damaged" in case.served.log),
           f"the log does not name the damaged file:\n{case.served.log[-2000:]}")
    return refused > 0


def damaged_pages(case):
    """Page after page of the same database; 0 is the one with the header and the schema."""
    load = case.fill()
    chance = random.Random(case.seed)
    pages = case.database.stat().st_size // PAGE
    noticed = 0
    for number in [0] + chance.sample(range(1, pages), DAMAGED_PAGES):
        data = chance.choice([bytes(PAGE), chance.randbytes(PAGE)])
        if number == 0:  # its header stays, so that it still looks like a database
            data = case.database.read_bytes()[:100] + data[100:]
        with contextlib.closing(case.another(f"page-{number}")) as copy:
            shutil.copy(case.database, copy.database)
            try:
                noticed += damaged_page(copy, load, number, data)
            except Failed as failure:
                raise Failed(f"page {number}: {failure}") from failure
    expect(noticed > 1, f"{noticed} of {DAMAGED_PAGES} damaged pages noticed")


def truncated(case):
    case.fill()
    os.truncate(case.database, case.database.stat().st_size // PAGE // 2 * PAGE)
    case.expect_refusal("damaged")


def cut_in_header(case):
    case.fill()
    os.truncate(case.database, 60)
    case.expect_refusal("damaged")


def no_database(case):
    content = secrets.token_bytes(3 * PAGE)
    case.database.write_bytes(content)
    case.expect_refusal("not a database")
    expect(case.database.read_bytes() == content, "another program's file was changed")


def garbage_wal(case):
    case.fill()
    before = case.database.read_bytes()
    content = secrets.token_bytes(5 * PAGE)
    case.wal.write_bytes(content)
    case.expect_refusal("-wal")
    expect(case.wal.read_bytes() == content and case.database.read_bytes() == before,
           "what may be of use for a recovery was changed")
    case.wal.unlink()
    case.served.start()
    case.expect_ready()
    case.served.stop()


def damaged_wal(case):
    """A torn write at the end of the log is what a power cut leaves behind: it is cut off."""
    case.served.start()
    with Client(case.served) as client:
        device = Device(case.mdm, 0)
        expect(client.post_webhook(device.authenticate().body) == 200, "not accepted")
    case.served.kill()
    size = case.wal.stat().st_size
    overwrite(case.wal, size // 2, secrets.token_bytes(size - size // 2))
    case.served.start()
    case.expect_ready()
    case.served.stop()
    expect(is_sound(case.database), "the database is damaged")


CASES = [full_by_limit, full_at_start, full_tmpfs, read_only_folder, read_only_file,
         read_only_mount, no_place_for_files, damaged_pages, truncated, cut_in_header, no_database,
         garbage_wal, damaged_wal]


def run_case(run, binary, folder, seed):
    """Returns the line to print; raises Failed."""
    name = run.__name__.replace("_", " ")
    case = Case(binary, folder / run.__name__, seed)
    try:
        run(case)
    except Skipped as reason:
        return f"{name}: SKIPPED, {reason}"
    except Failed as failure:
        raise Failed(f"{name}: {failure}") from failure
    finally:
        case.close()
    return f"{name}: passed"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("director", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--only", metavar="CASE", choices=[run.__name__ for run in CASES])
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="director-disk-") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)  # for the cases that run as another user
        binary = shutil.copy(arguments.director.absolute(), folder / "director")
        for run in CASES:
            if arguments.only not in (None, run.__name__):
                continue
            try:
                print(run_case(run, binary, folder, arguments.seed), flush=True)
            except Failed as failure:
                sys.exit(f"FAILED: {failure}\nrepeat: python3 {sys.argv[0]} {arguments.director} "
                         f"--seed {arguments.seed} --only {run.__name__}")


if __name__ == "__main__":
    main()
