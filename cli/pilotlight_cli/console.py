"""The command's output: results on stdout, progress and messages on stderr; plain text outside of a terminal.

Names, labels and messages may come from an untrusted store. Characters that a terminal interprets or that disguise text
(escape sequences, control characters, bidirectional marks) are printed escaped.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as ProgressBar
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from pilotlight_cli.stores import Progress

_BAR = 40  # columns of the longest bar
_PLAIN_WIDTH = 1000  # a pipe has no width to wrap to


def output() -> Console:
    """Return the console for results, on stdout."""
    return _console(stderr=False)


def messages() -> Console:
    """Return the console for everything but results, on stderr."""
    return _console(stderr=True)


def print_json(document: object) -> None:
    """Print a command's result as JSON."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    sys.stdout.write(_escaped(text, sys.stdout.encoding, lambda character: json.dumps(character)[1:-1]) + "\n")


def say(message: str) -> None:
    """Print progress on stderr."""
    messages().print(message, soft_wrap=True)


def error(message: str) -> None:
    """Print an error on stderr."""
    _message("error: ", "bold red", message)


def warning(message: str) -> None:
    """Print a warning on stderr."""
    _message("warning: ", "bold yellow", message)


def note(message: str) -> None:
    """Print a note on stderr, such as a default that was chosen."""
    _message("note: ", "bold cyan", message)


def lines(text: str) -> Text:
    """Return a table cell whose line breaks are kept."""
    return Text(_escaped(text, output().encoding))


def table(headers: Sequence[str], rows: Sequence[Sequence[str | Text]], right: Sequence[str] = ()) -> Table:
    """Return a table without a frame. The columns in `right` are right-aligned; the last column may wrap.

    A line break in a string is shown escaped, in a Text it is kept.
    """
    made = Table(
        box=SIMPLE_HEAD if output().is_terminal else None,
        pad_edge=False,
        header_style="bold",
        show_edge=False,
        collapse_padding=True,
    )
    for index, header in enumerate(headers):
        made.add_column(
            header,
            justify="right" if header in right else "left",
            overflow="fold",
            no_wrap=index < len(headers) - 1,
        )
    for row in rows:
        made.add_row(*(cell.replace("\n", "\\n") if isinstance(cell, str) else cell for cell in row))
    return made


def bar(value: float, most: float) -> Text:
    """Return a bar whose length is the part that a value is of the longest one's; a value above 0 shows."""
    length = max(round(_BAR * value / most), 1) if value > 0 else 0
    return Text(("\u2588" if output().encoding.startswith("utf") else "#") * length, "cyan")


def bytes_text(size: int) -> str:
    """Format a size with decimal units: `812 B`, `78.3 MB`."""
    value, unit = float(size), "B"
    for larger in ("kB", "MB", "GB"):
        if value < 999.95:
            break
        value, unit = value / 1000, larger
    return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"


@contextmanager
def doing(text: str) -> Iterator[None]:
    """Show a spinner with a text; outside of a terminal print the text once."""
    console = messages()
    if not console.is_terminal:
        say(text)
        yield
        return
    with console.status(Text(text)):
        yield


@contextmanager
def stepping(text: str) -> Iterator[Callable[[str], None]]:
    """Show a spinner as `doing` does; yield a function that shows the current step."""
    console = messages()
    if not console.is_terminal:
        say(text)
        yield lambda _: None
        return
    with console.status(Text(text)) as status:
        yield lambda step: status.update(Text(f"{text}: {step}"))


@contextmanager
def transferring(text: str, total: int) -> Iterator[Progress]:
    """Show a progress bar in bytes; yield the function that advances it."""
    console = messages()
    if not console.is_terminal:
        say(f"{text} ({bytes_text(total)})")
        yield lambda _: None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with ProgressBar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(_escaped(text, console.encoding), total=total)
        yield lambda count: bar.advance(task, count)


@contextmanager
def scoring(text: str, total: int) -> Iterator[Scoring]:
    """Show a progress bar of files in bytes, with rows a second; yield what advances it."""
    console = messages()
    if not console.is_terminal:
        say(f"{text} ({bytes_text(total)})")
        yield Scoring(lambda _: None)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[rows]}"),
        TimeRemainingColumn(),
    )
    with ProgressBar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(_escaped(text, console.encoding), total=total, rows="")
        yield Scoring(lambda fields: bar.update(task, **fields))


class Scoring:
    """A progress bar: the bytes that are done, and how many rows a second are."""

    def __init__(self, update: Callable[[dict[str, Any]], object]) -> None:
        self._update = update
        self._rows = self._size = 0
        self._began = time.monotonic()

    def advance(self, rows: int, size: int) -> None:
        """Add rows, and bytes of files."""
        self._rows += rows
        self._size += size
        pace = self._rows / max(time.monotonic() - self._began, 1e-9)
        self._update({"completed": self._size, "rows": f"{self._rows:,} rows, {pace:,.0f} rows/s"})


class _Console(Console):
    """Escapes all text, so that only rich writes control sequences; strips trailing spaces outside of a terminal."""

    def print(self, *objects: Any, **options: Any) -> None:  # noqa: ANN401 - rich prints anything
        """See rich."""
        if self.is_terminal:
            super().print(*objects, **options)
            return
        with self.capture() as captured:
            super().print(*objects, **options)
        self.file.write("".join(f"{line.rstrip(' ')}\n" for line in captured.get().splitlines()))
        self.file.flush()  # a reader of a pipe waits for the line, as that of 'pilotlight serve' does

    def render_str(self, text: str, **options: Any) -> Text:  # noqa: ANN401 - as rich has it
        """See rich: called for every string, also to measure it."""
        return super().render_str(_escaped(text, self.encoding), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """See rich."""
        if isinstance(renderable, Text) and _escaped(renderable.plain, self.encoding) != renderable.plain:
            renderable = Text(_escaped(renderable.plain, self.encoding), renderable.style)
        return super().render(renderable, options)


def _message(kind: str, style: str, message: str) -> None:
    shown = messages()
    shown.print(Text.assemble((kind, style), _escaped(message, shown.encoding)), soft_wrap=True)


def _escaped(text: str, encoding: str, escape: Callable[[str], str] = ascii) -> str:
    """Escape each character that is not printable or not in the encoding, except line breaks."""
    if text.isprintable() and _can_encode(encoding, text):
        return text
    return "".join(
        character
        if character == "\n" or (character.isprintable() and _can_encode(encoding, character))
        else escape(character).strip("'")
        for character in text
    )


def _can_encode(encoding: str, text: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _console(*, stderr: bool) -> Console:
    console = _Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    return console
