"""The benchmark: `make bench` or `python bench/run.py [--quick] [--only PART]`. See bench/README.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import packages
import parts
from plans import FULL, QUICK, Plan
from race import RaceError
from report import report
from results import FOLDER, machine, write

Part = Callable[[str, Plan], Mapping[str, Any]]

PARTS: Mapping[str, Part] = {
    "aws": parts.aws,
    "google": parts.google,
    "large": parts.large,
    "warm": parts.warm,
    "records": parts.records,
    "batch": parts.batch,
    "batching": parts.batching,
}


def main(arguments: list[str], results: Path = FOLDER) -> None:
    """Measure, write the results, and make the report of all results that are there."""
    parser = argparse.ArgumentParser(prog="bench/run.py", description="Compare Pilotlight with the usual alternatives.")
    parser.add_argument("--quick", action="store_true", help="few rounds, about a minute")
    parser.add_argument("--only", choices=PARTS, action="append", help="measure this part alone; may be given again")
    given = parser.parse_args(arguments)
    plan = QUICK if given.quick else FULL
    python = packages.functions_python()
    on = machine(python)
    if not given.only:
        for file in results.glob("*.json"):
            file.unlink()  # a report is made of one run
    try:
        for name in given.only or PARTS:
            write(name, PARTS[name](python, plan), on, results)
    except RaceError as error:
        sys.exit(f"no result: {error}")
    except KeyboardInterrupt:
        sys.exit("Stopped; the parts that were done are in the results.")
    report(results)


if __name__ == "__main__":
    main(sys.argv[1:])
