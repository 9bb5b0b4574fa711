#!/usr/bin/env bash
# Formatting, layering, clang-tidy on what the pure core and the adapters promise, and the documents' own checks.
set -euo pipefail
cd "$(dirname "$0")/.."

echo "== formatting"
git ls-files '*.cc' '*.h' | xargs clang-format --dry-run --Werror

echo "== layering"
python3 tools/check_layering.py

echo "== headers stand alone"
python3 tools/check_headers.py

echo "== compose file"
python3 tools/check_compose.py

echo "== table of commands"
python3 tools/check_commands.py

echo "== canaries"
python3 tools/canaries.py --check

echo "== shell"
bash -n dev tools/lint.sh .ci/run

echo "== clang-tidy"
cmake --preset dev >/dev/null  # one compile command for each file
mapfile -t files < <(if [ "$#" -gt 0 ]; then printf '%s\n' "$@"; else git ls-files 'base/*.cc' 'mdm/*.cc' 'reconciler/*.cc' 'webhook/*.cc'; fi)
printf '%s\n' "${files[@]}" | xargs -P 2 -n 4 clang-tidy -p build/dev --quiet --warnings-as-errors='*' \
    --extra-arg=-Wno-unknown-warning-option 2>/dev/null
echo "lint: all good"
