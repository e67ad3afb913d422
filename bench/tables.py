"""The tables of a run, made from its summary: one form for the terminal, the page and the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Summary = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """A title, a sentence on what is in it, headers and rows of text."""

    name: str
    title: str
    note: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(found: Summary) -> list[Table]:
    """All tables that a run has, the targets first."""
    made = [_targets(found)]
    for name, title in (("aws", "AWS Lambda's runtime"), ("google", "Functions Framework")):
        if name in found:
            made += [_starts(name, title, found[name]), _packages(name, title, found[name])]
    if "load" in found.get("google", {}):
        made.append(_loads(found["google"]))
    if "large" in found:
        made += _large(found["large"])
    if "warm" in found:
        made.append(_warm(found["warm"]))
    if "records" in found:
        made.append(_records(found["records"]))
    if "batch" in found:
        made.append(_batch(found["batch"]))
    if "batching" in found:
        made.append(_batching(found["batching"]))
    return made


def as_markdown(table: Table) -> str:
    """Return a table of a documentation page, with its note above it."""
    lines = [table.note, "", _line(table.headers), _line(["---", *["--:" for _ in table.headers[1:]]])]
    return "\n".join([*lines, *map(_line, table.rows)]) + "\n"


def spread_text(spread: Mapping[str, float], form: str = "{:.2f}", factor: float = 1) -> str:
    """`0.25 (0.23-0.27)`: the median, and the middle half in brackets."""
    median, low, high = (form.format(spread[key] * factor) for key in ("median", "low", "high"))
    return median if low == high else f"{median} ({low}-{high})"


def _line(cells: object) -> str:
    return f"| {' | '.join(cells)} |"  # type: ignore[arg-type]


def _targets(found: Summary) -> Table:
    rows = []
    for each in found["targets"]:
        unit = f" {each['unit']}" if each["unit"] else ""
        form = "{:.0f}" if each["unit"] else "{:.2f}"
        reached = each["reached"]
        said = "not measured" if reached is None else "yes" if reached["median"] <= each["limit"] else "no"
        rows.append(
            (
                each["title"],
                f"{each['limit']:g}{unit}",
                "-" if reached is None else f"{form.format(reached['median'])}{unit}",
                "-" if reached is None else f"{form.format(reached['low'])}-{form.format(reached['high'])}",
                said,
            )
        )
    note = "Ratios are taken within each round; reached is their median, the spread their middle half."
    return Table("targets", "Targets", note, ("", "target", "reached", "spread", "met"), tuple(rows))


def _starts(name: str, title: str, field: Summary) -> Table:
    headers = [""]
    for condition in field["conditions"].values():
        headers += [condition["title"], "ratio"]
    headers.append("peak memory")
    first = next(iter(field["conditions"].values()))
    rows = []
    for each in field["order"]:
        row = [field["titles"][each]]
        for condition in field["conditions"].values():
            found = condition["first_answer"][each]
            row += [f"{found['value']['median'] * 1000:.0f} ms", spread_text(found["ratio"])]
        rows.append((*row, f"{first['peak'][each]['value']['median'] / 1e6:.0f} MB"))
    counts = sorted({each["rounds"] for each in field["conditions"].values()})
    rounds = "one round" if counts == [1] else f"{' and '.join(map(str, counts))} rounds"
    note = (
        f"Cold start to the first answer on {title}: medians over {rounds}, and the ratio "
        "to the first line within a round, with the middle half of the rounds in brackets. Memory is the largest "
        "resident size of the function's process."
    )
    return Table(f"{name}-starts", f"Cold starts, {title}", note, tuple(headers), tuple(rows))


def _packages(name: str, title: str, field: Summary) -> Table:
    rows = [
        (field["titles"][each], f"{field['sizes'][each] / 1e6:.1f} MB", _asked(field["asked"][each]))
        for each in field["order"]
    ]
    note = "The package unzipped, with bytecode, and how many requests a start makes."
    return Table(f"{name}-packages", f"Packages and requests, {title}", note, ("", "package", "asked"), tuple(rows))


def _asked(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {server}" for server, count in counts.items() if count) or "nothing"


def _loads(field: Summary) -> Table:
    load = field["load"]
    rows = []
    for each in field["order"]:
        rate, memory = load["requests_per_second"][each], load["memory"][each]
        stop = field["stop_seconds"][each]
        rows.append(
            (
                field["titles"][each],
                spread_text(rate["value"], "{:.0f}"),
                spread_text(rate["ratio"]),
                spread_text(memory["value"], "{:.0f}", 1e-6) + " MB",
                f"{stop:.1f} s" if stop < 10 else "over 10 s",
            )
        )
    note = (
        f"{field['connections']} connections with one request each under way; memory of all processes after it; how "
        "long the server takes to end after SIGTERM, once."
    )
    headers = ("", "requests a second", "ratio", "memory", "end")
    return Table("google-load", "Under load, Functions Framework", note, headers, tuple(rows))


def _large(large: Summary) -> list[Table]:
    rows = []
    for model in large["models"].values():
        for name, condition in model["conditions"].items():
            for who, title in large["titles"].items():
                first, warm, peak = (condition[key][who] for key in ("first_run", "warm_run", "peak"))
                rows.append(
                    (
                        model["title"],
                        "cold" if name.endswith("cold") else "warm",
                        title,
                        f"{first['value']['median'] * 1000:.0f} ms",
                        spread_text(first["ratio"]),
                        f"{warm['value']['median'] * 1000:.1f} ms",
                        f"{peak['value']['median'] / 1e6:.0f} MB",
                    )
                )
    note = (
        "From the file to the first run's end, in fresh processes. What comes before there is a file does not count: "
        "the runtime's import and, in Pilotlight, the session of one operator that it makes meanwhile."
    )
    headers = ("", "file cache", "", "load and first run", "ratio", "later runs", "peak memory")
    made = [Table("large-loads", "Large models: load and first run", note, headers, tuple(rows))]
    if large["end_to_end"]:
        made.append(_starts("large", "AWS Lambda's runtime, the transformer of 436 MB", large["end_to_end"]))
    return made


def _warm(warm: Summary) -> Table:
    names = list(warm["titles"])
    rows = [
        (
            case["title"],
            f"{case['bare'] * 1e6:.0f} us",
            *(spread_text(case["ratios"][each]) if each in case["ratios"] else "-" for each in names),
        )
        for case in warm["cases"].values()
    ]
    headers = ("", "bare session.run", *warm["titles"].values())
    note = "The handler's time over a bare session.run of the same input, in one process."
    return Table("warm", "Warm requests", note, headers, tuple(rows))


def _records(records: Summary) -> Table:
    rows = [
        (
            title,
            spread_text(records["over_one"][each], "{:.3f}"),
            spread_text(records["over_alone"][each], "{:.3f}") if each in records["over_alone"] else "-",
            spread_text(records["over_batch"][each]),
        )
        for each, title in records["titles"].items()
    ]
    note = (
        "Processor time of a row, event in and results out, in one process. A request of one row takes "
        f"{records['one'] * 1e6:.0f} us."
    )
    headers = ("", "over one row a request", "over an event of one", "over a row of the batch")
    return Table("records", "Records of an event", note, headers, tuple(rows))


def _batching(batching: Summary) -> Table:
    rates, late = batching["requests_per_second"], batching["p99"]
    rows = [
        (
            f"requests {side}",
            spread_text(rates[side]["value"], "{:.0f}"),
            spread_text(rates[side]["ratio"]),
            spread_text(late[side]["value"], "{:.0f}", 1e3) + " ms",
        )
        for side in rates
    ]
    headers = ("", "requests a second", "ratio", "99th percentile")
    note = "The server in a container with a network of 34 MB, one process, 64 connections, a row a request."
    return Table("batching", "Requests that run together", note, headers, tuple(rows))


def _batch(batch: Summary) -> Table:
    rows = [
        (
            title,
            f"{1 / batch['processor'][each]['value']['median']:,.0f}",
            spread_text(batch["processor"][each]["ratio"]),
            f"{1 / batch['wall'][each]['value']['median']:,.0f}",
            f"{batch['peak'][each]['value']['median'] / 1e6:.0f} MB",
        )
        for each, title in batch["titles"].items()
    ]
    headers = ("", "rows a processor second", "processor time a row, ratio", "rows a second", "peak memory")
    note = (
        f"{batch['rows']:,} rows of 30 floats, Parquet in and out, in fresh processes with their imports. Memory is "
        "that of the largest process."
    )
    return Table("batch", "Files of rows", note, headers, tuple(rows))
