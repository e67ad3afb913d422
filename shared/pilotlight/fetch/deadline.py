"""Time for a task of several waits."""

from __future__ import annotations

from collections.abc import Callable

from pilotlight.frozen import dataclass

_PATIENCE = 10.0  # seconds for whatever comes next


@dataclass(frozen=True, slots=True)
class Timer:
    """Time until `end`. One wait gets at most half of what is left, so that another try fits in after it."""

    clock: Callable[[], float]
    end: float

    @property
    def is_over(self) -> bool:
        """Whether nothing is left."""
        return self.clock() >= self.end

    def next(self) -> float:
        """Seconds for the next wait. Raises TimeoutError when the time is over."""
        left = self.end - self.clock()
        if left <= 0:
            raise TimeoutError("timed out")
        return min(_PATIENCE, max(left / 2, 0.05))

    def wait(self) -> Timer:
        """A timer for the next wait alone, however many reads it takes."""
        return Timer(self.clock, self.clock() + self.next())

    def left(self) -> float:
        """Seconds until the end. Raises TimeoutError when there are none."""
        left = self.end - self.clock()
        if left <= 0:
            raise TimeoutError("timed out")
        return left
