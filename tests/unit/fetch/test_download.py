"""A file on its way, and the tries that write to it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from doubles import CONTENT, description
from pilotlight.errors import StoreUnavailable
from pilotlight.fetch.download import Partial

FILE = description().files[0]


def no_news() -> None:
    """Nobody waits."""


def test_a_try_that_ends_late_closes_its_own_descriptor_and_nobody_elses(tmp_path: Path) -> None:
    partial = Partial(tmp_path, FILE)
    late, next_one = partial.begin(no_news), partial.begin(no_news)
    partial.end(next_one)
    with (tmp_path / "another").open("w+b") as another:  # it gets the number that has just become free
        partial.end(late)
        another.write(CONTENT)
        another.flush()
        assert (tmp_path / "another").read_bytes() == CONTENT


def test_a_try_that_has_ended_takes_nothing_and_ends_once(tmp_path: Path) -> None:
    partial = Partial(tmp_path, FILE)
    incoming = partial.begin(no_news)
    incoming.write(0, CONTENT[:5])
    partial.end(incoming)
    partial.end(incoming)
    with pytest.raises(StoreUnavailable, match="this attempt has ended"):
        incoming.write(5, CONTENT[5:])
    with pytest.raises(StoreUnavailable, match="this attempt has ended"):
        incoming.restart("another")
    assert partial.missing == [(5, len(CONTENT))]


FORKED = """
import os, signal, sys, threading
from pathlib import Path
from doubles import CONTENT, description
from pilotlight.fetch.download import Partial

partial = Partial(Path(sys.argv[1]), description().files[0])
incoming = partial.begin(lambda: None)
held, forked = threading.Event(), threading.Event()

def write():  # as a thread that is left alone is about to find out that nobody waits
    with incoming._lock:
        held.set()
        forked.wait()

threading.Thread(target=write).start()
held.wait()
child = os.fork()
if not child:
    signal.alarm(120)
    again = partial.begin(lambda: None)
    again.write(0, CONTENT)
    partial.finish()
    os._exit(0)
_, status = os.waitpid(child, 0)
forked.set()
sys.exit(status)
"""


def test_a_child_does_not_wait_for_a_lock_that_a_thread_of_its_parent_held(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FORKED, str(tmp_path)]
    environ = {"PYTHONPATH": ":".join(sys.path)}
    assert subprocess.run(command, env=environ, check=False, timeout=300).returncode == 0
    assert (tmp_path / FILE.name).read_bytes() == CONTENT
