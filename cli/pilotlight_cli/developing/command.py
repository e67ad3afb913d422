"""`pilotlight dev`: the loop that watches, starts beside, compares and switches."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from pilotlight.errors import PilotlightError
from pilotlight_cli import console
from pilotlight_cli.developing.code import Code
from pilotlight_cli.developing.comparison import compare
from pilotlight_cli.developing.instance import Instance, start
from pilotlight_cli.developing.subjects import Subject, sources
from pilotlight_cli.developing.switch import Switch
from pilotlight_cli.developing.watching import Watch
from pilotlight_cli.local.command import interrupted_by_signals, print_log
from pilotlight_cli.local.page import PATH
from pilotlight_cli.local.process import listen
from pilotlight_cli.local.wsgi import serving_wsgi
from pilotlight_cli.project.folders import shown

_POLL_SECONDS = 0.05
_MOST_FILES = 3  # in a line


def run_dev(cloud: str, subject: Subject, port: int) -> None:
    """Serve what is being developed on one address until a signal. Raise PilotlightError if it does not start."""
    try:
        with interrupted_by_signals():
            _serve(cloud, subject, port)
    except KeyboardInterrupt:
        console.messages().print("Stopped.")


def _serve(cloud: str, subject: Subject, port: int) -> None:
    def files() -> Iterator[Path]:
        yield from subject.files()
        yield from sources(cloud)

    listen(port).close()  # fail before the slow steps
    watch = Watch(files, time.monotonic)
    with _development(cloud, subject) as development, serving_wsgi(development.switch, port) as url:
        console.output().print(f"{development.switch.instance.title} answers on {url}", soft_wrap=True)
        console.output().print(f"A page to try it: {url}{PATH}", soft_wrap=True)
        console.messages().print("\nSave the model, the lock or a source to try it. Press Ctrl-C to stop.")
        _loop(development, watch, subject)


def _loop(development: Development, watch: Watch, subject: Subject) -> NoReturn:
    watch.take(subject.states())
    subject.prepare()
    while True:
        found = watch.changed()
        if found:
            development.renew(*found)
            watch.take(subject.states())
            subject.prepare()
        development.tend()
        time.sleep(_POLL_SECONDS)


class Development:
    """The instance that answers, and those that still answer what arrived before they were replaced."""

    def __init__(self, cloud: str, subject: Subject) -> None:
        self._code = Code(cloud)
        self._subject = subject
        self._replaced: list[Instance] = []
        self.switch = Switch(start(self._code, subject))
        self._printed = self._lines_so_far()

    def renew(self, changed: Sequence[Path], changed_after: float) -> None:
        """Start an instance of the present state, compare it, and let it answer; if it fails, say why.

        `changed_after` is a time before the change, of the monotonic clock.
        """
        console.say(f"\nChanged: {_names(changed)}")
        before = self.switch.instance
        try:
            instance = start(self._code, self._subject)
        except (PilotlightError, OSError) as error:
            console.error(f"{error}\n{before.title} keeps answering")
            return
        try:
            lines = list(compare(before, instance))
        except PilotlightError as error:
            instance.close()
            console.error(f"{instance.title}: {error}\n{before.title} keeps answering")
            return
        except BaseException:
            instance.close()
            raise
        self._replaced.append(self.switch.replace(instance))
        took = time.monotonic() - changed_after
        self._printed = self._lines_so_far()
        console.output().print(f"{instance.title} answers after {took:.1f} s", soft_wrap=True)
        for line in lines:
            console.output().print(f"  {line}", soft_wrap=True)

    def tend(self) -> None:
        """Print what the function logs, and end replaced instances that have answered everything.

        Raise ServeError if the runtime has ended by itself.
        """
        self.switch.instance.server.check()
        self._printed = print_log(self.switch.instance.server.log, self._printed)
        for instance in [one for one in self._replaced if not one.under_way]:
            self._replaced.remove(instance)
            instance.close()

    def close(self) -> None:
        """End everything."""
        self._subject.close()
        self._code.close()
        for instance in (self.switch.instance, *self._replaced):
            instance.close()

    def _lines_so_far(self) -> int:
        return self.switch.instance.server.log.since(0)[1]


@contextmanager
def _development(cloud: str, subject: Subject) -> Iterator[Development]:
    with console.doing("Starting"):
        development = Development(cloud, subject)
    try:
        yield development
    finally:
        development.close()


def _names(paths: Sequence[Path]) -> str:
    more = f" and {len(paths) - _MOST_FILES} more" if len(paths) > _MOST_FILES else ""
    return ", ".join(str(shown(path)) for path in paths[:_MOST_FILES]) + more
