"""Child processes, free ports, waiting for conditions."""

import os
import pathlib
import random
import signal
import socket
import subprocess
import time

_given_ports = set()


class Failed(Exception):
    """A step did not come to its end; the text says why."""


def free_port():
    """A port of 127.0.0.1 that was free a moment ago, never the same one twice."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port not in _given_ports:
            _given_ports.add(port)
            return port


def stable_port():
    """A free port that no outgoing connection gets, so that it is still free after a restart."""
    lowest = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.SystemRandom().randrange(max(1024, lowest - 12_000), lowest)
        try:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        if port not in _given_ports:
            _given_ports.add(port)
            return port


def can_connect(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def clean_environment(**more):
    """Without DIRECTOR_*: `director serve` takes its settings from there."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("DIRECTOR_")}
    return {**kept, **more}


def tail(path, lines=15):
    try:
        with open(path, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 64 * 1024))
            text = file.read().decode("utf-8", "replace")
    except OSError as error:
        return str(error)
    return "\n".join(line[:400] for line in text.splitlines()[-lines:])


class Process:
    """One child with its output in a file; ends with its owner."""

    def __init__(self, name, arguments, log_path, **options):
        """`options` go to subprocess.Popen."""
        self.name = name
        self.log_path = log_path
        with open(log_path, "ab") as log:
            self._child = subprocess.Popen(
                [str(a) for a in arguments], stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, env=clean_environment(), **options)

    @property
    def pid(self):
        return self._child.pid

    def is_running(self):
        return self._child.poll() is None

    def exit_code(self):
        """None while it runs."""
        return self._child.poll()

    def wait(self, timeout):
        """Its exit code once it has ended, None when it has not within `timeout` seconds."""
        try:
            return self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, timeout=10):
        """Asks it to end, and makes it end after `timeout` seconds."""
        if self.is_running():
            self._child.send_signal(signal.SIGTERM)
            try:
                self._child.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self):
        if self.is_running():
            self._child.kill()
        self._child.wait(10)


class Processes:
    """Everything that one scenario started."""

    def __init__(self, folder):
        self._folder = folder
        self._started = []

    def start(self, name, arguments, **options):
        process = Process(name, arguments, self._folder / f"{name}.log", **options)
        self._started.append(process)
        return process

    def forget(self, process):
        """It was ended on purpose."""
        self._started.remove(process)

    def dead(self):
        return [p for p in self._started if not p.is_running()]

    def kill_all(self):
        for process in self._started:
            process.kill()
        self._started.clear()

    def log_paths(self):
        return sorted(self._folder.glob("*.log"))


def wait_until(what, check, timeout, processes=None, pause=0.25):
    """Calls `check` until it returns something true, and returns that.

    `check` may raise Failed to say "not yet, because"; the last such text is part of the message
    when the time is up. A dead child ends the wait at once.
    """
    give_up_at = time.monotonic() + timeout
    why = ""
    while True:
        try:
            found = check()
            if found:
                return found
        except Failed as not_yet:
            why = f": {not_yet}"
        for process in processes.dead() if processes else []:
            raise Failed(f"{process.name} ended while waiting for {what}\n{tail(process.log_path)}")
        if time.monotonic() > give_up_at:
            raise Failed(f"no {what} within {timeout} s{why}")
        time.sleep(pause)
