"""A network between Director and its database that can be cut.

It cannot drop single packets: what is sent into a hole is acknowledged by the kernel and goes no
further, as with a balancer whose server died behind it or a server whose disk hangs.
"""

import contextlib
import socket
import struct
import threading

from processes import stable_port

OPEN, LOST, HELD, REFUSED = "open", "lost", "held", "refused"
CONNECT_SECONDS = 5
CHUNK_BYTES = 65536
RESET_AT_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time


class Link:
    """One connection and what it leads to."""

    def __init__(self, client, server):
        self.ends = (client, server)
        self.is_lost = False  # for good, as where a firewall forgot it

    def reset(self, ends=None):
        for end in ends or self.ends:
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
                end.shutdown(socket.SHUT_RDWR)


class TcpProxy:
    """Passes connections to `port` of this machine on to `target`, a port too. Thread-safe."""

    def __init__(self, target):
        self.port = stable_port()
        self.swallowed = 0  # bytes that went into the hole
        self._target = target
        self._mode = OPEN
        self._links = set()
        self._changed = threading.Condition()
        self._listener = None
        self._listen()

    def lose(self):
        """Swallows everything. Who connected stays in the dark, also when it is over: his connections
        of that time are open and silent. The target learns then that they are gone."""
        self._set(LOST)

    def hold(self):
        """Passes nothing on until it is over, then everything, as a network that sends again."""
        self._set(HELD)

    def refuse(self):
        """Resets what is open, refuses what is new."""
        self._set(REFUSED)
        self._close_listener()
        self._reset_all()

    def mend(self):
        if self._mode == REFUSED:
            self._listen()
        self._set(OPEN)
        with self._changed:
            lost = [link for link in self._links if link.is_lost]
        for link in lost:
            link.reset(link.ends[1:])

    def close(self):
        self._set(REFUSED)
        self._close_listener()
        self._reset_all()

    def _set(self, mode):
        with self._changed:
            self._mode = mode
            if mode == LOST:
                for link in self._links:
                    link.is_lost = True
            self._changed.notify_all()

    def _listen(self):
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _close_listener(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # ends accept()
        self._listener.close()

    def _reset_all(self):
        with self._changed:
            links = list(self._links)
        for link in links:
            link.reset()

    def _accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            server = socket.create_connection(("127.0.0.1", self._target), CONNECT_SECONDS)
        except OSError:
            Link(client, client).reset()
            return client.close()
        server.settimeout(None)
        link = Link(client, server)
        with self._changed:
            link.is_lost = self._mode == LOST
            self._links.add(link)
            is_late = self._mode == REFUSED
        if is_late:
            link.reset()
        back = threading.Thread(target=self._pump, args=(link, server, client), daemon=True)
        back.start()
        self._pump(link, client, server)
        back.join()
        with self._changed:
            self._links.discard(link)
        client.close()
        return server.close()

    def _pump(self, link, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                if self._may_pass(link, len(data)):
                    sink.sendall(data)
        with contextlib.suppress(OSError):
            if self._may_pass(link, 0):
                sink.shutdown(socket.SHUT_WR)

    def _may_pass(self, link, size):
        """Waits as long as the link is held."""
        with self._changed:
            self._changed.wait_for(lambda: self._mode != HELD)
            if link.is_lost:
                self.swallowed += size
            return not link.is_lost
