"""Under what the contestants start: how much of the processors they get, and where their files are."""

from __future__ import annotations

import os
from dataclasses import dataclass

# https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html: one processor at 1,769 MB
_MEMORY_OF_ONE = 1769


@dataclass(frozen=True, slots=True)
class Condition:
    """A contestant's share of the processors, and whether its files come from the disk (`cold`).

    `quota` is how many processors' time it gets; None is all of them.
    """

    quota: float | None
    cold: bool

    @property
    def name(self) -> str:
        """For results: `all-warm`, `0.5-cold`."""
        return f"{'all' if self.quota is None else f'{self.quota:g}'}-{'cold' if self.cold else 'warm'}"

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.cpus:g} CPU{'' if self.cpus == 1 else 's'}, {'cold' if self.cold else 'warm'} file cache"

    @property
    def cpus(self) -> float:
        """How many processors' time there is."""
        return len(os.sched_getaffinity(0)) if self.quota is None else self.quota

    @property
    def lambda_memory(self) -> int:
        """The memory, in MB, at which Lambda gives so many processors."""
        return round(self.cpus * _MEMORY_OF_ONE)


WARM, COLD = Condition(None, cold=False), Condition(None, cold=True)

ALL = (WARM, COLD, *(Condition(quota, cold) for quota in (1.0, 0.5) for cold in (False, True)))
