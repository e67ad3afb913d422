"""What a process that looks into a model file may take: memory, and time of the processor.

A file of some bytes can ask for all of a machine: a range is made into a set, a loop has no end, a tensor is unpacked
from its shape. No list of these is ever whole, so that the kernel counts. The limits grow with the file, of which
several copies are in memory at times, and are several times what models are known to take.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final

# Variables of the command alone: a function refuses to start with a setting that it does not know.
MEMORY_VARIABLE: Final = "PILOTLIGHT_MAX_MEMORY"
SECONDS_VARIABLE: Final = "PILOTLIGHT_MAX_SECONDS"

_MB: Final = 10**6
_LEAST_MEMORY: Final = 4000 * _MB
_TIMES: Final = 15  # a forest in ONNX takes 12 times its file
_LEAST_SECONDS: Final = 180
_BYTES_A_SECOND: Final = _MB
_PATIENCE: Final = 10  # times the processor's time


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes of memory, and seconds of the processor.

    `patience` is in seconds of the clock, for a process that waits, which takes no time of the processor. `watched` is
    set where the kernel does not count what a process allocates: we then look at what it holds.
    """

    memory: int
    seconds: int
    patience: int
    watched: bool = sys.platform != "linux"


@dataclass(frozen=True, slots=True)
class Allowance:
    """What the user allows, in MB and seconds; None is what goes with the model's size."""

    megabytes: int | None = None
    seconds: int | None = None

    def limits(self, size: int) -> Limits:
        """The limits for a model of so many bytes."""
        memory = _LEAST_MEMORY + _TIMES * size if self.megabytes is None else self.megabytes * _MB
        seconds = _LEAST_SECONDS + size // _BYTES_A_SECOND if self.seconds is None else self.seconds
        return Limits(memory, seconds, _PATIENCE * seconds)


DEFAULT: Final = Allowance()


def memory_sentence(about: str, limits: Limits) -> str:
    """What happened to a process that asked for more memory, and what to do."""
    return (
        f"{about} takes more than {limits.memory // _MB} MB of memory to look into, which is the limit; if you trust "
        "where the file comes from, raise it with --max-memory MB"
    )


def time_sentence(about: str, limits: Limits) -> str:
    """What happened to a process that took more time, and what to do."""
    return (
        f"{about} takes more than {limits.seconds} seconds of the processor to look into, which is the limit; if you "
        "trust where the file comes from, raise it with --max-seconds SECONDS"
    )
