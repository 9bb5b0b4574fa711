#!/usr/bin/env python3
"""Compiles every header alone, so that none leans on what its includer happened to include before."""
import concurrent.futures
import pathlib
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ("base", "mdm", "reconciler", "signing", "webhook", "store", "upstream", "simulator", "director")


def flags():
    output = subprocess.run(["pkg-config", "--cflags", "libplist-2.0", "cpp-httplib"], check=True,
                            capture_output=True, text=True).stdout
    return shlex.split(output)


def check(header, extra):
    command = ["g++", "-std=c++20", "-fsyntax-only", "-x", "c++", f"-I{ROOT}", *extra, "-include", str(header), "/dev/null"]
    result = subprocess.run(command, capture_output=True, text=True)
    return header, result.returncode, result.stderr


def main():
    headers = [p for folder in FOLDERS for p in sorted((ROOT / folder).glob("*.h"))]
    extra = flags()
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for header, code, errors in pool.map(lambda h: check(h, extra), headers):
            if code:
                failed += 1
                print(f"{header.relative_to(ROOT)} does not stand alone:\n{errors}")
    print(f"headers: {len(headers)} checked, {failed} do not stand alone")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
