"""Two directors on a pair of PostgreSQL servers, under load: what a scene of failover.py plays on."""

import time

from balancer import Balancer
from converged import has_converged
from fake_device import Device
from fake_mdm import FakeMdm
from load import FLEET_IDENTIFIER, Load
from pgbouncer import PgBouncer
from processes import Failed, Processes, tail, wait_until
from served import NO_ANSWER, Client, Served
from tcp_proxy import TcpProxy

DEVICES = 24
THREADS = 4
PROBE_SECONDS = 2  # how long a probe waits for its answer
REFUSAL_SECONDS = 40
RECOVERY_SECONDS = 60
CONVERGE_SECONDS = 120
STOP_SECONDS = 40  # what is in hand may wait for a connection that was lost, and be given up first

# How a director reaches its database.
DIRECT, PROXIED, POOLED = "direct", "through a proxy", "through pgbouncer"


class Stage:
    def __init__(self, binary, folder, pair, randoms, seed, cut_seconds):
        self.pair = pair
        self.random = randoms
        self.cut_seconds = cut_seconds
        self.mdm = FakeMdm()
        self.faults = []  # [beginning, end] of each by time.monotonic()
        self.processes = Processes(folder)
        self.replicas = [Served(binary, folder, self.processes, self.mdm, pair.url, name)
                         for name in ("first", "second")]
        self.replicas[1].share_keys(self.replicas[0])
        self.load = Load(Balancer(self.replicas), self.mdm, seed, DEVICES, THREADS)
        self.proxies = {r.name: [TcpProxy(node.port) for node in pair.nodes] for r in self.replicas}
        self.bouncer = None
        self._probes = {r.name: Device(self.mdm, DEVICES + i) for i, r in enumerate(self.replicas)}
        self._route = None

    def close(self):
        self.load.join()
        self.processes.kill_all()
        for proxies in self.proxies.values():
            for proxy in proxies:
                proxy.close()
        self.mdm.close()

    def logs(self):
        return "\n".join(tail(r.folder / f"{r.name}.log") for r in self.replicas)

    def take(self, route):
        """Both directors run and reach their database in this way."""
        if route == self._route:
            return
        self.stop()
        self._route = route
        if route == POOLED:
            self.bouncer = PgBouncer(self.pair.primary, self.processes)
        for replica in self.replicas:
            replica.use_database(self._url(replica))
            replica.spawn()
        for replica in self.replicas:
            replica.wait_for_answer()

    def stop(self):
        """In good order."""
        if self._route is not None:
            for replica in self.replicas:
                replica.stop(STOP_SECONDS)
        if self._route == POOLED:
            self.bouncer.stop()
        self._route = None

    def _url(self, replica):
        if self._route == POOLED:
            return self.bouncer.url
        if self._route == PROXIED:
            return self.pair.url_of([proxy.port for proxy in self.proxies[replica.name]])
        return self.pair.url

    # --- what scenes do --------------------------------------------------------------------------

    def happened(self):
        """From now to the end of the next `recover` answers may be lost or late."""
        now = time.monotonic()
        self.faults.append([now, now])

    def start_roll_out(self):
        """Returns the PayloadUUID of what has just been assigned to all."""
        with Client(self.random.choice(self.replicas)) as client:
            payload_uuid = self.load.roll_out(client)
        if payload_uuid is None:
            raise Failed("nothing is wrong, and an assignment is refused")
        wait_until("the first command of the roll-out", lambda: self.count_sent(payload_uuid) > 0,
                   RECOVERY_SECONDS, self.processes, pause=0.001)
        return payload_uuid

    def count_sent(self, payload_uuid):
        return sum(send.command.payload_uuid == payload_uuid for send in list(self.mdm.sends))

    def count_verified(self, payload_uuid):
        return int(self.pair.execute(
            f"SELECT count(*) FROM items WHERE payload_identifier = '{FLEET_IDENTIFIER}' "
            f"AND payload_uuid = '{payload_uuid}' AND state = 'verified'")[0][0])

    def wait_for_refusal(self, replica):
        """Until it says that its database is away: the fault is there."""
        wait_until(f"503 of {replica.name}", lambda: self._upload(replica) is False, REFUSAL_SECONDS,
                   self.processes, pause=0.02)

    def wait_until_mute(self, replica):
        """Until it says so or says nothing: no write gets through."""
        wait_until(f"no answer of {replica.name}", lambda: not self._upload(replica), REFUSAL_SECONDS,
                   self.processes, pause=0.02)

    def _upload(self, replica):
        """Whether it was accepted; None when there was no answer in time."""
        try:
            with Client(replica, PROBE_SECONDS) as client:
                return self.load.upload(client)
        except NO_ANSWER:
            return None

    def visit(self, replica, timeout=PROBE_SECONDS):
        """Whether a device of this replica's own was heard; None when there was no answer in time."""
        try:
            with Client(replica, timeout) as client:
                return self.load.visit(client, self._probes[replica.name])
        except NO_ANSWER:
            return None

    def recover(self, since, replicas=None):
        """Waits until these directors, by default both, take API writes and webhooks again; says how
        long each took since that time.monotonic()."""
        took = []
        for replica in replicas or self.replicas:
            wait_until(f"a write accepted by {replica.name}", lambda r=replica: self._upload(r),
                       RECOVERY_SECONDS, self.processes, pause=0.01)
            wait_until(f"a webhook accepted by {replica.name}", lambda r=replica: self.visit(r),
                       RECOVERY_SECONDS, self.processes, pause=0.01)
            took.append(time.monotonic() - since)
        self.faults[-1][1] = time.monotonic()
        return "written again after " + " and ".join(f"{seconds:.1f} s" for seconds in took)

    def check(self):
        """Nobody writes any more, and everything accepted is there."""
        self.load.join()
        self.pair.wait_until_synchronous()
        self.load.accepted.check(self.pair.url, self.mdm)

    def converge(self):
        self.load.join()
        self.load.start_calm()
        wait_until("convergence", lambda: has_converged(self.pair.url, self.load.devices),
                   CONVERGE_SECONDS, self.processes, pause=0.1)
