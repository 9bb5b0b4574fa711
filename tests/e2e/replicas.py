#!/usr/bin/env python3
"""Two directors on one PostgreSQL, under load, while one or the other or the database is killed.

usage: replicas.py DIRECTOR_BINARY [--rounds N] [--seed N]

After every round the database must hold everything that was accepted by either; after the last one
the fleet must converge, and no command may have been sent again without a cause.
"""

import pathlib
import random
import subprocess
import sys
import threading
import time

import rounds
from balancer import Balancer
from converged import check_repeats, has_converged
from fake_mdm import FakeMdm
from load import Load
from processes import Failed, Processes, tail, wait_until
from served import Served

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from with_postgres import Postgres  # pylint: disable=wrong-import-position

DEVICES = 24
THREADS = 4
LOAD_SECONDS_MAX = 0.8
CONVERGE_SECONDS = 120
CUT = ("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
       "WHERE pid <> pg_backend_pid() AND application_name = 'director'")


class Scenario:
    def __init__(self, binary, folder, server, seed):
        self.faults = []  # beginning and end of each by time.monotonic()
        self.counts = {}
        self.sends_max = 0
        self._server = server
        self._random = random.Random(seed)
        self._processes = Processes(folder)
        self._folder = folder
        self._mdm = FakeMdm()
        self._replicas = [Served(binary, folder, self._processes, self._mdm, server.url, name)
                          for name in ("first", "second")]
        self._replicas[1].share_keys(self._replicas[0])
        self._load = Load(Balancer(self._replicas), self._mdm, seed, DEVICES, THREADS)
        self._never = threading.Event()

    def run(self, count):
        try:
            for replica in self._replicas:
                replica.spawn()
            for replica in self._replicas:
                replica.wait_for_answer()
            for number in range(count):
                self._round(number)
            self._converge()
        except Failed as failure:
            logs = "\n".join(tail(self._folder / f"{r.name}.log") for r in self._replicas)
            raise Failed(f"{failure}\n{logs}") from failure
        finally:
            self._load.join()
            self._processes.kill_all()
            self._mdm.close()

    def summary(self):
        accepted = self._load.accepted
        faults = ", ".join(f"{count} x {name}" for name, count in sorted(self.counts.items()))
        return (f"{faults}; {accepted.webhooks} webhooks and {accepted.writes} API writes accepted, "
                f"all there; {len(self._mdm.sends)} commands sent, one revision at most "
                f"{self.sends_max} times to one device; the fleet converged")

    def _round(self, number):
        fault = self._random.choice([self._kill_one, self._kill_one, self._kill_both,
                                     self._restart_database, self._cut_connections])
        name = fault.__name__.strip("_").replace("_", " ")
        self.counts[name] = self.counts.get(name, 0) + 1
        try:
            self._load.start()
            self._wait(LOAD_SECONDS_MAX)
            fault()
            self._load.join()
            self._load.accepted.check(self._server.url, self._mdm)
        except Failed as failure:
            raise Failed(f"round {number}, {name}: {failure}") from failure

    def _wait(self, seconds_max):
        """Not for anything: it makes the moment of what comes next random."""
        self._never.wait(self._random.uniform(0, seconds_max))

    def _happened(self):
        now = time.monotonic()
        self.faults.append((now, now))

    def _kill_one(self):
        self._kill([self._random.choice(self._replicas)])

    def _kill_both(self):
        self._kill(self._replicas)

    def _kill(self, victims):
        for victim in victims:
            if not victim.process.is_running():
                raise Failed(f"{victim.name} ended by itself: {victim.process.exit_code()}")
            victim.kill()
        self._happened()
        self._wait(LOAD_SECONDS_MAX)  # the other one goes on alone
        for victim in victims:
            victim.start()

    def _restart_database(self):
        self._happened()
        self._server.crash()
        self._wait(LOAD_SECONDS_MAX)
        self._server.start()
        self._happened()
        self._wait(LOAD_SECONDS_MAX)

    def _cut_connections(self):
        self._happened()
        subprocess.run(["psql", "-X", "-q", "-o", "/dev/null", self._server.url, "-c", CUT], check=True)
        self._happened()
        self._wait(LOAD_SECONDS_MAX)

    def _converge(self):
        self._load.start_calm()
        wait_until("convergence",
                   lambda: has_converged(self._server.url, self._load.devices), CONVERGE_SECONDS,
                   self._processes, pause=0.2)
        self._load.join()
        for replica in self._replicas:
            replica.stop()
        self._load.accepted.check(self._server.url, self._mdm)
        self.sends_max = check_repeats(self._mdm, self._load.wiped, self.faults)


if __name__ == "__main__":
    with Postgres() as postgres:
        rounds.main(__doc__, 20, lambda binary, folder, seed: Scenario(binary, folder, postgres, seed))
