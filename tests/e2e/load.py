"""Load on a Director under test: devices that speak and owners who change their minds."""

import dataclasses
import json
import plistlib
import random
import threading
import time

from accepted import Accepted
from fake_device import Device
from served import NO_ANSWER, Client

IDENTIFIERS = ("com.example.one", "com.example.two", "com.example.three")
FLEET_IDENTIFIER = "com.example.fleet"  # of `roll_out`; no thread assigns it
SENDING_SECONDS = 1  # what was decided before an Authenticate may still be sent
VISIT_ANSWERS_MAX = 2
WORK_WAIT_SECONDS = 0.2
TOKEN_UPDATE_EVERY = 20  # steps of a device in calm
NOT_STORED = 503  # Director says so itself: surely not stored


@dataclasses.dataclass
class Job:
    """One thread's part, with a random sequence of its own that goes on from round to round."""

    random: random.Random
    devices: list
    identifier: str = ""  # of the item that it assigns; empty: it speaks for devices
    revisions: int = 0


def make_mobileconfig(identifier, number):
    return plistlib.dumps({
        "PayloadType": "Configuration", "PayloadVersion": 1, "PayloadIdentifier": identifier,
        "PayloadUUID": "11111111-0000-4000-8000-000000000001",
        "PayloadDisplayName": f"{identifier} {number}",
        "PayloadContent": [{
            "PayloadType": "com.apple.screensaver", "PayloadVersion": 1,
            "PayloadIdentifier": identifier + ".payload", "idleTime": number,
            "PayloadUUID": "22222222-0000-4000-8000-000000000002"}]})


