"""Two PostgreSQL servers: a primary and a standby that has everything before it is acknowledged."""

import contextlib
import os
import pathlib
import shutil
import signal
import sys

from processes import Failed, stable_port, wait_until
from session import Refused, Session

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from with_postgres import USER, Postgres  # pylint: disable=wrong-import-position

SETTINGS = {
    "max_connections": "40",  # few, so that they can be used up
    "wal_level": "replica",
    "wal_keep_size": "256MB",
    "wal_retrieve_retry_interval": "100ms",  # a standby finds its primary again soon
    "deadlock_timeout": "2s",  # time to make a deadlock before it is looked for
}
SYNCHRONOUS_SECONDS = 30
GONE_SECONDS = 10


def parents():
    """pid -> (pid of the parent, state) of every process."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[:2]
                found[int(entry.name)] = (int(parent), state)
    return found


class Node(Postgres):
    """One server of the pair; its `name` is what the other one knows it by as its standby."""

    def __init__(self, name):
        super().__init__(stable_port(), SETTINGS)
        self.name = name

    def configure(self, **settings):
        """In force from the next start on."""
        lines = [f"{name} = '{value}'\n" for name, value in settings.items()]
        (self.data / "postgresql.auto.conf").write_text("".join(lines))

    def follow(self, primary):
        """Begins anew as a standby of `primary`."""
        shutil.rmtree(self.data, ignore_errors=True)
        self.run("pg_basebackup", "-d", primary.url, "-D", str(self.data), "-X", "stream", "-c", "fast",
                 "--no-sync", "--write-recovery-conf")
        # The copy would wait for a standby of its own as soon as it is promoted.
        self.configure(primary_conninfo=f"host=127.0.0.1 port={primary.port} user={USER} "
                                        f"application_name={self.name}")
        self.start()

    def promote(self):
        self.run("pg_ctl", "-D", str(self.data), "-w", "-t", "60", "promote")

    def postmaster(self):
        """Its pid; None when it does not run."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.data / "postmaster.pid").read_text().split()[0])
            return pid if pid in parents() else None
        return None

    def kill(self):
        """SIGKILL for all of its processes: nothing is tidied up, nobody is told."""
        postmaster = self.postmaster()
        if postmaster is None:
            raise Failed(f"the server {self.name} has ended by itself")
        os.kill(postmaster, signal.SIGSTOP)  # it makes no more children
        family = [postmaster, *(p for p, (parent, _) in parents().items() if parent == postmaster)]
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(f"the end of the server {self.name}",
                   lambda: all(parents().get(p, (0, "Z"))[1] in "ZX" for p in family), GONE_SECONDS,
                   pause=0.005)
        # Until somebody reaps the dead, their pids are taken, and a new server would believe the file.
        (self.data / "postmaster.pid").unlink()

    def close(self):
        try:
            if self.postmaster() is not None:
                self.kill()
        finally:
            self.remove()


class Pair:
    """Use it with `with`. `primary` and `standby` change places when one fails."""

    def __init__(self):
        self.primary, self.standby = self.nodes = (Node("left"), Node("right"))
        self.url = self.url_of([node.port for node in self.nodes])

    @staticmethod
    def url_of(ports):
        """Whichever of them takes writes."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        return f"postgresql://{USER}@{hosts}/postgres?target_session_attrs=read-write"

    def __enter__(self):
        try:
            self.primary.create()
            self.primary.start()
            self.rebuild()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for node in self.nodes:
            node.close()

    def execute(self, statement):
        """On the primary, in a session for this statement alone."""
        with Session(self.primary.port) as session:
            return session.execute(statement)

    def fail_over(self):
        """The primary is lost for good, the standby takes its place and has none itself."""
        self.primary.kill()
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary

    def rebuild(self):
        """Makes a standby, and the primary wait for it with every commit."""
        self.standby.follow(self.primary)
        self.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{self.standby.name}'")
        self.execute("SELECT pg_reload_conf()")
        self.wait_until_synchronous()

    def wait_until_synchronous(self):
        wait_until("a synchronous standby", self._is_synchronous, SYNCHRONOUS_SECONDS, pause=0.02)

    def _is_synchronous(self):
        try:
            found = self.execute("SELECT application_name, sync_state FROM pg_stat_replication")
        except (OSError, Refused) as problem:
            raise Failed(str(problem)) from problem
        if found != [(self.standby.name, "sync")]:
            raise Failed(f"replication is {found}")
        return True
