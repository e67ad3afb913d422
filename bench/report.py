"""What a race came to: a table for people, and a file with every round."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table

from contestants import Field
from figures import Spread, as_document, summary
from pilotlight_cli import console
from race import CONNECTIONS, STOP_SECONDS, Race

_UNITS = {"first_answer": (1000.0, "{:.0f} ms"), "requests_per_second": (1.0, "{:.0f}"), "memory": (1e-6, "{:.0f} MB")}
_TITLES = {"first_answer": "first answer", "requests_per_second": "requests/s", "memory": "memory"}


def table(field: Field, race: Race) -> Table:
    """Medians, with the middle half of the rounds behind them; ratios are to the first contestant in the same round."""
    found = summary(race.rounds, field.contestants[0].name)
    headers = ["", *(header for title in _TITLES.values() for header in (title, "ratio")), "asked", "stop"]
    rows = []
    for each in field.contestants:
        row = [each.title]
        for measure in _TITLES:
            row += [_value(measure, found[each.name][measure]["value"]), _ratio(found[each.name][measure]["ratio"])]
        rows.append([*row, _asked(race.asked[each.name]), _stop(race.stop_seconds[each.name])])
    return console.table(headers, rows, right=headers[1:])


def write_results(file: Path, field: Field, race: Race, machine: Mapping[str, object]) -> Path:
    """Write a results file: numbers of one machine on one day, in seconds and bytes."""
    document = {
        "format": 1,
        "written": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "machine": dict(machine),
        "versions": dict(field.versions),
        "conditions": {"connections": CONNECTIONS, "file_cache": "warm", "store": "a fake on loopback, TLS and tokens"},
        "reference": field.contestants[0].name,
        "summary": {
            name: {
                measure: {kind: asdict(spread) for kind, spread in kinds.items()} for measure, kinds in measures.items()
            }
            for name, measures in summary(race.rounds, field.contestants[0].name).items()
        },
        "asked": {name: dict(counts) for name, counts in race.asked.items()},
        "stop_seconds": dict(race.stop_seconds),
        "rounds": as_document(race.rounds),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=2) + "\n")
    return file


def _value(measure: str, spread: Spread) -> str:
    factor, form = _UNITS[measure]
    median, low, high = (form.format(value * factor) for value in (spread.median, spread.low, spread.high))
    return f"{median} ({low.split()[0]}-{high.split()[0]})"


def _ratio(spread: Spread) -> str:
    return f"{spread.median:.2f} ({spread.low:.2f}-{spread.high:.2f})"


def _asked(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {server}" for server, count in counts.items() if count)


def _stop(seconds: float) -> str:
    return f"over {STOP_SECONDS:.0f} s" if seconds >= STOP_SECONDS else f"{seconds:.1f} s"
