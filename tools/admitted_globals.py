"""Writes cli/pilotlight_cli/formats/admitted_globals.json: the names that pickles of scikit-learn models import.

Usage: python tools/admitted_globals.py [--check]

Every estimator is fitted and pickled with several versions of scikit-learn and numpy, each in an environment of its
own; the list is the union of the names in those pickles. --check writes nothing and fails if the list would change.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from pilotlight.pickles.forbidden import forbidden
from pilotlight_cli.assets import CORE, ROOT
from pilotlight_cli.hostenv import host_packages, isolated_python

FILE = ROOT / "cli" / "pilotlight_cli" / "formats" / "admitted_globals.json"
ENVIRONMENTS = (
    ("scikit-learn==1.5.2", "numpy==1.26.4", "scipy==1.13.1", "pandas==2.2.3"),
    ("scikit-learn==1.5.2", "numpy==2.1.3", "scipy==1.14.1", "pandas==2.2.3"),
    ("scikit-learn==1.6.1", "numpy==2.2.6", "scipy==1.15.3", "pandas==2.2.3"),
    ("scikit-learn==1.7.2", "numpy==2.3.5", "scipy==1.16.3", "pandas==2.3.3"),
    ("scikit-learn==1.8.0", "numpy==2.4.6", "scipy==1.17.1", "pandas==2.3.3"),
    ("scikit-learn==1.9.1", "numpy==2.4.6", "scipy==1.17.1", "pandas==3.1.1"),
)


def imported_names(requirements: tuple[str, ...]) -> set[str]:
    """Return the names that pickles made with those versions import, without the forbidden ones."""
    print(f"{' '.join(requirements)}: ", end="", flush=True)
    path = os.pathsep.join(map(str, (host_packages(requirements), CORE.parent)))
    done = subprocess.run(
        [*isolated_python(), str(Path(__file__).with_name("fitted_models.py"))],
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        check=True,
    )
    names = set(json.loads(done.stdout))
    rejected = set(filter(forbidden, names))
    print(f"{len(names)} names" + (f", forbidden: {', '.join(sorted(rejected))}" if rejected else ""))
    return names - rejected


def main() -> None:
    """Write the list, or check it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the list would change")
    check = parser.parse_args().check
    text = json.dumps(sorted(set[str]().union(*map(imported_names, ENVIRONMENTS))), indent=1) + "\n"
    if check:
        sys.exit(f"{FILE.name} would change; run it without --check" if FILE.read_text() != text else 0)
    FILE.write_text(text)
    print(f"{FILE.name}: {text.count(chr(10)) - 2} names")


if __name__ == "__main__":
    main()
