"""Writes bench/peers/*/requirements.lock: the packages of the benchmark's alternatives, for the functions' Python.

Usage: python tools/lock_peers.py [--upgrade]
"""

from __future__ import annotations

import argparse

from pilotlight_cli.assets import ROOT
from pilotlight_cli.pinning.requirements import CLIENT_LOCK, PLATFORM, PLATFORM_LOCK, PYTHON_VERSION, pins, resolve_pins
from sample import LOCK

PEERS = ROOT / "bench" / "peers"
HEADER = f"# Written by 'python tools/lock_peers.py' for Python {PYTHON_VERSION} on {PLATFORM} from requirements.in.\n"


def main() -> None:
    """Resolve again, constrained to the functions' own pins, so that versions do not decide the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--upgrade", action="store_true", help="upgrade everything to the newest versions")
    upgrade = parser.parse_args().upgrade
    for wanted in sorted(PEERS.glob("*/requirements.in")):
        file = wanted.with_suffix(".lock")
        text = resolve_pins(
            wanted.read_text().split(),
            constraints=[LOCK.with_name("requirements.lock"), PLATFORM_LOCK, CLIENT_LOCK],
            previous=file.read_text() if file.exists() else "",
            header=HEADER,
            upgrade=upgrade,
        )
        file.write_text(text)
        print(f"{file.relative_to(ROOT)}: {len(pins(text))} packages")


if __name__ == "__main__":
    main()
