"""Becomes another program that ends with its parent: `tether.py PARENT COMMAND...`; PARENT is 0 if it is unknown.

Run as a file by an isolated interpreter, it imports nothing of Pilotlight. Linux keeps the setting over the exec; on
other systems, the program runs without it, and only an orderly end of its parent ends it.
"""

from __future__ import annotations

import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Have SIGTERM sent to this process when the thread that started it ends, then become `command`."""
    current = os.getppid()
    if sys.platform == "linux":
        import ctypes  # other systems do not need it

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != (parent or current):  # it ended before the setting took effect
        sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
