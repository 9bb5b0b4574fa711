#!/usr/bin/env python3
"""Kills `director serve` with SIGKILL again and again under load, on one database.

usage: crash.py DIRECTOR_BINARY [--rounds N] [--seed N]

After every kill the database must be sound and hold everything that was accepted; after the last
one the fleet must converge, and no command may have been sent again without a cause.
"""

import random
import threading
import time

import rounds
from converged import check_repeats, has_converged
from fake_mdm import FakeMdm
from load import Load
from processes import Failed, Processes, tail, wait_until
from served import Served

DEVICES = 24
THREADS = 4
LOAD_SECONDS_MAX = 0.4
STARTING_SECONDS_MAX = 0.06
CONVERGE_SECONDS = 90


class Scenario:
    def __init__(self, binary, folder, seed):
        self.kills = []  # beginning and end of each by time.monotonic()
        self.sends_max = 0
        self._random = random.Random(seed)
        self._processes = Processes(folder)
        self._mdm = FakeMdm()
        self._served = Served(binary, folder, self._processes, self._mdm)
        self._load = Load(self._served, self._mdm, seed, DEVICES, THREADS)
        self._never = threading.Event()

    def run(self, count):
        try:
            for number in range(count):
                self._round(number)
            self._converge()
        except Failed as failure:
            raise Failed(f"{failure}\n{tail(self._served.folder / 'director.log')}") from failure
        finally:
            self._load.join()
            self._processes.kill_all()
            self._mdm.close()

    def summary(self):
        accepted = self._load.accepted
        return (f"{len(self.kills)} kills; {accepted.webhooks} webhooks and {accepted.writes} "
                f"API writes accepted, all there; {len(self._mdm.sends)} commands sent, "
                f"{accepted.in_doubt} in doubt at a kill, one revision at most "
                f"{self.sends_max} times to one device; the fleet converged")

    def _round(self, number):
        how = self._random.choice(["under load"] * 6 + ["starting"] * 2 + ["twice"] * 2)
        try:
            if how != "starting":
                self._kill_under_load()
            if how != "under load":
                self._kill_while_starting()
            self._load.accepted.check(self._served.database, self._mdm)
        except Failed as failure:
            raise Failed(f"round {number}, killed {how}: {failure}") from failure

    def _kill_under_load(self):
        self._served.start()
        self._load.start()
        self._kill_after(self._random.uniform(0, LOAD_SECONDS_MAX))
        self._load.join()

    def _kill_while_starting(self):
        self._served.spawn()
        self._kill_after(self._random.uniform(0, STARTING_SECONDS_MAX))

    def _kill_after(self, seconds):
        """The time is not waited for anything: it is the random moment of the kill."""
        self._never.wait(seconds)
        if not self._served.process.is_running():
            raise Failed(f"Director ended by itself: {self._served.process.exit_code()}")
        self._served.kill()
        now = time.monotonic()
        self.kills.append((now, now))

    def _converge(self):
        self._served.start()
        self._load.start_calm()
        wait_until("convergence", self._has_converged, CONVERGE_SECONDS, self._processes, pause=0.1)
        self._load.join()
        self._served.stop()
        self._load.accepted.check(self._served.database, self._mdm)
        self.sends_max = check_repeats(self._mdm, self._load.wiped, self.kills)

    def _has_converged(self):
        return has_converged(self._served.database, self._load.devices)


if __name__ == "__main__":
    rounds.main(__doc__, 50, Scenario)
