"""The command line of tests that do the same again and again from one seed."""

import argparse
import pathlib
import secrets
import sys
import tempfile

from processes import Failed


def main(description, default_rounds, make_scenario):
    """`make_scenario(binary, folder, seed)` gives what has `run(count)` and `summary()`. Prints the
    seed first, and at a failure the command that repeats it."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("director", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=default_rounds)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="director-e2e-") as folder:
        scenario = make_scenario(arguments.director.absolute(), pathlib.Path(folder), arguments.seed)
        try:
            scenario.run(arguments.rounds)
        except Failed as failure:
            sys.exit(f"FAILED: {failure}\nrepeat: python3 {sys.argv[0]} {arguments.director} "
                     f"--rounds {arguments.rounds} --seed {arguments.seed}")
    print(scenario.summary())
