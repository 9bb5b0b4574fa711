"""`director serve` beside a FakeMdm, without signing: started, killed, spoken to."""

import base64
import hashlib
import hmac
import http.client
import json
import secrets

from database import is_postgres
from processes import Failed, can_connect, stable_port, wait_until

START_SECONDS = 30
ANSWER_SECONDS = 30
NO_ANSWER = (OSError, http.client.HTTPException)

# Short enough to watch a lost command being found again.
TIMINGS = {
    "claim_lease": "5s",
    "transaction_max": "15s",
    "awake_window": "60s",
    "profile_list_interval": "5s",
    "device_information_interval": "1s",
    "question_delay_min": "200ms",
    "answer_time_max": "500ms",
    "lost_after": "5s",
    "not_now_lost_after": "10s",
    "retry_delay_min": "500ms",
    "server_retry_delay_min": "1s",
    "push_delay_min": "5s",
    "push_delay_max": "10s",
    "sends_per_day_max": "1000",
}


class Client:
    """One keep-alive connection. Not thread-safe."""

    def __init__(self, served, timeout=ANSWER_SECONDS):
        self._served = served
        self._connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._connection.close()

    def post_webhook(self, body):
        """The status. One of NO_ANSWER is raised when there is none: it may be stored or not."""
        digest = hmac.new(self._served.webhook_key.encode(), body, hashlib.sha256).digest()
        headers = {"X-Hmac-Signature": base64.b64encode(digest).decode(),
                   "Content-Type": "application/json"}
        return self._send("POST", "/webhook/nanomdm", body, headers)[0]

    def call(self, method, path, body=None, content_type="application/json"):
        """Status and bytes of the answer of one call of the API."""
        headers = {"Authorization": f"Bearer {self._served.token}", "Content-Type": content_type}
        return self._send(method, "/api/v1" + path, body, headers)

    def get(self, path):
        """Status and bytes of a page that needs no credentials."""
        return self._send("GET", path, None, {})

    def _send(self, method, path, body, headers):
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()


class Served:
    """`prefix` goes before the command, such as a program that changes what it sees."""

    def __init__(self, binary, folder, processes, mdm, database="director.db", name="director"):
        self.binary = binary
        self.prefix = []
        self.folder = folder
        self.name = name
        self.port = stable_port()
        self.token = secrets.token_hex(16)
        self.webhook_key = secrets.token_hex(16)
        self.process = None
        self._processes = processes
        self._settings = {
            "listen": f"127.0.0.1:{self.port}", "database": database if is_postgres(database) else str(folder / database),
            "api_token": self.token, "mdm_url": mdm.url, "mdm_api_key": mdm.api_key,
            "webhook_hmac_key": self.webhook_key, **TIMINGS}

    def share_keys(self, other):
        """Answers to the same keys as `other`: a load balancer stands before both."""
        self.token, self.webhook_key = other.token, other.webhook_key
        self._settings.update(api_token=self.token, webhook_hmac_key=self.webhook_key)

    def use_database(self, url):
        """From the next start on."""
        self._settings["database"] = url

    @property
    def database(self):
        return self._settings["database"]

    @property
    def log(self):
        path = self.folder / f"{self.name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def spawn(self, **options):
        """Starts it without waiting; `options` go to subprocess.Popen."""
        config = self.folder / f"{self.name}.yaml"
        lines = [f"{key}: {json.dumps(value)}\n" for key, value in self._settings.items()]
        config.write_text("".join(lines))
        self.process = self._processes.start(
            self.name, [*self.prefix, self.binary, "serve", "--config", config], **options)

    def start(self, **options):
        self.spawn(**options)
        self.wait_for_answer()

    def wait_for_answer(self):
        wait_until("answer of Director", lambda: can_connect(self.port), START_SECONDS,
                   self._processes, pause=0.002)

    def kill(self):
        """As the kernel would: no handler runs."""
        self._processes.forget(self.process)
        self.process.kill()

    def stop(self, timeout=10):
        self._processes.forget(self.process)
        self.process.stop(timeout)
        if self.process.exit_code() != 0:
            raise Failed(f"Director ended with {self.process.exit_code()}\n{self.log[-2000:]}")

    def wait_for_end(self, timeout=START_SECONDS):
        """Waits until it gave up by itself; returns its exit code, negative for a signal."""
        self._processes.forget(self.process)
        code = self.process.wait(timeout)
        if code is None:
            self.process.kill()
            raise Failed(f"Director still runs after {timeout} s")
        return code
