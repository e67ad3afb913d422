"""Noticing that files have changed, and that whatever writes them has finished."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

from pilotlight_cli.regular_files import FileState, file_state
from pilotlight_cli.sandbox.job import UsageError

States: TypeAlias = "Mapping[Path, FileState | None]"


class Watch:
    """Files that are looked at again and again; `files` returns those to look at, which may change."""

    def __init__(self, files: Callable[[], Iterable[Path]], clock: Callable[[], float]) -> None:
        self._files = files
        self._clock = clock
        self._looked = clock()
        self._known = self._latest = self._look()
        self._changed_after = self._looked

    def changed(self) -> tuple[tuple[Path, ...], float] | None:
        """Return the files that have changed since they were last returned, once two looks in a row find the same.

        With them comes the time at which the last change had not happened yet. Return None if nothing has changed.
        """
        before, looked = self._latest, self._looked
        self._looked = self._clock()
        self._latest = self._look()
        if self._latest != before:
            self._changed_after = looked
            return None
        if self._latest == self._known:
            return None
        paths = {*self._known, *self._latest}
        changed = tuple(sorted(path for path in paths if self._known.get(path) != self._latest.get(path)))
        self._known = self._latest
        return changed, self._changed_after

    def take(self, states: States) -> None:
        """Count the files as known in these states: what was read, or begun with, is no change."""
        if states:
            self._known = {path: states.get(path, self._known.get(path)) for path in self._files()}

    def _look(self) -> States:
        return {path: _state(path) for path in self._files()}


def _state(path: Path) -> FileState | None:
    try:
        return file_state(path)
    except UsageError:
        return None
