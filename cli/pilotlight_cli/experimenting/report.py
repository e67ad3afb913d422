"""`pilotlight experiment report`: the lines of a shadow, added up, in the words of `pilotlight diff`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from math import floor
from typing import Any, overload

from pilotlight.shadow.counts import Counts, merged, unpacked
from pilotlight_cli.comparing.numbers import Differences, Flips, quantile, spread
from pilotlight_cli.comparing.predictions import Compared, Predictions
from pilotlight_cli.comparing.report import predictions_document

# The event of a shadow's lines (`pilotlight.shadow.watch`).
EVENT = "shadow"

_SUMS = ("calls", "compared", "rows", "dropped", "control_us", "shadow_us")
_KINDS = 5


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """What the lines of one shadow say together.

    `counts` are calls of the model, those compared and dropped, rows, and microseconds of both versions for the same
    calls. `failed` are calls by the reason. `error` is the largest relative error of a quantile, of any output.
    """

    control: str
    shadow: str
    counts: Mapping[str, int]
    failed: Mapping[str, int]
    predictions: Predictions
    error: float

    @property
    def ratio(self) -> float | None:
        """The shadow's time for the control's, of the same calls."""
        return self.counts["shadow_us"] / self.counts["control_us"] if self.counts["control_us"] else None


def summed(records: Iterable[Mapping[str, Any]]) -> list[ShadowReport]:
    """Return a report for each control and shadow, in the order of their versions."""
    found: dict[tuple[str, int, int], list[Mapping[str, Any]]] = {}
    for record in records:
        key = record["model_name"], record["model_version"], record["shadow_version"]
        found.setdefault(key, []).append(record)
    return [_report(*key, found[key]) for key in sorted(found)]


def document(report: ShadowReport) -> dict[str, Any]:
    """Return a report as a JSON document; `predictions` are as those of `diff`."""
    return {
        "before": report.control,
        "after": report.shadow,
        **report.counts,
        "failed": dict(report.failed),
        "latency_ratio": report.ratio,
        "quantile_error": report.error,
        "predictions": predictions_document(report.predictions, "requests", rows=report.counts["rows"]),
    }


def _report(name: str, control: int, shadow: int, records: Sequence[Mapping[str, Any]]) -> ShadowReport:
    counts, failed = Counter(dict.fromkeys(_SUMS, 0)), Counter[str]()
    for record in records:
        counts.update({each: record.get(each, 0) for each in _SUMS})
        failed.update(record.get("failed", {}))
    outputs = merged([record["outputs"] for record in records])
    error = max((10 ** (0.5 / one["scale"]) - 1 for one in outputs if one.get("bins")), default=0.0)
    predictions = Predictions((), ({}, {}), tuple(map(_compared, outputs)))
    return ShadowReport(f"{name}:{control}", f"{name}:{shadow}", dict(counts), failed, predictions, error)


def _compared(one: Counts) -> Compared:
    names = one["before"], one["after"], one["width"]
    if "problem" in one:
        return Compared(*names, problem=one["problem"])
    if "flips" in one:
        kinds = tuple((old, new, times) for old, new, times in one["kinds"][:_KINDS])
        return Compared(*names, flips=Flips(one["values"], one["flips"], (), kinds))
    return Compared(*names, differences=_differences(one))


def _differences(one: Counts) -> Differences:
    bins, equal, scale = unpacked(one["bins"]), one["equal"], one["scale"]
    count = equal + sum(bins.values())
    if not count:
        return Differences(0, one["unmatched"], 0.0, 0, 0.0, 0.0, 0.0, 0.0, ())
    ordered = _Binned(equal, bins, scale, one["largest"])
    powers: Counter[int] = Counter()
    for number, values in bins.items():
        powers[floor(number / scale)] += values
    return Differences(
        count=count,
        unmatched=one["unmatched"],
        largest=one["largest"],
        largest_at=0,
        mean=one["sum"] / count,
        p50=quantile(ordered, 0.5),
        p95=quantile(ordered, 0.95),
        p99=quantile(ordered, 0.99),
        bins=spread(equal, powers),
    )


class _Binned(Sequence[float]):
    """Sorted distances as far as their bins tell them: each is in the middle of its bin, and the largest is known."""

    def __init__(self, equal: int, bins: Mapping[int, int], scale: int, largest: float) -> None:
        self._values = [0.0, *(min(10 ** ((number + 0.5) / scale), largest) for number in bins)]
        self._ends = list(accumulate(chain([equal], bins.values())))
        self._largest = largest

    def __len__(self) -> int:
        return self._ends[-1]

    @overload
    def __getitem__(self, place: int) -> float: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[float]: ...

    def __getitem__(self, place: int | slice) -> float | Sequence[float]:
        if isinstance(place, slice):
            return [self[each] for each in range(len(self))[place]]
        if place == len(self) - 1:
            return self._largest
        return next(value for value, end in zip(self._values, self._ends, strict=True) if place < end)
