"""What the bench is at: a bar on a terminal, a line for each round elsewhere; and when it has to come to an end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from pilotlight_cli import console


class Watch:
    """Tells what is done, and how much of the time for it is left."""

    def __init__(self, seconds: float, tell: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._end = clock() + seconds
        self._tell = tell
        self._clock = clock

    def says(self, text: str) -> None:
        """Show what begins."""
        self._tell(text)

    @property
    def is_over(self) -> bool:
        """Whether no other round may begin."""
        return self._clock() > self._end


@contextmanager
def watching(title: str, seconds: float, clock: Callable[[], float] = time.monotonic) -> Iterator[Watch]:
    """Yield a part of the bench that begins no round after so many seconds."""
    messages = console.messages()
    if not messages.is_terminal:
        yield Watch(seconds, lambda text: console.say(f"{title}: {text}"), clock)
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=messages, transient=True) as bar:
        task = bar.add_task(title, total=seconds)
        began = clock()

        def tell(text: str) -> None:
            bar.update(task, completed=min(clock() - began, seconds), description=f"{title}: {text}")

        yield Watch(seconds, tell, clock)
