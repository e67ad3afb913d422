"""Children of the sandbox that are started before there is a task for them: most of its time is their imports."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TypeAlias

import pilotlight_cli
from pilotlight_cli.assets import CORE
from pilotlight_cli.regular_files import FileState, file_states
from pilotlight_cli.sandbox.isolation import Child, start, temporary_folder

# The task, the kind of the file, and the packages.
_Key: TypeAlias = "tuple[str, str, Path | None]"


class Spares:
    """For each task that was asked for, one process that has done its imports. It runs one task, and ends.

    Until then it has read nothing of a model; its limits count from the task on, but for its processor time, which has
    that of the imports too. One whose sources have changed since it was started is never taken.
    """

    def __init__(self) -> None:
        self._folder = temporary_folder()
        self._numbers = count(1)
        self._wanted: dict[_Key, None] = {}
        self._children: dict[_Key, Child] = {}
        self._sources: Mapping[Path, FileState] = {}

    def take(self, task: str, kind: str, packages: Path | None, arguments: Sequence[str]) -> Child | None:
        """See `Waiting.take`. The next `fill` starts another one, or the first."""
        key = (task, kind, packages)
        self._wanted[key] = None
        if self._children and _sources() != self._sources:
            self._end()
        child = self._children.pop(key, None)
        if child is None or child.process.stdin is None:
            return None
        try:
            with child.process.stdin as given:
                given.write(json.dumps(arguments).encode() + b"\n")
        except BrokenPipeError:  # it has ended: the system was short of memory
            child.end()
            return None
        return child

    def fill(self) -> None:
        """Start what was asked for and is missing, in the thread with whose end it ends; do not wait for it."""
        if not self._children:
            self._sources = _sources()
        for key in self._wanted.keys() - self._children.keys():
            task, kind, packages = key
            folder = self._folder / str(next(self._numbers))
            folder.mkdir()
            self._children[key] = start(folder / "output.txt", packages, ["wait", task, kind], stdin=subprocess.PIPE)

    def close(self) -> None:
        """End those that wait, and remove their files."""
        self._end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _end(self) -> None:
        while self._children:
            _, child = self._children.popitem()
            child.end()
            if child.process.stdin is not None:
                with suppress(BrokenPipeError):
                    child.process.stdin.close()


def _sources() -> dict[Path, FileState]:
    return file_states(
        file for package in (CORE, Path(pilotlight_cli.__file__).parent) for file in package.rglob("*.py")
    )
