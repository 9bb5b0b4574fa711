"""A NanoMDM of the test's own: it queues what it is given and remembers every request.

It survives when Director is killed, so that what was sent can be held against what Director wrote
down.
"""

import base64
import collections
import dataclasses
import hashlib
import http.server
import json
import plistlib
import secrets
import threading
import time
import urllib.parse


@dataclasses.dataclass(frozen=True)
class Command:
    command_uuid: str
    request_type: str
    payload_identifier: str  # of the profile that is installed or removed, else empty
    payload_uuid: str


@dataclasses.dataclass(frozen=True)
class Send:
    """One command for one enrollment, as it came in."""

    at: float  # time.monotonic()
    enrollment_id: str
    command: Command


def decode_command(body):
    plist = plistlib.loads(body)
    command = plist["Command"]
    identifier = command.get("Identifier", "")
    payload_uuid = ""
    if command["RequestType"] == "InstallProfile":
        profile = plistlib.loads(command["Payload"])
        identifier, payload_uuid = profile["PayloadIdentifier"], profile["PayloadUUID"]
    return Command(plist["CommandUUID"], command["RequestType"], identifier, payload_uuid)


class FakeMdm:
    """/version, /v1/enqueue and /v1/push on loopback, with NanoMDM's answers. Thread-safe."""

    def __init__(self):
        self.api_key = secrets.token_hex(16)
        self.sends = []
        self.violations = []
        self._contents = {}  # command_uuid -> (digest of the request, enrollment ids)
        self._queues = collections.defaultdict(collections.deque)
        self._changed = threading.Condition()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.mdm = self
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def enqueue(self, enrollment_ids, body):
        """Returns status and answer. A CommandUUID is taken once, as by the real server."""
        command = decode_command(body)
        answer = {"no_push": True, "command_uuid": command.command_uuid,
                  "request_type": command.request_type}
        content = (hashlib.sha256(body).hexdigest(), tuple(enrollment_ids))
        with self._changed:
            known = self._contents.setdefault(command.command_uuid, content)
            if known is not content:
                if known != content:
                    self.violations.append(f"{command} came twice with different contents")
                error = f"command already exists: {command.command_uuid}"
                return 500, {**answer, "command_error": error}
            now = time.monotonic()
            for enrollment_id in enrollment_ids:
                self._queues[enrollment_id].append(command)
                self.sends.append(Send(now, enrollment_id, command))
            self._changed.notify_all()
        return 200, answer

    def take(self, enrollment_id):
        """The next command of the enrollment, or None. Taken is answered: see Device."""
        with self._changed:
            queue = self._queues[enrollment_id]
            return queue.popleft() if queue else None

    def clear(self, enrollment_id):
        """As an Authenticate does."""
        with self._changed:
            self._queues[enrollment_id].clear()

    def wait_for_command(self, enrollment_ids, timeout):
        """Returns when one of the enrollments has a command, or after `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: any(self._queues[i] for i in enrollment_ids), timeout)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    mdm = None

    def handle_error(self, request, client_address):
        """A connection that Director's end cut is no news."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body of an answer leave together

    def do_GET(self):
        path = urllib.parse.urlsplit(self.path).path
        if path == "/version":
            return self._answer(200, {"version": "v0.9.0"})
        return self._push(path)

    def do_PUT(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = urllib.parse.urlsplit(self.path).path
        if not path.startswith("/v1/enqueue/"):
            return self._push(path)
        if self._is_authorized():
            self._answer(*self.server.mdm.enqueue(self._ids(path), body))

    def _push(self, path):
        if not path.startswith("/v1/push/"):
            return self._answer(404, {})
        if self._is_authorized():
            self._answer(200, {"status": {i: {"push_result": "sent"} for i in self._ids(path)}})

    @staticmethod
    def _ids(path):
        return urllib.parse.unquote(path.split("/", 3)[3]).split(",")

    def _is_authorized(self):
        wanted = base64.b64encode(f"nanomdm:{self.server.mdm.api_key}".encode()).decode()
        if self.headers.get("Authorization") == f"Basic {wanted}":
            return True
        self._answer(401, {})
        return False

    def _answer(self, status, answer):
        body = json.dumps(answer).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Each request is in `sends`."""
