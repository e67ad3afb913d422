"""The log in files that rotate, where a platform wants them: one for each process, since no two can rotate the same."""

from __future__ import annotations

import fcntl
import logging
import sys
from itertools import count
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

from pilotlight.errors import SettingsError

_BYTES = 10_000_000
_FILES = 5  # older ones of each process


class _Lines:
    """A stream of whole lines."""

    def __init__(self, file: Path, lock: IO[bytes]) -> None:
        self._lock = lock  # held as long as the process lives
        self._handler = RotatingFileHandler(file, maxBytes=_BYTES, backupCount=_FILES, encoding="utf-8")

    def write(self, line: str) -> None:
        """Write a line, and rotate before it if the file is full."""
        if text := line.rstrip("\n"):  # `print` writes the end of its line by itself
            self._handler.handle(logging.makeLogRecord({"msg": text}))

    def flush(self) -> None:
        """Do nothing: the handler has flushed."""


def log_to_files(path: str) -> None:
    """Write this process's lines to the first file that no other process has: for `a.log`, of `a.1.log`, `a.2.log`, ...

    Raise SettingsError for one that cannot be written.
    """
    base = Path(path)
    for number in count(1):
        file = base.with_name(f"{base.stem}.{number}{base.suffix}")
        try:
            lock = file.with_name(f".{file.name}.lock").open("wb")
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            sys.stdout = _Lines(file, lock)
        except BlockingIOError:
            lock.close()
        except OSError as error:
            raise SettingsError(
                f"{file} cannot be written: {error.strerror}; name a file in a folder that can"
            ) from None
        else:
            return