class Load:
    def __init__(self, served, mdm, seed, device_count, threads):
        self.accepted = Accepted()
        self.devices = [Device(mdm, index) for index in range(device_count)]
        # From its Authenticate until nothing decided before is on its way any more: the beginning and
        # the end of each, of time.monotonic().
        self.wiped = {device.udid: [] for device in self.devices}
        self.refusals = 0  # webhooks that were answered 503
        self._served = served
        self._mdm = mdm
        self._stop = threading.Event()
        self._threads = []
        self._jobs = [Job(random.Random(f"{seed} devices {n}"), self.devices[n::threads])
                      for n in range(threads)]
        self._fleet_job = Job(random.Random(f"{seed} fleet"), self.devices, FLEET_IDENTIFIER)
        self._jobs += [Job(random.Random(f"{seed} {identifier}"), self.devices, identifier)
                       for identifier in IDENTIFIERS]

    def start(self):
        """Devices enroll, are wiped, poll and answer; profiles are uploaded and assigned."""
        self._run([(self._assign if job.identifier else self._speak, job) for job in self._jobs])

    def start_calm(self):
        """Devices poll and answer; nobody is wiped, nothing is assigned."""
        self._run([(self._speak_calmly, job) for job in self._jobs if not job.identifier])

    def join(self):
        """Ends every thread and waits for them."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def roll_out(self, client):
        """A new profile for all devices, beside whatever runs; returns its PayloadUUID, or None when
        Director did not take it."""
        payload_uuid = self._upload(client, self._fleet_job)
        if payload_uuid is None:
            return None
        is_taken = self._put(client, FLEET_IDENTIFIER, None, "present", payload_uuid)
        return payload_uuid if is_taken else None

    def upload(self, client):
        """A profile that is not assigned. True when it was accepted."""
        return self._upload(client, self._fleet_job) is not None

    def visit(self, client, device):
        """A device of the caller's own speaks. True when Director took all that it said."""
        if not self.accepted.devices[device.udid].is_known:
            return self._enroll(client, device)
        is_taken = self._post(client, device.idle())
        for _ in range(VISIT_ANSWERS_MAX):  # owners who never rest always have more for it
            event = device.answer_next() if is_taken else None
            if event is None:
                break
            is_taken = self._post(client, event)
        return is_taken

    def _run(self, parts):
        self._stop.clear()
        self._threads = [threading.Thread(target=self._until_cut, args=part) for part in parts]
        for thread in self._threads:
            thread.start()

    def _until_cut(self, step, job):
        try:
            with Client(self._served) as client:
                while not self._stop.is_set():
                    step(client, job)
        except NO_ANSWER:
            """Director was killed: whether it stored the last request is open."""

    # --- devices ---------------------------------------------------------------------------------

    def _post(self, client, event):
        """True when it was accepted."""
        self.accepted.will_send(event)
        status = client.post_webhook(event.body)
        if status == 200:
            self.accepted.was_accepted(event)
        elif status == NOT_STORED:
            self.refusals += 1
        else:
            self.accepted.problem(f"a webhook was answered {status}")
        return status == 200

    def _enroll(self, client, device):
        begin = time.monotonic()
        try:
            is_taken = self._post(client, device.authenticate())
            return self._post(client, device.token_update()) and is_taken
        finally:
            span = (begin, time.monotonic() + SENDING_SECONDS)
            self.wiped.setdefault(device.udid, []).append(span)

    def _speak(self, client, job):
        device = job.random.choice(job.devices)
        dice = job.random.random()
        if not self.accepted.devices[device.udid].is_known or dice < 0.01:
            return self._enroll(client, device)
        if dice < 0.05:
            return self._post(client, device.token_update())
        if dice < 0.15:
            return self._post(client, device.list_profiles())
        return self._poll(client, device)

    def _poll(self, client, device):
        """As a real one: it asks, and answers until there is nothing more."""
        self._post(client, device.idle())
        answered = 0
        while not self._stop.is_set() and (event := device.answer_next()) is not None:
            self._post(client, event)
            answered += 1
        return answered

    def _speak_calmly(self, client, job):
        job.revisions += 1
        if job.revisions % TOKEN_UPDATE_EVERY == 0:
            for device in job.devices:
                self._post(client, device.token_update())
        if sum(self._poll(client, device) for device in job.devices) == 0:
            self._mdm.wait_for_command([d.udid for d in job.devices], WORK_WAIT_SECONDS)

    # --- owners ----------------------------------------------------------------------------------

    def _assign(self, client, job):
        payload_uuid = self._upload(client, job)
        if payload_uuid is None:
            return
        dice = job.random.random()
        if dice < 0.1:
            return self._put(client, job.identifier, None, "present", payload_uuid)
        device = job.random.choice(job.devices)
        if dice < 0.6:
            return self._put(client, job.identifier, device, "present", payload_uuid)
        if dice < 0.7:
            return self._put(client, job.identifier, device, "absent", "")
        return None

    def _upload(self, client, job):
        """A content that was never there before; returns its PayloadUUID."""
        job.revisions += 1
        status, answer = client.call("POST", "/profiles",
                                     make_mobileconfig(job.identifier, job.revisions),
                                     "application/x-apple-aspen-config")
        if status not in (200, 201):
            if status != NOT_STORED:
                self.accepted.problem(f"an upload was answered {status}: {answer}")
            return None
        payload_uuid = json.loads(answer)["profiles"][0]["payload_uuid"]
        self.accepted.revisions[payload_uuid] = job.identifier
        self.accepted.count_write()
        return payload_uuid

    def _put(self, client, identifier, device, presence, payload_uuid):
        """Assigns to one device, or to all of them when `device` is None. True when it was accepted."""
        body = {"payload_identifier": identifier, "presence": presence}
        body.update({"devices": [device.udid]} if device else {"target": "all"})
        if payload_uuid:
            body["payload_uuid"] = payload_uuid
        key, value = (identifier, device.udid if device else ""), (presence, payload_uuid)
        self.accepted.will_assign(key, value)
        status, answer = client.call("POST", "/assignments", json.dumps(body))
        if status == 200:
            self.accepted.was_assigned(key, value)
        elif status != NOT_STORED:
            self.accepted.problem(f"an assignment was answered {status}: {answer}")
        return status == 200
