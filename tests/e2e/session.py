"""A session of PostgreSQL that is nobody's of Director's: it stays open, holds locks, is in the way.

It speaks the protocol by itself, since a hundred of them must cost next to nothing.
Source: PostgreSQL's documentation of the frontend/backend protocol, version 3.0.
"""

import socket
import struct

USER = "director"
DATABASE = "postgres"
PROTOCOL = 196608
TOO_MANY = "53300"  # SQLSTATE: the server has no connection left


class Refused(Exception):
    """The server's word against it."""

    def __init__(self, sqlstate, message):
        super().__init__(f"SQLSTATE {sqlstate}: {message}")
        self.sqlstate = sqlstate


class Session:
    """One connection, without a password. Not thread-safe. Raises OSError when it is lost."""

    def __init__(self, port, database=DATABASE, timeout=30):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self._input = self._socket.makefile("rb")
        try:
            words = f"user\0{USER}\0database\0{database}\0application_name\0foreign\0\0".encode()
            self._socket.sendall(struct.pack("!ii", len(words) + 8, PROTOCOL) + words)
            self._read_until_ready()
        except (OSError, Refused):
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def execute(self, statement):
        """The rows, as tuples of texts. Waits for locks as long as the server does."""
        text = statement.encode() + b"\0"
        self._socket.sendall(b"Q" + struct.pack("!i", len(text) + 4) + text)
        return self._read_until_ready()

    def close(self):
        """An open transaction is rolled back by the server."""
        self._input.close()
        self._socket.close()

    def _read_until_ready(self):
        rows, refusal = [], None
        while True:
            kind, body = self._read_message()
            if kind == b"D":
                rows.append(decode_row(body))
            elif kind == b"E":
                fields = {part[:1]: part[1:].decode() for part in body.split(b"\0") if part}
                refusal = Refused(fields[b"C"], fields[b"M"])
                if fields[b"S"] in ("FATAL", "PANIC"):
                    raise refusal
            elif kind == b"R" and body != struct.pack("!i", 0):
                raise Refused("28000", "the server asks for a password")
            elif kind == b"Z":
                if refusal:
                    raise refusal
                return rows

    def _read_message(self):
        head = self._input.read(5)
        if len(head) < 5:
            raise ConnectionError("the server closed the session")
        return head[:1], self._input.read(struct.unpack("!i", head[1:])[0] - 4)


def decode_row(body):
    values, at = [], 2
    for _ in range(struct.unpack("!h", body[:2])[0]):
        size = struct.unpack("!i", body[at:at + 4])[0]
        at += 4
        values.append(None if size < 0 else body[at:at + size].decode())
        at += max(size, 0)
    return tuple(values)
