"""The command line of tests that do the same again and again from one seed."""

import argparse
import pathlib
import secrets
import sys
import tempfile

from processes import Failed


def main(description, default_rounds, make_scenario, **numbers):
    """`make_scenario(binary, folder, seed)` gives what has `run(count)` and `summary()`. Prints the
    seed first, and at a failure the command that repeats it. `numbers` are further options with
    their defaults, which `make_scenario` gets by name."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("director", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=default_rounds)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    for name, default in numbers.items():
        parser.add_argument("--" + name.replace("_", "-"), type=float, default=default)
    arguments = parser.parse_args()
    numbers = {name: getattr(arguments, name) for name in numbers}
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="director-e2e-") as folder:
        scenario = make_scenario(arguments.director.absolute(), pathlib.Path(folder),
                                 arguments.seed, **numbers)
        try:
            scenario.run(arguments.rounds)
        except Failed as failure:
            more = "".join(f" --{name.replace('_', '-')} {value}" for name, value in numbers.items())
            sys.exit(f"FAILED: {failure}\nrepeat: python3 {sys.argv[0]} {arguments.director} "
                     f"--rounds {arguments.rounds} --seed {arguments.seed}{more}")
    print(scenario.summary())
