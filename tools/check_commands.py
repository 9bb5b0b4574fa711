#!/usr/bin/env python3
"""Checks the table of commands in docs/testing.md: every request type has a row, every test is there."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROW = re.compile(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", re.MULTILINE)
TEST = re.compile(r"`(\w+_test)`: (.+?)(?=; `\w+_test`: |$)")


def request_types():
    header = (ROOT / "mdm/command.h").read_text(encoding="utf-8")
    table = header[header.index("namespace request_type {"):]
    return re.findall(r'string_view k\w+ = "(\w+)"', table[:table.index("}  // namespace")])


def rows():
    text = (ROOT / "docs/testing.md").read_text(encoding="utf-8")
    section = text[text.index("## Every command"):]
    return dict(ROW.findall(section[:section.index("\n## ", 1)]))


def test_names(name):
    """Of tests/LEVEL/NAME.cc; empty when there is no such file."""
    names = set()
    for path in (ROOT / "tests").glob(f"*/{name}.cc"):
        names |= set(re.findall(r'TEST_CASE\(\s*"([^"]+)"', path.read_text(encoding="utf-8")))
    return names


def problems():
    found = rows()
    for missing in sorted(set(request_types()) - set(found)):
        yield f"{missing} has no row"
    for unknown in sorted(set(found) - set(request_types())):
        yield f"{unknown} is no command of mdm/command.h"
    for command, cell in found.items():
        tests = TEST.findall(cell)
        if not tests:
            yield f"{command}: no test is named"
        for file, name in tests:
            if name not in test_names(file):
                yield f"{command}: {file} has no test `{name}`"


def main():
    found = list(problems())
    for problem in found:
        print(f"docs/testing.md, Every command: {problem}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
