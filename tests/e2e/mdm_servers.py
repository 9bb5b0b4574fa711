"""The real MDM servers: how they are started, and a certificate authority that they trust."""

import base64
import re
import secrets
import subprocess
import textwrap
import urllib.request

from processes import Failed, can_connect, clean_environment, free_port, wait_until

START_SECONDS = 30


def to_pem(label, der):
    body = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
    return f"-----BEGIN {label}-----\n{body}\n-----END {label}-----\n"


class MdmServer:
    """One server on loopback with storage of its own. `stop` and `start` may be repeated."""

    kind = ""
    protocol = ""

    def __init__(self, binary, folder, processes, director_port):
        self.folder = folder
        self.api_key = secrets.token_hex(16)
        self.webhook_secret = secrets.token_hex(16)
        self.authority = folder / "authority.pem"
        self._binary = binary
        self._processes = processes
        self._director_port = director_port
        self._port = free_port()
        self._process = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self._port}"

    def start(self):
        self._process = self._processes.start(self.kind, self._arguments(), cwd=self.folder)
        wait_until(f"answer of {self.kind}", lambda: can_connect(self._port), START_SECONDS,
                   self._processes)

    def stop(self):
        self._processes.forget(self._process)
        self._process.stop()

    def repair_queues(self):
        """Undoes damage that the server did to itself. Returns the enrollment ids concerned."""
        return []


class NanoMdm(MdmServer):
    """With filekv, the storage that it has by default."""

    kind = "nanomdm"
    protocol = "nanomdm"

    _FIRST = ".queuekey.queue.first"
    _LAST = ".queuekey.queue.last"

    @property
    def _storage(self):
        return self.folder / "nanomdm-storage"

    def make_authority(self, director):
        """Before the first start."""
        subprocess.run([director, "simulate", "--make-authority", self.authority], check=True,
                       env=clean_environment(), timeout=60)
        certificate = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n",
                                self.authority.read_text(), re.DOTALL)
        (self.folder / "ca.pem").write_text(certificate.group(0))

    def prepare(self, director):
        self.make_authority(director)
        self.start()

    def settings(self):
        return {"mdm_kind": self.kind, "mdm_url": self.url, "mdm_api_key": self.api_key,
                "webhook_hmac_key": self.webhook_secret}

    def repair_queues(self):
        """A queue with an end and no beginning takes commands and never hands one out.

        filekv gets there by itself when a device answers the only command of its queue at the
        moment in which the next one is enqueued. No call of the API mends it, only a new
        enrollment, or whoever may write to the storage.
        """
        repaired = []
        for last in self._storage.glob(f"queue/*/*/*{self._LAST}"):
            if not last.with_name(last.name.replace(self._LAST, self._FIRST)).exists():
                last.unlink(missing_ok=True)
                repaired.append(last.name.replace(self._LAST, ""))
        return repaired

    def _arguments(self):
        return [self._binary, "-listen", f"127.0.0.1:{self._port}", "-api", self.api_key,
                "-ca", self.folder / "ca.pem", "-storage", "filekv",
                "-storage-dsn", self._storage,
                "-webhook-url", f"http://127.0.0.1:{self._director_port}/webhook/nanomdm",
                "-webhook-hmac-key", self.webhook_secret]


class MicroMdm(MdmServer):
    """With its built-in queue. It makes its own certificate authority on the first start."""

    kind = "micromdm"
    protocol = "micromdm"

    def prepare(self, director):
        (self.folder / "micromdm-state" / "repo").mkdir(parents=True)
        self.start()
        # The socket is open before the authority is stored.
        wait_until("authority in MicroMDM's database", self._take_authority, START_SECONDS,
                   self._processes)

    def settings(self):
        return {"mdm_kind": self.kind, "mdm_url": self.url, "mdm_api_key": self.api_key,
                "webhook_password": self.webhook_secret}

    def _arguments(self):
        state = self.folder / "micromdm-state"
        webhook = (f"http://director:{self.webhook_secret}@127.0.0.1:{self._director_port}"
                   "/webhook/micromdm")
        return [self._binary, "serve", "-config-path", state, "-filerepo", state / "repo",
                "-server-url", "https://127.0.0.1", "-api-key", self.api_key, "-tls=false",
                "-http-addr", f"127.0.0.1:{self._port}", "-command-webhook-url", webhook,
                "-validate-scep-issuer", "-no-command-history", "-homepage=false"]

    def _take_authority(self):
        credentials = base64.b64encode(f"micromdm:{self.api_key}".encode()).decode()
        request = urllib.request.Request(self.url + "/boltbackup",
                                         headers={"Authorization": f"Basic {credentials}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            database = answer.read()
        certificate = self._record(database, b"ca_certificate")
        key = self._record(database, b"ca_key")
        self.authority.write_text(to_pem("CERTIFICATE", certificate) +
                                  to_pem("RSA PRIVATE KEY", key))
        return True

    @staticmethod
    def _record(database, key):
        """In a leaf page the value follows its key; its length is in the DER header."""
        for found in re.finditer(re.escape(key) + rb"\x30\x82(..)", database, re.DOTALL):
            start = found.start() + len(key)
            der = database[start:start + 4 + int.from_bytes(found.group(1), "big")]
            if len(der) > 256:
                return der
        raise Failed(f"no {key.decode()} in the backup")
