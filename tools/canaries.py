#!/usr/bin/env python3
"""Plants one bug after the other and shows that the simulator catches each.

usage: canaries.py [--worlds N] [--check] [NAME...]

Each tests/canaries/NAME.patch is a bug with a header: `Bug:` a sentence, `Caught by:` the rules of
which one must report it. The bugs are planted into a copy of the tracked sources under
build/canaries, so that the working tree stays as it is. --check only says whether every patch still
applies. Exit code 1 when a patch does not apply or a bug is not caught.
"""

import argparse
import itertools
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PATCHES = ROOT / "tests" / "canaries"
SOURCE = ROOT / "build" / "canaries" / "source"
BUILD = ROOT / "build" / "canaries" / "build"


def run(*command, cwd=None, check=True):
    done = subprocess.run(command, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if check and done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout[-4000:]}")
    return done


def header(patch, key):
    found = re.search(rf"^{key}: (.+)$", patch.read_text(), re.MULTILINE)
    if not found:
        sys.exit(f"{patch.name}: no line '{key}: ...'")
    return found[1]


def applies(patch):
    return run("git", "apply", "--check", patch, cwd=ROOT, check=False).returncode == 0


def copy_sources():
    """Copies what changed, with its times, so that the next build is a short one."""
    tracked = run("git", "ls-files", cwd=ROOT).stdout.splitlines()
    for name in tracked:
        source, copy = ROOT / name, SOURCE / name
        if not source.is_file():
            continue
        if copy.is_file() and copy.read_bytes() == source.read_bytes():
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
    known = {SOURCE / name for name in tracked}
    for stale in [path for path in SOURCE.rglob("*") if path.is_file() and path not in known]:
        stale.unlink()


def build():
    run("cmake", "--preset", "release", "-B", BUILD, cwd=SOURCE)
    run("cmake", "--build", BUILD, "--target", "director_sim", "-j", "2")


def hunt(worlds):
    """The seed and the rule of the first violation; none when every world is as promised."""
    output = run(BUILD / "director_sim", "--swarm", str(worlds), "--first", check=False).stdout
    violation = re.search(r"VIOLATION (.+?) \S*: .*\nseed (\d+);", output)
    return (int(violation[2]), violation[1]) if violation else None


def try_canary(patch, worlds):
    rules = [rule.strip() for rule in header(patch, "Caught by").split(",")]
    run("git", "apply", patch, cwd=SOURCE)
    build()
    caught = hunt(worlds)
    run("git", "apply", "--reverse", patch, cwd=SOURCE)
    seed, rule = caught or ("none", f"nobody, in {worlds} worlds")
    print(f"| `{patch.stem}` | {header(patch, 'Bug')} | {seed} | {rule} |", flush=True)
    if caught and rule not in rules:
        print(f"{patch.name}: expected {', '.join(rules)}", file=sys.stderr)
    return rule in rules


def main():
    parser = argparse.ArgumentParser(description="Plants bugs and shows that the simulator catches them.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="canaries; all without any")
    parser.add_argument("--worlds", type=int, default=500, help="how many small worlds to try")
    parser.add_argument("--check", action="store_true", help="only say whether every patch applies")
    options = parser.parse_args()
    patches = [PATCHES / f"{name}.patch" for name in options.names] or sorted(PATCHES.glob("*.patch"))
    broken = [patch.name for patch in patches if not patch.is_file() or not applies(patch)]
    if broken:
        sys.exit("does not apply: " + ", ".join(broken))
    if options.check:
        for patch, key in itertools.product(patches, ("Bug", "Caught by")):
            header(patch, key)
        print(f"canaries: {len(patches)} patches apply")
        return 0
    SOURCE.mkdir(parents=True, exist_ok=True)
    # Or git would take the copy for a folder of the project's own tree.
    os.environ["GIT_CEILING_DIRECTORIES"] = str(SOURCE.parent)
    copy_sources()
    print("| canary | bug | seed | caught by |\n| --- | --- | --- | --- |", flush=True)
    caught = [try_canary(patch, options.worlds) for patch in patches]
    print(f"{sum(caught)} of {len(caught)} caught")
    return 0 if all(caught) else 1


if __name__ == "__main__":
    sys.exit(main())
