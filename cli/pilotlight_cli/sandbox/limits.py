"""Limits of a process that inspects a model file: memory and processor time.

A small file can use up a machine: a range becomes a set, a loop never ends, a tensor is created from its shape alone.
No list of such cases is complete, so the kernel enforces limits. They grow with the file, of which several copies can
be in memory, and are several times what known models use.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final

# Settings of the command alone: a function does not start with a setting that it does not know.
MEMORY_VARIABLE: Final = "PILOTLIGHT_MAX_MEMORY"
SECONDS_VARIABLE: Final = "PILOTLIGHT_MAX_SECONDS"

_MB: Final = 10**6
_LEAST_MEMORY: Final = 4000 * _MB
_MEMORY_FACTOR: Final = 15  # a forest in ONNX takes 12 times its file
_LEAST_SECONDS: Final = 180
_BYTES_A_SECOND: Final = _MB
_TIMEOUT_FACTOR: Final = 10  # times the processor time


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes of memory, and seconds of processor time.

    `timeout` is in seconds of real time, for a process that waits and uses no processor time. `polled` is set where the
    kernel cannot limit what a process allocates: its resident size is then measured.
    """

    memory: int
    seconds: int
    timeout: int
    polled: bool = sys.platform != "linux"


@dataclass(frozen=True, slots=True)
class LimitOptions:
    """The limits that the user sets, in MB and seconds; None is the default for the model's size."""

    megabytes: int | None = None
    seconds: int | None = None

    def limits(self, size: int) -> Limits:
        """Return the limits for a model of `size` bytes."""
        memory = _LEAST_MEMORY + _MEMORY_FACTOR * size if self.megabytes is None else self.megabytes * _MB
        seconds = _LEAST_SECONDS + size // _BYTES_A_SECOND if self.seconds is None else self.seconds
        return Limits(memory, seconds, _TIMEOUT_FACTOR * seconds)


DEFAULT: Final = LimitOptions()


def memory_sentence(about: str, limits: Limits) -> str:
    """Return the message for a process that reached its memory limit."""
    return (
        f"inspecting {about} takes more than the limit of {limits.memory // _MB} MB of memory; if you trust the source "
        "of the file, raise the limit with --max-memory MB"
    )


def time_sentence(about: str, limits: Limits) -> str:
    """Return the message for a process that reached its time limit."""
    return (
        f"inspecting {about} takes more than the limit of {limits.seconds} seconds of processor time; if you trust the "
        "source of the file, raise the limit with --max-seconds SECONDS"
    )
