"""Director under test: its configuration, its command line, its API."""

import base64
import json
import secrets
import shutil
import subprocess
import urllib.parse
import urllib.request

from processes import Failed, clean_environment, wait_until

START_SECONDS = 30
COMMAND_SECONDS = 60

# Short enough to watch; the devices poll every two seconds.
TIMINGS = {
    "awake_window": "15s",
    "token_update_wait": "15s",
    "profile_list_interval": "10s",
    "question_delay_min": "2s",
    "answer_time_max": "5s",
    "removal_evidence_age_max": "30s",
    "retry_delay_min": "2s",
    "server_retry_delay_min": "5s",
    "push_delay_min": "10s",
    "push_delay_max": "30s",
    "not_now_push_delay_min": "10s",
    "lost_after": "20s",
    "not_now_lost_after": "2m",
    "sends_per_day_max": "100",
    "device_information_interval": "30s",
    "reinstall_spread": "2s",
}


class Director:
    def __init__(self, binary, folder, processes, port):
        self.binary = binary
        self.folder = folder
        self.url = f"http://127.0.0.1:{port}"
        self._port = port
        self._processes = processes
        self._token = secrets.token_hex(16)
        self._process = None
        self._settings = {}

    def configure(self, mdm_settings):
        self._make_signer()
        token_file = self.folder / "api_token"
        token_file.write_text(self._token + "\n")
        data_key_file = self.folder / "data_key"
        data_key_file.write_text(base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
        self._settings = {
            "listen": f"127.0.0.1:{self._port}",
            "database": str(self.folder / "director.db"),
            "api_token_file": str(token_file),
            "data_key_file": str(data_key_file),
            "erase_delay": "1s",
            "signing_certificate_file": str(self.folder / "signer.pem"),
            "signing_key_file": str(self.folder / "signer-key.pem"),
            **TIMINGS,
            **mdm_settings,
        }
        self._write_settings()

    def change_settings(self, settings):
        """Starts it again with these in place of what they were."""
        self._settings.update(settings)
        self._write_settings()
        self._processes.forget(self._process)
        self._process.stop()
        self.start()

    def _write_settings(self):
        lines = [f"{key}: {json.dumps(value)}\n" for key, value in self._settings.items()]
        (self.folder / "director.yaml").write_text("".join(lines))

    def _make_signer(self):
        if shutil.which("openssl") is None:
            raise Failed("needs the openssl command")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
             "/CN=Director end-to-end signer", "-keyout", self.folder / "signer-key.pem", "-out",
             self.folder / "signer.pem"],
            check=True, capture_output=True, timeout=COMMAND_SECONDS)

    def start(self):
        self._process = self._processes.start(
            "director", [self.binary, "serve", "--config", self.folder / "director.yaml"])
        wait_until("answer of Director", self._is_up, START_SECONDS, self._processes)

    def kill(self):
        """As a power cut would: no handler runs."""
        self._processes.forget(self._process)
        self._process.kill()

    def _is_up(self):
        try:
            with urllib.request.urlopen(self.url + "/healthz", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def cli(self, *arguments):
        """Runs one verb and returns what it printed; the verbs under test end with --json."""
        done = subprocess.run(
            [self.binary, *[str(a) for a in arguments]], capture_output=True, text=True,
            timeout=COMMAND_SECONDS,
            env=clean_environment(DIRECTOR_URL=self.url, DIRECTOR_TOKEN=self._token))
        if done.returncode != 0:
            raise Failed(f"director {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done.stdout

    def cli_json(self, *arguments):
        return json.loads(self.cli(*arguments, "--json"))

    def get(self, path):
        request = urllib.request.Request(self.url + "/api/v1" + path,
                                         headers={"Authorization": f"Bearer {self._token}"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except (OSError, ValueError) as error:
            raise Failed(f"GET {path}: {error}") from error

    def device(self, enrollment_id):
        return self.get("/devices/" + urllib.parse.quote(enrollment_id, safe=""))

    def events_after(self, event_id):
        """Newest first, as the API lists them."""
        found = []
        path = "/events?limit=1000"
        while True:
            page = self.get(path)
            for event in page["events"]:
                if event["event_id"] <= event_id:
                    return found
                found.append(event)
            if page["next"] is None:
                return found
            path = f"/events?limit=1000&after={page['next']}"

    def last_event_id(self):
        newest = self.get("/events?limit=1")["events"]
        return newest[0]["event_id"] if newest else 0
