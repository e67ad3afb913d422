"""Writes functions/gcp/predict/requirements.lock: the packages that the function needs on Google Cloud.

Usage: python tools/lock_platform.py [--upgrade]
"""

from __future__ import annotations

import argparse

from pilotlight_cli.pinning.requirements import PLATFORM, PLATFORM_LOCK, PYTHON_VERSION, pins, resolve_pins

HEADER = (
    f"# Written by 'python tools/lock_platform.py' for Python {PYTHON_VERSION} on {PLATFORM} from requirements.in.\n"
)


def main() -> None:
    """Resolve again; existing pins are kept, unless --upgrade is given."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--upgrade", action="store_true", help="upgrade everything to the newest versions")
    upgrade = parser.parse_args().upgrade
    wanted = PLATFORM_LOCK.with_name("requirements.in").read_text().split()
    previous = PLATFORM_LOCK.read_text() if PLATFORM_LOCK.exists() else ""
    text = resolve_pins(wanted, previous=previous, header=HEADER, upgrade=upgrade)
    PLATFORM_LOCK.write_text(text)
    before, after = pins(previous), pins(text)
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            print(f"{name} {before.get(name, '-')} -> {after.get(name, '-')}")
    print(f"{PLATFORM_LOCK.name}: {len(after)} packages")


if __name__ == "__main__":
    main()
