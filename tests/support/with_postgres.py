#!/usr/bin/env python3
"""Runs a command beside a private PostgreSQL: with_postgres.py [--durable] COMMAND...

The server comes from the distribution's package, or from the folder of programs that
DIRECTOR_TEST_POSTGRES_BIN names; it keeps its files in a scratch folder, listens on a free port of
the loopback only and is gone afterwards. The command finds it in the environment as
DIRECTOR_TEST_POSTGRES, a URL. It does not wait for the disk: what was committed survives the death of
its processes, not of the machine; with --durable it does, as a server in production. Exits with the
command's status, or 2 when there is no server to be had.
"""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

USER = "director"
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "'127.0.0.1'",
    "unix_socket_directories": "''",
    "max_connections": "100",
    "log_min_messages": "fatal",
}
# Checkpoints in the middle of a measurement would be measured.
DURABLE = {"fsync": "on", "full_page_writes": "on", "shared_buffers": "512MB", "max_wal_size": "4GB"}


def find_binaries():
    """The folder that is asked for, or that of the newest server that is installed."""
    asked = os.environ.get("DIRECTOR_TEST_POSTGRES_BIN")
    if asked:
        if not (pathlib.Path(asked) / "postgres").exists():
            sys.exit(f"with_postgres: DIRECTOR_TEST_POSTGRES_BIN: no server in {asked}")
        return pathlib.Path(asked)
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    if on_path:
        return pathlib.Path(on_path).resolve().parent
    sys.exit("with_postgres: no PostgreSQL server is installed; ./dev setup does that")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Postgres:
    """One private server. Use it with `with`."""

    def __init__(self, port=None, settings=None):
        """`settings` are added to those above or take their place."""
        self.binaries = find_binaries()
        self.port = port or free_port()
        self.settings = {**SETTINGS, **(settings or {})}
        # PostgreSQL refuses to run as root, and its own account must reach the folder.
        self.prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="director-postgres-"))
        self.data = self.folder / "data"
        if self.prefix:
            shutil.chown(self.folder, user="postgres")
        self.url = f"postgresql://{USER}@127.0.0.1:{self.port}/postgres"

    def run(self, program, *arguments):
        done = subprocess.run([*self.prefix, str(self.binaries / program), *arguments], cwd=self.folder,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed: {done.stdout[-2000:]}")

    def __enter__(self):
        try:
            self.create()
            self.start()
        except Exception:
            self.remove()
            raise
        return self

    def __exit__(self, *_):
        try:
            self.crash()
        except RuntimeError as problem:
            print(f"with_postgres: {problem}", file=sys.stderr)
        finally:
            self.remove()

    def create(self):
        self.run("initdb", "-D", str(self.data), "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync")

    def start(self):
        settings = [part for name, value in self.settings.items() for part in ("-c", f"{name}={value}")]
        options = " ".join(["-p", str(self.port), *settings])
        self.run("pg_ctl", "-D", str(self.data), "-w", "-t", "60", "-l", str(self.folder / "log"), "-o", options, "start")

    def crash(self):
        """Ends it without any tidying up; the next start recovers."""
        self.run("pg_ctl", "-D", str(self.data), "-m", "immediate", "-w", "stop")

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def main():
    durable = sys.argv[1:2] == ["--durable"]
    command = sys.argv[2 if durable else 1:]
    if not command:
        sys.exit(__doc__)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        server = Postgres(settings=DURABLE if durable else None)
        with server:
            environment = dict(os.environ, DIRECTOR_TEST_POSTGRES=server.url)
            return subprocess.run(command, env=environment, check=False).returncode
    except (OSError, RuntimeError) as problem:
        print(f"with_postgres: {problem}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
