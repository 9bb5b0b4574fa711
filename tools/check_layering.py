#!/usr/bin/env python3
"""Keeps the arrows between folders true: who may include whom, and who may see which library.

The table is the one in docs/ARCHITECTURE.md. A new arrow is a design decision and needs an ADR.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

ARROWS = {
    "base": {"base"},
    "mdm": {"base", "mdm"},
    "reconciler": {"base", "mdm", "reconciler"},
    "signing": {"base", "signing"},
    "webhook": {"base", "mdm", "signing", "webhook"},
    "store": {"base", "mdm", "reconciler", "store"},
    "upstream": {"base", "mdm", "upstream"},
    "simulator": {"base", "mdm", "signing", "upstream", "simulator"},
    "director": {"base", "mdm", "reconciler", "signing", "webhook", "store", "upstream", "simulator", "director"},
    "bench": {"base", "mdm", "reconciler", "signing", "webhook", "store", "upstream", "simulator", "director", "bench", "tests"},
}

# Which folders may include a library's headers, and whether only in .cc files.
LIBRARIES = {
    r"fmt/": (set(ARROWS), False),
    r"tl/expected": ({"base"}, False),
    r"spdlog/": ({"base"}, True),
    r"openssl/": ({"base", "signing"}, False),
    r"plist/": ({"mdm"}, True),
    r"nlohmann/": ({"store", "upstream", "simulator", "director"}, False),
    r"simdjson\.h": ({"webhook", "store"}, True),
    r"httplib\.h": ({"upstream", "simulator", "director"}, True),
    r"sqlite3\.h": ({"store", "bench"}, False),
    r"pqxx/|libpq-fe\.h": ({"store", "bench"}, False),
    r"CLI/": ({"director", "bench"}, True),
    r"yaml-cpp/": ({"director"}, True),
    r"prometheus/": ({"director"}, True),
}
# Headers that show a library to the .cc files of their own folder only.
INTERNAL_HEADERS = {
    "director/json_body.h", "director/api_support.h", "director/api_client.h", "director/cli_output.h", "director/mdmdirector_support.h",
    "signing/openssl_ptr.h", "store/sqlite_db.h", "store/sqlite_row.h", "store/postgres_db.h", "store/postgres_connect.h",
}

# The pure core: no clock, randomness, threads, environment, files or unordered containers.
PURE_FOLDERS = ("mdm", "reconciler")
IMPURE = re.compile(
    r"<(thread|mutex|future|atomic|random|iostream|fstream|filesystem|unordered_map|unordered_set)>"
    r"|system_clock::now|steady_clock|getenv|\bstd::rand\b")

INCLUDE = re.compile(r'^\s*#include\s+[<"]([^">]+)[">]')


def problems_in(path):
    name = path.relative_to(ROOT).as_posix()
    folder = name.split("/")[0]
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if folder in PURE_FOLDERS and IMPURE.search(line) and not line.lstrip().startswith("//"):
            yield f"{name}:{number}: not pure: {line.strip()}"
        match = INCLUDE.match(line)
        if not match:
            continue
        included = match.group(1)
        target = included.split("/")[0]
        if target in ARROWS and "/" in included and target not in ARROWS[folder]:
            yield f"{name}:{number}: {folder} may not include {target}"
        if included in INTERNAL_HEADERS and included.split("/")[0] != folder:
            yield f"{name}:{number}: {included} is internal to its folder"
        for pattern, (folders, only_cc) in LIBRARIES.items():
            if not re.match(pattern, included):
                continue
            if folder not in folders:
                yield f"{name}:{number}: {folder} may not use {included}"
            if path.suffix == ".h" and name not in INTERNAL_HEADERS and (only_cc or pattern not in ("fmt/", "tl/expected")):
                yield f"{name}:{number}: a header may not show {included}"


def main():
    found = []
    for folder in ARROWS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".h", ".cc"):
                found.extend(problems_in(path))
    for problem in found:
        print(problem)
    print(f"layering: {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
