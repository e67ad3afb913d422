"""The status of an experiment in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import floor, log10

from rich.console import Group, RenderableType
from rich.text import Text

from pilotlight_cli.console import bar, table
from pilotlight_cli.experimenting.shares import percent
from pilotlight_cli.experimenting.status import Status, latencies, score, shares_of
from pilotlight_cli.experimenting.tally import Variant

_STYLES = {"promote": "bold green", "roll back": "bold red", "hold": "bold yellow"}
_MOST_LABELS = 8

# Latencies are drawn in so many bins for each power of ten.
_BINS = 5


def shown(found: Status) -> RenderableType:
    """Return the variants as a table, plots of shares, latencies and labels, and the verdict on each treatment."""
    variants = found.found.variants
    return Group(
        Text(f"Experiment {found.experiment.salt}: {found.phase}", "bold"),
        _numbers(variants),
        *_ramp(variants),
        *_times(variants),
        *_labels(variants),
        *_verdicts(found),
    )


def _numbers(variants: Sequence[Variant]) -> RenderableType:
    headers = ("variant", "share", "units", "requests", "4xx", "5xx", "p50", "p95", "p99", "score")
    rows = [
        (
            each.name,
            f"{percent(each.buckets)} %",
            f"{len(each.clusters):,}",
            *(f"{each.total(name):,.0f}" for name in ("requests", "client_errors", "server_errors")),
            *("" if value is None else f"{value:.1f} ms" for value in latencies(each).values()),
            "" if (mean := score(each)) is None else f"{mean:.4g}",
        )
        for each in variants
    ]
    return table(headers, rows, right=headers[1:])


def _ramp(variants: Sequence[Variant]) -> Iterator[RenderableType]:
    """Yield the shares of the units, as they are to be and as they were."""
    units = sum(len(each.clusters) for each in variants)
    rows = []
    for each in variants:
        wanted, seen = float(percent(each.buckets)) / 100, len(each.clusters) / units if units else 0.0
        rows += [(each.name, "share", f"{wanted:.1%}", bar(wanted, 1)), ("", "units", f"{seen:.1%}", bar(seen, 1))]
    yield Text()
    yield table(("variant", "", "", ""), rows)


def _times(variants: Sequence[Variant]) -> Iterator[RenderableType]:
    """Yield how the latencies of each variant are distributed."""
    bins = {each.name: [floor(log10(max(value, 0.1)) * _BINS) for value in each.latencies] for each in variants}
    every = [place for places in bins.values() for place in places]
    if not every:
        return
    parts = {
        (name, place): places.count(place) / len(places)
        for name, places in bins.items()
        if places
        for place in range(min(every), max(every) + 1)
    }
    rows = []
    for place in range(min(every), max(every) + 1):
        for name in bins:
            if parts.get((name, place)):
                part = parts[name, place]
                edge = f"{10 ** (place / _BINS):.3g} to {10 ** ((place + 1) / _BINS):.3g} ms"
                rows.append((edge, name, f"{part:.1%}", bar(part, max(parts.values()))))
    yield Text()
    yield table(("latency", "variant", "requests", ""), rows, right=("requests",))


def _labels(variants: Sequence[Variant]) -> Iterator[RenderableType]:
    shares = {each.name: shares_of(each) for each in variants}
    labels = sorted({label for each in shares.values() for label in each}, key=lambda label: -_most(shares, label))
    if not labels:
        return
    rows = [
        (label if place == 0 else "", name, f"{own.get(label, 0):.1%}", bar(own.get(label, 0), 1))
        for label in labels[:_MOST_LABELS]
        for place, (name, own) in enumerate(shares.items())
    ]
    yield Text()
    yield table(("label", "variant", "rows", ""), rows, right=("rows",))


def _most(shares: dict[str, dict[str, float]], label: str) -> float:
    return max(own.get(label, 0.0) for own in shares.values())


def _verdicts(found: Status) -> Iterator[RenderableType]:
    for each in found.verdicts:
        yield Text()
        yield Text.assemble((each.outcome, _STYLES[each.outcome]), f" {each.variant}: {each.sentence}")
        for one in each.missing:
            yield Text(f"  missing: {one}")
    if found.found.earlier:
        yield Text(f"{found.found.earlier:,} requests up to the last with other shares are not compared", "dim")
