"""A Mac as the webhook shows it: it enrolls, polls, answers what is queued, is wiped at times."""

import base64
import dataclasses
import datetime
import json
import plistlib
import time
import uuid

TOPIC = "com.apple.mgmt.External.11111111-0000-4000-8000-000000000001"
MARKER = "com.example.marker"
MARKER_UUID = "00000000-0000-4000-8000-{:012d}"
ENROLLMENT_PROFILE = {
    "PayloadIdentifier": "com.example.enrollment",
    "PayloadUUID": "33333333-0000-4000-8000-000000000003",
    "PayloadContent": [{"PayloadType": "com.apple.mdm"}],
}


@dataclasses.dataclass
class Event:
    """One webhook. `name` and `report` count up per device, so that newer ones can be told."""

    body: bytes
    kind: str  # Authenticate, TokenUpdate, Idle, Answer
    enrollment_id: str
    command_uuid: str = ""
    name: int = 0
    report: int = 0


class Device:
    """Used by one thread at a time. What it does not get through to Director is lost, as NanoMDM's
    webhooks are."""

    def __init__(self, mdm, index):
        self.udid = f"AAAAAAAA-0000-4000-8000-{index:012X}"
        self.installed = {}  # PayloadIdentifier -> PayloadUUID
        self._mdm = mdm
        self._serial = f"C02CRASH{index:04d}"
        self._names = 0
        self._reports = 0
        self._last_ms = 0

    def authenticate(self):
        """The device was wiped and enrolls."""
        self.installed.clear()
        self._mdm.clear(self.udid)
        self._names += 1
        event = self._checkin("Authenticate", {
            "SerialNumber": self._serial, "OSVersion": "15.1", "BuildVersion": "24B83",
            "ProductName": "Mac15,3", "DeviceName": str(self._names)})
        event.name = self._names
        return event

    def token_update(self):
        return self._checkin("TokenUpdate", {"PushMagic": "magic", "Token": b"token"})

    def idle(self):
        return self._result("Idle", "Idle", "", {})

    def list_profiles(self, command_uuid=""):
        """The answer to a ProfileList, by default to one that Director knows nothing of."""
        self._reports += 1
        marker = {"PayloadIdentifier": MARKER, "PayloadUUID": MARKER_UUID.format(self._reports)}
        profiles = [{"PayloadIdentifier": i, "PayloadUUID": u} for i, u in self.installed.items()]
        event = self._result("Answer", "Acknowledged", command_uuid or str(uuid.uuid4()).upper(),
                             {"ProfileList": [ENROLLMENT_PROFILE, marker, *profiles]})
        event.report = self._reports
        return event

    def answer_next(self):
        """Does the next command of the queue; None when there is none."""
        command = self._mdm.take(self.udid)
        if command is None:
            return None
        if command.request_type == "ProfileList":
            return self.list_profiles(command.command_uuid)
        if command.request_type == "DeviceInformation":
            return self._tell_facts(command.command_uuid)
        if command.request_type == "InstallProfile":
            self.installed[command.payload_identifier] = command.payload_uuid
        if command.request_type == "RemoveProfile":
            self.installed.pop(command.payload_identifier, None)
        said = {"SecurityInfo": {"FDE_Enabled": True}, "CertificateList": [],
                "InstalledApplicationList": [], "ManagedApplicationList": {}}
        answer = {key: value for key, value in said.items() if key == command.request_type}
        return self._result("Answer", "Acknowledged", command.command_uuid, answer)

    def _tell_facts(self, command_uuid):
        self._names += 1
        event = self._result("Answer", "Acknowledged", command_uuid, {
            "QueryResponses": {"SerialNumber": self._serial, "DeviceName": str(self._names)}})
        event.name = self._names
        return event

    def _checkin(self, message_type, more):
        plist = {"MessageType": message_type, "UDID": self.udid, "Topic": TOPIC, **more}
        body = self._webhook(f"mdm.{message_type}", "checkin_event", plist, {})
        return Event(body, message_type, self.udid)

    def _result(self, kind, status, command_uuid, more):
        plist = {"UDID": self.udid, "Status": status, **more}
        if command_uuid:
            plist["CommandUUID"] = command_uuid
        body = self._webhook("mdm.Connect", "acknowledge_event", plist, {"status": status})
        return Event(body, kind, self.udid, command_uuid)

    def _webhook(self, topic, key, plist, more):
        payload = base64.b64encode(plistlib.dumps(plist)).decode()
        return json.dumps({
            "topic": topic, "event_id": uuid.uuid4().hex[:16], "created_at": self._next_time(),
            key: {"udid": self.udid, **more, "raw_payload": payload}}).encode()

    def _next_time(self):
        """Later than every time before, in the resolution that Director keeps."""
        self._last_ms = max(time.time_ns() // 1_000_000, self._last_ms + 1)
        at = datetime.datetime.fromtimestamp(self._last_ms / 1000, datetime.timezone.utc)
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
