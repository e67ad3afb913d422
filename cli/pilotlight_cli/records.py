"""`pilotlight logs`: the function's records of requests, or of events, as lines of one table, with cold starts marked.

docs/reference/logs-and-metrics.md lists the fields of a record.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pilotlight.errors import FormatError
from pilotlight_cli.project import ProjectUsageError

EVENTS = ("request", "records", "cold_start")

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LATE = timedelta(seconds=30)  # how much later than others a record may reach the log
_ROW = "{:<19}  {:>6}  {:>9}  {:<22}  {:>6}  {:<20}  {:<12}  {}"
_HEADERS = ("time (UTC)", "status", "latency", "route", "rows", "model", "start", "request id")


@dataclass(frozen=True, slots=True)
class Entry:
    """A record with the log's own id and time for it, and the instance that wrote it."""

    id: str
    time: datetime
    instance: str
    record: Mapping[str, Any]


Read = Callable[[datetime], Iterable[Entry]]
"""Returns the entries of some events since a moment, in the order of their times."""


def parse_since(text: str, now: datetime) -> datetime:
    """Return the moment that `10m`, `2h` and the like were ago. Raise ProjectUsageError."""
    match = re.fullmatch(r"([1-9]\d{0,4})([smhd])", text)
    if not match:
        raise ProjectUsageError(f"--since {text}: expected a number and s, m, h or d, like 10m")
    return now - timedelta(**{_UNITS[match[2]]: int(match[1])})


def read_lines(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the records in a file of log lines, `-` for stdin; other lines are the platform's. Raise FormatError.

    A line is a record itself, as the function writes it, or an event of CloudWatch Logs or an entry of Cloud Logging
    that has one, as their tools print them.
    """
    try:
        with nullcontext(sys.stdin) if str(path) == "-" else path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                yield from _records_in(line)
    except OSError as error:
        raise FormatError(f"cannot read the log lines in {path}: {error.strerror}", "") from None


def _records_in(line: str) -> Iterator[Mapping[str, Any]]:
    try:
        record = json.loads(line[line.index("{") :])
    except ValueError:
        return
    record = record.get("jsonPayload", record)
    if not isinstance(record, dict):
        return
    if isinstance(record.get("message"), str) and "event" not in record:
        yield from _records_in(record["message"])
    else:
        yield record


def new_entries(read: Read, since: datetime, sleep: Callable[[], None] | None) -> Iterator[Entry]:
    """Yield each entry since a moment once. With `sleep`, go on for ever, and sleep before each further look."""
    seen: set[str] = set()
    while True:
        for entry in read(since):
            if entry.id not in seen:
                seen.add(entry.id)
                yield entry
                since = max(since, entry.time - _LATE)
        if sleep is None:
            return
        sleep()


@dataclass(slots=True)
class Lines:
    """Makes a line of each request with `search` in its record; a start marks the next request of its instance.

    An event of records has instead of a status how many of its records are done, and its source instead of a route.
    """

    search: str = ""
    _starts: dict[str, str] = field(default_factory=dict)

    header = _ROW.format(*_HEADERS)

    def of(self, entry: Entry) -> str:
        """Return the line of an entry, or an empty string: for a start that succeeded, or without `search` in it."""
        record = entry.record
        model = f"{record.get('model_name')}:{record.get('model_version')}"
        if record.get("event") == "cold_start":
            state, total = record.get("state"), record.get("phases_ms", {}).get("total", 0)
            if state != "failed":
                self._starts[entry.instance] = f"cold {total:.0f} ms"
                return ""
            facts: tuple[object, ...] = ("failed", f"{total:.0f} ms", "", "", model, "cold", record.get("error", ""))
        else:
            start, latency = self._starts.pop(entry.instance, ""), record.get("latency_ms", 0)
            status, route, code = _what(record)
            last = " ".join(str(text) for text in (record.get("request_id"), code) if text)
            facts = (status, f"{latency:.1f} ms", route, record.get("rows", 0), model, start, last)
        if self.search.lower() not in json.dumps(record, ensure_ascii=False).lower():
            return ""
        cells = (str(cell).replace("\n", "\\n") for cell in facts)
        return _ROW.format(f"{entry.time.astimezone(UTC):%Y-%m-%d %H:%M:%S}", *cells).rstrip()


def _what(record: Mapping[str, Any]) -> tuple[object, object, object]:
    """Return what came of a request or of an event's records, where it came from, and the first error's code."""
    if record.get("event") != "records":
        return record.get("status"), f"{record.get('method')} {record.get('route')}", record.get("code")
    came, lost = record.get("records", 0), record.get("failed", 0) + record.get("rejected", 0)
    failures = record.get("failures")
    return f"{came - lost}/{came}", record.get("source"), failures[0].get("code") if failures else None
