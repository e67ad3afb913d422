"""Writes the requirements.lock of functions/gcp/{predict,client}, and of functions that need packages of their own.

Usage: python tools/lock_platform.py [--upgrade]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from pilotlight_cli.pinning.requirements import (
    CLIENT_LOCK,
    FUNCTION_LOCKS,
    PLATFORM,
    PLATFORM_LOCK,
    PYTHON_VERSION,
    pins,
    resolve_pins,
)

HEADER = (
    f"# Written by 'python tools/lock_platform.py' for Python {PYTHON_VERSION} on {PLATFORM} from requirements.in.\n"
)


def main() -> None:
    """Resolve again; existing pins are kept, unless --upgrade is given."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--upgrade", action="store_true", help="upgrade everything to the newest versions")
    upgrade = parser.parse_args().upgrade
    write(PLATFORM_LOCK, [], upgrade=upgrade)
    write(CLIENT_LOCK, [PLATFORM_LOCK], upgrade=upgrade)
    for lock in FUNCTION_LOCKS:  # a model's packages are pinned to suit all of them
        write(lock, [PLATFORM_LOCK, CLIENT_LOCK], upgrade=upgrade)


def write(lock: Path, constraints: Sequence[Path], *, upgrade: bool) -> None:
    """Write a lock from the requirements.in beside it, and print what changed."""
    wanted = lock.with_name("requirements.in").read_text().split()
    previous = lock.read_text() if lock.exists() else ""
    text = resolve_pins(wanted, constraints=constraints, previous=previous, header=HEADER, upgrade=upgrade)
    lock.write_text(text)
    before, after = pins(previous), pins(text)
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            print(f"{name} {before.get(name, '-')} -> {after.get(name, '-')}")
    print(f"{lock.parent.name}/{lock.name}: {len(after)} packages")


if __name__ == "__main__":
    main()
