"""What one MDM server, Director and a fleet of simulated devices go through together."""

import collections
import datetime
import json
import os
import pathlib
import plistlib
import re
import shutil
import subprocess
import time
import urllib.parse

import day
from fake_escrow import FakeEscrow
from processes import Failed, Processes, clean_environment, free_port, tail, wait_until
from service import Director

PROJECT = pathlib.Path(__file__).resolve().parents[2]
REMOVED = "com.example.screensaver"
REVISED = "com.example.passcode"
USER_PROFILE = "com.example.e2e.user"
POLL_INTERVAL = "2s"
FLEET_SEED = 7
USER_CHANNEL_SHARE = 0.2

CONVERGE_SECONDS = 240
APP_SECONDS = 300  # Director looks two minutes after the answer
CRASHES = 3
# Once before the crash that lost track of it, and again after a report did not show it.
SENDS_MAX = 3
SENDING_TIME_MAX = datetime.timedelta(seconds=5)
REPAIRS_WANTED = 10
EXPLAINED_MAX = 5


class Scenario:
    IDENTITY = "identity:MDM"  # Director's item for the identity of a device

    def __init__(self, server_class, mdm_binary, director_binary, device_count, folder):
        self.name = server_class.kind
        self.folder = folder
        self.device_count = device_count
        self.results = []
        self.processes = Processes(folder)
        port = free_port()
        self.director = Director(director_binary, folder, self.processes, port)
        self.mdm = server_class(mdm_binary, folder, self.processes, port)
        self.escrow = FakeEscrow()
        self._fleet = None
        self._fleets = 0
        # (channel, PayloadIdentifier) to PayloadUUID, or None where it shall be absent.
        self._wanted = {("device", self.IDENTITY): None}
        self._edition = 0
        self._os_update_file = folder / "os-update"
        self.repaired_queues = 0

    def run(self):
        """Runs every step until one fails. Returns whether all passed."""
        steps = [
            ("start", self.start_mdm_server),
            # Director would send commands of its own to the devices of this step.
            ("contract", self.check_contract),
            ("roll-out", self.roll_out),
            ("new revision", self.revise_one),
            ("removal", self.remove_one),
            ("kill -9 in a roll-out", self.crash),
            ("MDM server away", self.lose_mdm_server),
            ("users delete profiles", self.drift),
            ("devices enroll again", self.enroll_again),
            ("OS update", lambda: day.update_os(self, REVISED)),
            ("identities renewed", lambda: day.renew(self)),
            ("lock and erase", self.lock_and_erase),
            ("an app", self.install_app),
        ]
        passed = True
        try:
            for name, step in steps:
                passed = passed and self._run_step(name, step)
        finally:
            self.processes.kill_all()
            self.escrow.close()
        return passed

    def _run_step(self, name, step):
        began = time.monotonic()
        print(f"{self.name}: {name} ...", flush=True)
        try:
            note = step() or ""
            outcome = "skipped" if note.startswith("skipped") else "passed"
        except (Failed, subprocess.SubprocessError, OSError) as error:
            outcome, note = "FAILED", str(error).splitlines()[0]
            print(f"\n{self.name}: {name} FAILED: {error}\n", flush=True)
            self.explain()
        seconds = time.monotonic() - began
        self.results.append((self.name, name, outcome, seconds, note))
        print(f"{self.name}: {name}: {outcome} after {seconds:.1f} s {note}", flush=True)
        return outcome != "FAILED"

    # --- steps -----------------------------------------------------------------------------------

    def start_mdm_server(self):
        self.mdm.prepare(self.director.binary)

    def check_contract(self):
        suite = self.director.binary.parent / "contract_upstream"
        if not suite.exists():
            return f"skipped: {suite.name} is not built"
        prefix = "DIRECTOR_" + self.mdm.kind.upper()
        environment = clean_environment(**{prefix + "_URL": self.mdm.url,
                                           prefix + "_KEY": self.mdm.api_key,
                                           prefix + "_AUTHORITY": str(self.mdm.authority)})
        done = subprocess.run([suite], env=environment, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise Failed("the contract is broken\n" + done.stdout[-6000:] + done.stderr[-2000:])
        return done.stdout.strip().splitlines()[-1]

    def roll_out(self):
        self.director.configure({**self.mdm.settings(), "escrow_url": self.escrow.url,
                                 "reinstall_after_update": REVISED, **self._identity_settings()})
        self.director.start()
        self.start_fleet()
        examples = sorted((PROJECT / "examples").glob("*.mobileconfig"))
        self._put_and_assign(examples, "device")
        self._put_and_assign([self._user_profile()], "user")
        return self.converge()

    def _identity_settings(self):
        """The fleet's identities live for a year: nothing is renewed for now."""
        profile = self.folder / "enrollment.mobileconfig"
        subprocess.run([self.director.binary, "simulate", "--make-enrollment-profile", profile],
                       check=True, env=clean_environment(), timeout=60)
        return {"enrollment_profile_file": str(profile), "identity_issuers": "CN=Simulator CA",
                "identity_renew_before": "10d", "renewals_per_hour_max": "0"}

    def revise_one(self):
        self._put_and_assign([self._edited(REVISED)], "device")
        return self.converge()

    def remove_one(self):
        self.director.cli_json("profiles", "assign", REMOVED, "--all", "--absent")
        self._wanted[("device", REMOVED)] = None
        return self.converge()

    def crash(self):
        """New revisions one after the other; each time Director dies while it sends them."""
        before = self.director.last_event_id()
        present = [identifier for (channel, identifier), revision in self._wanted.items()
                   if channel == "device" and revision]
        for identifier in present[:CRASHES]:
            self._put_and_assign([self._edited(identifier)], "device")
            wait_until(f"command for {identifier}",
                       lambda sent=identifier: sent in [s[1] for s in self.sends(before)], 60,
                       self.processes, pause=0.005)
            self.director.kill()
            self.director.start()
        if self._unfinished() is None:
            raise Failed("everything had arrived before the crashes; nothing was tested")
        note = self.converge()
        sends = collections.Counter(self.sends(before))
        (device, identifier), most = sends.most_common(1)[0]
        if most > SENDS_MAX:
            raise Failed(f"{identifier} was sent {most} times to {device}, more than {SENDS_MAX}")
        return f"{note}; {sum(sends.values())} commands for {len(sends)} items, at most {most} each"

    def lose_mdm_server(self):
        self.mdm.stop()
        self._put_and_assign([self._edited(REVISED)], "device")
        problem = wait_until("word that the MDM server is away", self._mdm_problem, 60,
                             self.processes, pause=0.1)
        self.mdm.start()
        self.converge()
        if self._mdm_problem():
            raise Failed(f"the MDM server is back and status still says: {self._mdm_problem()}")
        return f"status said: {problem}"

    def drift(self):
        """The same devices come back empty, and some have users who delete profiles."""
        before = self.director.last_event_id()
        share = 0.3 if self.device_count >= 20 else 1
        self.start_fleet("--deleting-share", share, "--delete-every", "12s")
        repaired = wait_until("repairs of deleted profiles",
                              lambda: self._repaired_since(before, REPAIRS_WANTED),
                              CONVERGE_SECONDS, self.processes, pause=1)
        return f"{repaired} deletions seen and repaired"

    def enroll_again(self):
        """Half of the devices are held in Setup Assistant; none may stay there."""
        before = self.director.last_event_id()
        self.start_fleet("--setup-share", 0.5)
        converged = self.converge()
        let_go = wait_until("devices that leave Setup Assistant", lambda: self._let_go_since(before),
                            CONVERGE_SECONDS, self.processes, pause=1)
        return f"{converged}; {let_go} left Setup Assistant"

    def lock_and_erase(self):
        """One Mac is locked, another erased and back, each by one command with the escrowed PIN."""
        macs = [d for d in self.director.cli_json("devices")
                if not d["user_id"] and d["product_name"].startswith("Mac")]
        if len(macs) < 2:
            return "skipped: there are no two Macs"
        before = self.director.last_event_id()
        proposals = []
        for device, command in zip(macs, ("DeviceLock", "EraseDevice")):
            proposals += self.director.cli_json("propose", device["enrollment_id"], command,
                                                "--reason", "end-to-end test")
        wait_until("lock and erase", lambda: not self.director.cli_json("proposals"), 120,
                   self.processes)
        for device, proposal in zip(macs, proposals):
            self._check_proposal(device, proposal["proposal_id"])
        wait_until("the erased Mac", lambda: self._epoch_of(macs[1]) == macs[1]["epoch"] + 1, 60,
                   self.processes)
        note = self.converge()
        for command in ("DeviceLock", "EraseDevice"):
            sent = [e for e in self.director.events_after(before)
                    if e["text"].startswith(command + ": ")]
            if len(sent) != 1:
                raise Failed(f"{command} was sent {len(sent)} times")
        return f"one command each; {note}"

    def install_app(self):
        """A Mac is told once to install a package, and its own list shows it some minutes later."""
        macs = [d for d in self.director.cli_json("devices")
                if not d["user_id"] and d["product_name"].startswith("Mac")]
        if len(macs) < 2:
            return "skipped: the only Mac is locked"
        mac = macs[-1]  # the first one was locked and waits for its PIN
        before = self.director.last_event_id()
        path = self.folder / "agent.plist"
        path.write_bytes(plistlib.dumps({"items": [{
            "assets": [{"kind": "software-package", "url": "https://repo.example/agent.pkg"}],
            "metadata": {"bundle-identifier": "com.example.agent", "bundle-version": "1.4",
                         "kind": "software", "title": "Agent"}}]}))
        app = self.director.cli_json("apps", "put", "--manifest", path, "--identifier",
                                     "com.example.agent", "--app-version", "1.4")[0]["payload_identifier"]
        self.director.cli_json("apps", "assign", app, "--device", mac["serial_number"])
        wait_until("the app", lambda: self._has_app(mac, app), APP_SECONDS, self.processes,
                   pause=1)
        sent = [event["text"] for event in self.director.events_after(before)
                if event["text"].startswith("InstallEnterpriseApplication ")]
        if len(sent) != 1:
            raise Failed(f"{app} was sent {len(sent)} times")
        return f"{app} by one command"

    def _has_app(self, device, app):
        items = {item["payload_identifier"]: item
                 for item in self.director.device(device["enrollment_id"])["items"]}
        if app not in items or items[app]["state"] != "verified":
            raise Failed(f"{app}: {items.get(app, {}).get('reason', 'no item')}")
        return True

    def _check_proposal(self, device, proposal_id):
        proposal = self.director.get(f"/proposals/{proposal_id}")
        if proposal["state"] != "done":
            raise Failed(f"{proposal['request_type']}: {proposal['explanation']}")
        pin = self.director.cli("secret", proposal_id).strip()
        escrowed = self.escrow.pins_of(device["serial_number"])
        if escrowed != [pin]:
            raise Failed(f"{proposal['request_type']}: {len(escrowed)} PINs are in escrow, not this one")

    def _epoch_of(self, device):
        return self.director.device(device["enrollment_id"])["epoch"]

    # --- fleet and profiles ----------------------------------------------------------------------

    def start_fleet(self, *behaviour):
        """The same devices each time: a new start of them is a new enrollment, without profiles."""
        if self._fleet:
            self.processes.forget(self._fleet)
            self._fleet.stop()
        self._fleets += 1
        self._os_update_file.unlink(missing_ok=True)  # each begins with its first OS
        self._fleet = self.processes.start(
            f"fleet-{self._fleets}",
            [self.director.binary, "simulate", "--mdm-url", self.mdm.url, "--protocol",
             self.mdm.protocol, "--authority", self.mdm.authority, "--devices", self.device_count,
             "--seed", FLEET_SEED, "--poll-interval", POLL_INTERVAL, "--user-channel-share",
             USER_CHANNEL_SHARE, "--identity-lifetime", "365d", "--os-update-file",
             self._os_update_file, *behaviour])

    def set_os(self, version, build):
        """What all devices run from now on."""
        whole = self._os_update_file.with_suffix(".new")
        whole.write_text(f"{version} {build}\n")
        whole.rename(self._os_update_file)

    def new_fleet_report(self):
        """The devices' own counts, of after this call."""
        earlier = self._fleet_reports()
        return wait_until("report of the fleet", lambda: self._fleet_report_after(earlier), 60,
                          self.processes)

    def _fleet_report_after(self, earlier):
        reports = self._fleet_reports()
        return reports[-1] if len(reports) > len(earlier) else None

    def _fleet_reports(self):
        lines = self._fleet.log_path.read_text().splitlines()
        return [{name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", line)}
                for line in lines if line.startswith("sessions=")]

    def _put_and_assign(self, files, channel):
        for row in self.director.cli_json("profiles", "put", *files):
            identifier = row["payload_identifier"]
            self.director.cli_json("profiles", "assign", identifier, "--all", "--channel", channel)
            self._wanted[(channel, identifier)] = row["payload_uuid"]

    def _edited(self, identifier):
        """An example with another description: a new revision."""
        name = identifier.rsplit(".", 1)[1] + ".mobileconfig"
        text = (PROJECT / "examples" / name).read_text()
        self._edition += 1
        edited, count = re.subn(r"(<key>PayloadDescription</key>\s*<string>)",
                                rf"\g<1>Edition {self._edition}. ", text, count=1)
        if count != 1:
            raise Failed(f"{name} has no PayloadDescription to edit")
        path = self.folder / name
        path.write_text(edited)
        return path

    def _user_profile(self):
        text = (PROJECT / "examples" / "screensaver.mobileconfig").read_text()
        path = self.folder / "user.mobileconfig"
        path.write_text(text.replace(REMOVED, USER_PROFILE).replace(
            "<string>System</string>", "<string>User</string>"))
        return path

    # --- what Director says ----------------------------------------------------------------------

    def converge(self):
        """Waits until Director, and then the devices themselves, have what is wanted."""
        began = time.monotonic()
        repaired = self.repaired_queues
        wait_until("convergence", self._is_converged, CONVERGE_SECONDS, self.processes)
        seconds = time.monotonic() - began
        repaired = self.repaired_queues - repaired
        wait_until("word of the devices themselves", self._fleet_agrees, 60, self.processes)
        note = f"; dead queues of {self.name} repaired: {repaired}" if repaired else ""
        return f"{self._channels()} channels converged in {seconds:.1f} s{note}"

    def _is_converged(self):
        unfinished = self._unfinished()
        if unfinished:
            raise Failed(unfinished)
        return True

    def _unfinished(self):
        """Why the fleet is not as wanted, or None."""
        self.repair_queues()
        status = self.director.cli_json("status")
        states = {state: n for state, n in status["item_states"].items() if n}
        if set(states) != {"verified"}:
            return f"items {json.dumps(states)}"
        devices = self.director.cli_json("devices")
        count = sum(1 for row in devices if not row["user_id"])
        if count != self.device_count:
            return f"{count} of {self.device_count} devices enrolled"
        # The counts may still be those of what was wanted before; each device tells.
        return next(filter(None, map(self._unfinished_device, devices)), None)

    def repair_queues(self):
        """Else no device with a dead queue would ever hear of anything."""
        for enrollment_id in self.mdm.repair_queues():
            self.repaired_queues += 1
            print(f"{self.name}: lost the queue of {enrollment_id}; repaired", flush=True)

    def _unfinished_device(self, row):
        device = self.director.device(row["enrollment_id"])
        if device["status"] != "enrolled":
            return f"{row['enrollment_id']} is {device['status']}"
        wanted = self._wanted_of(row)
        found = {item["payload_identifier"]: item for item in device["items"]}
        if set(found) != set(wanted):
            return f"{row['enrollment_id']} has the items {sorted(found)}"
        for identifier, revision in wanted.items():
            item = found[identifier]
            if item["state"] != "verified" or item["payload_uuid"] != revision:
                return f"{identifier} on {row['enrollment_id']} is {item['state']}"
        doubtful = list(filter(self._is_in_doubt, device["commands"]))
        if doubtful:
            return f"{row['enrollment_id']} has commands in doubt: {json.dumps(doubtful[0])}"
        return None

    @staticmethod
    def _is_in_doubt(command):
        """Of a thousand devices one is always just being sent a question."""
        just_now = datetime.datetime.now(datetime.timezone.utc) - SENDING_TIME_MAX
        is_being_sent = command["journaled_at"] > just_now.strftime("%Y-%m-%dT%H:%M:%SZ")
        return command["state"] == "unknown" or (
            command["state"] == "journaled" and not is_being_sent)

    def _wanted_of(self, row):
        channel = "user" if row["user_id"] else "device"
        return {identifier: revision for (of, identifier), revision in self._wanted.items()
                if of == channel}

    def _channels(self):
        return sum(self.director.cli_json("status")["enrollments"].values())

    def _fleet_agrees(self):
        """Devices count what is really installed; each has its enrollment profile besides."""
        expected = 0
        for row in self.director.cli_json("devices"):
            wanted = self._wanted_of(row)
            expected += sum(1 for revision in wanted.values() if revision)
            expected += 0 if row["user_id"] else 1
        reports = [report["profiles_installed"] for report in self._fleet_reports()]
        if not reports or reports[-1] != expected:
            raise Failed(f"{reports[-1] if reports else 'no'} profiles installed, not {expected}")
        return True

    def sends(self, after_event):
        """(enrollment id, item) of each command for an item since the event: `InstallProfile
        ITEM: REASON`."""
        commands = [(event["enrollment_id"], re.match(r"[A-Za-z]+ (\S+): ", event["text"]))
                    for event in self.director.events_after(after_event)
                    if event["kind"] == "command"]
        return [(enrollment_id, command.group(1)) for enrollment_id, command in commands if command]

    def _mdm_problem(self):
        server = self.director.cli_json("status")["mdm_servers"][0]
        return None if server["reachable"] else server["problem"] or "no reason"

    def _repaired_since(self, event_id, count):
        repaired = 0
        for event in self.director.events_after(event_id):
            if event["kind"] != "command" or "installed again" not in event["text"]:
                continue
            identifier = event["text"].split(":")[0].split()[1]
            item = self.director.get("/devices/{}/items/{}".format(
                urllib.parse.quote(event["enrollment_id"], safe=""), identifier))
            repaired += item["state"] == "verified" and item["verified_at"] > event["at"]
            if repaired >= count:
                return repaired
        raise Failed(f"{repaired} of {count} repaired")

    def _let_go_since(self, event_id):
        """Devices that have left Setup Assistant, once none is held there."""
        held = [d for d in self.director.cli_json("devices") if d["awaiting_since"] is not None]
        let_go = [e for e in self.director.events_after(event_id)
                  if e["text"] == "Let go from Setup Assistant."]
        if held or not let_go:
            raise Failed(f"{len(held)} are held in Setup Assistant, {len(let_go)} have left it")
        return len(let_go)

    # --- when something went wrong ---------------------------------------------------------------

    def explain(self):
        """Prints the stuck devices' own explanations and the ends of all logs."""
        try:
            self._explain_devices()
        except (Failed, subprocess.SubprocessError, OSError) as error:
            print(f"Director cannot be asked: {error}")
        for path in self.processes.log_paths():
            print(f"--- end of {path.name}\n{tail(path)}")

    def _explain_devices(self):
        print(self.director.cli("status"))
        explained = 0
        for row in self.director.cli_json("devices"):
            for item in self.director.device(row["enrollment_id"])["items"]:
                if item["state"] == "verified" or explained == EXPLAINED_MAX:
                    continue
                explained += 1
                print(self.director.cli("explain", row["enrollment_id"],
                                        item["payload_identifier"]))


def keep_logs(folder, target):
    """Copies the logs of a failed scenario to where the caller looks for them."""
    target.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.log"):
        shutil.copy(path, target / path.name)
    return os.fspath(target)
