"""The benchmark: `make bench`, or `python bench/run.py [--rounds N] [--seconds S]`.

Pilotlight's function for Google Cloud beside the tutorials' function and FastAPI on uvicorn. See bench/README.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from pathlib import Path

from contestants import google
from pilotlight_cli import console
from race import RaceError, race
from report import table, write_results

CONDITIONS = """\
Medians of {rounds} rounds on {cpus} CPUs; in brackets the middle half of the rounds. Ratio: to the first line, within a
round. First answer: from the start of the process to the first 200; files are cached, the model comes over TLS from a
store on loopback. Asked: requests of a start to the store and to the metadata server. Stop: from SIGTERM on, once."""
RESULTS = Path(__file__).parent / "results"


def main(arguments: list[str], results: Path = RESULTS) -> None:
    """Run it, print the table, write the results."""
    parser = argparse.ArgumentParser(prog="bench/run.py", description="Compare Pilotlight with the usual alternatives.")
    parser.add_argument("--rounds", type=int, default=12, help="rounds that count (default: 12)")
    parser.add_argument("--seconds", type=float, default=2.0, help="load on each server in each round (default: 2)")
    given = parser.parse_args(arguments)
    if given.rounds < 1:
        parser.error("--rounds takes 1 or more")
    try:
        with google() as field:
            found = race(field, rounds=given.rounds, seconds=given.seconds)
    except RaceError as error:
        sys.exit(f"no result: {error}")
    except KeyboardInterrupt:
        sys.exit("Stopped; nothing was written.")
    machine = _machine()
    console.output().print(f"\n{CONDITIONS.format(rounds=given.rounds, cpus=machine['cpus'])}\n", soft_wrap=True)
    console.output().print(table(field, found))
    file = write_results(results / "gcp.json", field, found, machine)
    console.output().print(f"\nAll rounds are in {file}.", soft_wrap=True)


def _machine() -> dict[str, object]:
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "architecture": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


if __name__ == "__main__":
    main(sys.argv[1:])
