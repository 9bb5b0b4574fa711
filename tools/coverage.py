#!/usr/bin/env python3
"""Prints line coverage by file from a build with the coverage preset, least covered first. Needs gcov."""
import collections
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def main():
    build = (ROOT / sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT / "build/coverage"
    lines = collections.defaultdict(lambda: collections.defaultdict(int))
    with tempfile.TemporaryDirectory() as scratch:
        for data in build.rglob("*.gcda"):
            subprocess.run(["gcov", "--json-format", str(data)], cwd=scratch, check=True, capture_output=True)
            for report in pathlib.Path(scratch).glob("*.gcov.json.gz"):
                for entry in json.loads(gzip.open(report).read())["files"]:
                    path = pathlib.Path(entry["file"])
                    if not path.is_absolute() or not path.is_relative_to(ROOT) or path.is_relative_to(build):
                        continue
                    for line in entry["lines"]:
                        lines[path.relative_to(ROOT).as_posix()][line["line_number"]] += line["count"]
                report.unlink()
    rows = []
    for name, counts in lines.items():
        if name.startswith(("tests/", "bench/")):
            continue
        hit = sum(1 for count in counts.values() if count)
        rows.append((hit / len(counts), hit, len(counts), name))
    for share, hit, total, name in sorted(rows):
        print(f"{share * 100:6.1f} %  {hit:5} / {total:5}  {name}")
    hit, total = sum(r[1] for r in rows), sum(r[2] for r in rows)
    print(f"{100 * hit / max(total, 1):6.1f} %  {hit:5} / {total:5}  all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
