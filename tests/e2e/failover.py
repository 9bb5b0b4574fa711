#!/usr/bin/env python3
"""Two directors on a primary and its standby, under load, while everything around them fails.

usage: failover.py DIRECTOR_BINARY [--rounds N] [--seed N] [--cut-seconds S]

Plays each scene once, then N more that the seed chooses. After every scene the database must hold
everything that was accepted by either director; after the last one the fleet must converge, and no
command may have been sent again without a cause.
"""

import random
import signal
import sys
import threading
import time

import rounds
import scenes_network
import scenes_servers
import scenes_sessions
from converged import check_repeats
from postgres_pair import Pair
from processes import Failed
from stage import DIRECT, POOLED, PROXIED, Stage

LOAD_SECONDS_MAX = 0.8
CUT_SECONDS = 2.0
SCENES = {
    DIRECT: [scenes_servers.kill_director, scenes_servers.kill_primary, scenes_servers.promote_standby,
             scenes_sessions.use_up_connections, scenes_sessions.hold_locks, scenes_sessions.deadlock],
    PROXIED: [scenes_network.refuse_both, scenes_network.hold_one, scenes_network.black_hole],
    POOLED: [scenes_sessions.pool_connections],
}


class Scenario:
    def __init__(self, binary, folder, pair, seed, cut_seconds):
        self._random = random.Random(seed)
        self._stage = Stage(binary, folder, pair, self._random, seed, cut_seconds)
        self._never = threading.Event()
        self._sends_max = 0

    def run(self, count):
        stage = self._stage
        played = [(route, scene) for route, scenes in SCENES.items() for scene in scenes]
        more = [*played, (PROXIED, scenes_network.refuse_one)]
        played += sorted((self._random.choice(more) for _ in range(count)), key=lambda part: part[0])
        try:
            for route, scene in played:
                self._play(route, scene)
            stage.converge()
            stage.load.join()
            stage.stop()
            stage.check()
            self._sends_max = check_repeats(stage.mdm, stage.load.wiped, stage.faults)
        except Failed as failure:
            raise Failed(f"{failure}\n{stage.logs()}") from failure
        finally:
            stage.close()

    def summary(self):
        accepted = self._stage.load.accepted
        return (f"{accepted.webhooks} webhooks and {accepted.writes} API writes accepted, all there; "
                f"{len(self._stage.mdm.sends)} commands sent, one revision at most {self._sends_max} "
                f"times to one device; the fleet converged")

    def _play(self, route, scene):
        name = scene.__name__.replace("_", " ")
        began_at = time.monotonic()
        stage = self._stage
        try:
            stage.take(route)
            stage.load.start()
            self._never.wait(self._random.uniform(0, LOAD_SECONDS_MAX))  # makes the moment random
            text = scene(stage)
            stage.check()
        except Failed as failure:
            raise Failed(f"{name}, {route}: {failure}") from failure
        accepted = stage.load.accepted
        print(f"[{time.monotonic() - began_at:5.1f} s] {name}, {route}: {text}; {accepted.webhooks} webhooks "
              f"and {accepted.writes} writes accepted so far are there", flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with Pair() as servers:
        rounds.main(__doc__, 0, lambda binary, folder, seed, cut_seconds: Scenario(
            binary, folder, servers, seed, cut_seconds), cut_seconds=CUT_SECONDS)
