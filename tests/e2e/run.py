#!/usr/bin/env python3
"""Runs the built Director beside real MDM servers and simulated devices.

Everything listens on loopback at free ports, keeps its files in a scratch folder, and ends with
this program. DIRECTOR_BINARY names another binary than build/release/director.
"""

import argparse
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import urllib.request

from mdm_servers import MicroMdm, NanoMdm
from scenario import PROJECT, Scenario, keep_logs


def parse_arguments():
    parser = argparse.ArgumentParser(prog="./dev e2e", description=__doc__.splitlines()[0])
    parser.add_argument("--nanomdm", metavar="PATH", type=pathlib.Path, help="NanoMDM's binary")
    parser.add_argument("--micromdm", metavar="PATH", type=pathlib.Path, help="MicroMDM's binary")
    parser.add_argument("--devices", metavar="N", type=int, default=100)
    parser.add_argument("--logs", metavar="FOLDER", type=pathlib.Path,
                        help="where the logs of a failed run are copied to")
    arguments = parser.parse_args()
    if arguments.devices < 1:
        parser.error("--devices must be at least 1")
    for option in ("nanomdm", "micromdm"):
        path = getattr(arguments, option)
        if path and shutil.which(path.absolute()) is None:
            parser.error(f"--{option}: {path} is no program")
    return arguments


def director_binary():
    binary = pathlib.Path(os.environ.get("DIRECTOR_BINARY") or
                          PROJECT / "build" / "release" / "director").absolute()
    if shutil.which(binary) is None:
        sys.exit(f"{binary} is not built; run ./dev build")
    return binary


def run_server(server_class, mdm_binary, arguments, results):
    with tempfile.TemporaryDirectory(prefix="director-e2e-") as name:
        folder = pathlib.Path(name)
        scenario = Scenario(server_class, mdm_binary.absolute(), director_binary(),
                            arguments.devices, folder)
        passed = scenario.run()
        results += scenario.results
        if not passed and arguments.logs:
            print("logs: " + keep_logs(folder, arguments.logs / server_class.kind))
        return passed


def print_table(results):
    print()
    width = max(len(step) for _, step, _, _, _ in results)
    for server, step, outcome, seconds, note in results:
        print(f"{server:<9} {step:<{width}} {outcome:<8} {seconds:6.1f} s  {note}")


def main():
    arguments = parse_arguments()
    # Ended from outside, this program still has to end its children.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    # What is on loopback is never behind a proxy.
    urllib.request.install_opener(
        urllib.request.build_opener(urllib.request.ProxyHandler({})))
    results = []
    passed = True
    for server_class in (NanoMdm, MicroMdm):
        mdm_binary = getattr(arguments, server_class.kind)
        if mdm_binary is None:
            print(f"{server_class.kind}: SKIPPED, give its binary with --{server_class.kind} PATH")
            continue
        passed = run_server(server_class, mdm_binary, arguments, results) and passed
    if results:
        print_table(results)
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
