"""The log lines of an experiment, summed up: for each variant, and in it for each bucket.

A bucket is what is assigned, and all that a line says of its unit. So it is what is compared: the requests of one user
are not independent of each other. With the unit `request` each request stands for itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil, isfinite, log
from typing import Any, TypeGuard

from pilotlight.experiments.assignment import BUCKETS, size
from pilotlight.experiments.lock import REQUEST, ExperimentLock
from pilotlight.experiments.variants import CONTROL

# The event of a request's line (`pilotlight.telemetry`).
EVENT = "request"

# Milliseconds: a shorter latency counts as this one, whose logarithm is compared.
_SHORTEST = 0.1


@dataclass(slots=True)
class Cluster:
    """The requests of a bucket: how many, the errors among them, and the sums over those that were answered."""

    requests: int = 0
    client_errors: int = 0
    server_errors: int = 0
    answered: int = 0
    log_latency: float = 0.0
    rows: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    scored: int = 0
    score: float = 0.0
    square: float = 0.0


@dataclass(slots=True)
class Variant:
    """A variant with its share in buckets, and the requests of its units, whoever answered them.

    `fallbacks` are those that the control answered since the treatment was not loaded. `unusable` says of the first
    line that cannot be counted what is wrong with it, `unusable_lines` how many there are.
    """

    name: str
    buckets: int
    clusters: dict[int, Cluster] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    fallbacks: int = 0
    unusable: str = ""
    unusable_lines: int = 0

    def total(self, name: str) -> float:
        """Return the sum of a field of all buckets."""
        return float(sum(getattr(each, name) for each in self.clusters.values()))

    @property
    def labels(self) -> Counter[str]:
        """The rows of each label."""
        return sum((each.labels for each in self.clusters.values()), Counter())

    def quantile(self, part: float) -> float | None:
        """Return a quantile of the latency of answered requests in milliseconds, by nearest rank; None without any."""
        ordered = sorted(self.latencies)
        return ordered[max(ceil(part * len(ordered)) - 1, 0)] if ordered else None


@dataclass(slots=True)
class Tally:
    """The variants, the control first, since the shares last changed; `earlier` are the requests before that."""

    variants: tuple[Variant, ...]
    earlier: int = 0

    @property
    def control(self) -> Variant:
        """The pinned version."""
        return self.variants[0]


def tally(records: Iterable[Mapping[str, Any]], experiment: ExperimentLock) -> Tally:
    """Sum up the lines of requests, oldest first, that the assignment of an experiment decided.

    A line whose bucket had another variant than now is from before the shares changed. Neither it nor an earlier one
    is compared: newcomers would have had less time than the others.
    """
    found, by_request = _empty(experiment), experiment.unit == REQUEST
    for number, record in enumerate(records):
        if record.get("event") != EVENT or record.get("experiment") != experiment.salt or "assigned" not in record:
            continue
        bucket = record.get("bucket")
        if not isinstance(bucket, int):
            for one in found.variants:
                if one.name == record["assigned"]:
                    _refuse(one, "a line has no bucket; release the function again, with this Pilotlight")
            continue
        treatment = experiment.treatment(bucket)
        variant = treatment.variant if treatment else CONTROL
        if record["assigned"] != variant:
            before = sum(int(each.total("requests")) for each in found.variants)
            found = Tally(_empty(experiment).variants, found.earlier + before + 1)
            continue
        own = next(each for each in found.variants if each.name == variant)
        problem = _problem(record)
        if problem:
            _refuse(own, problem)
        else:
            _add(own, own.clusters.setdefault(number if by_request else bucket, Cluster()), record)
    return found


def _empty(experiment: ExperimentLock) -> Tally:
    treated = tuple(Variant(one.variant, size(one.buckets)) for one in experiment.treatments)
    return Tally((Variant(CONTROL, BUCKETS - sum(one.buckets for one in treated)), *treated))


def _refuse(variant: Variant, problem: str) -> None:
    variant.unusable = variant.unusable or problem
    variant.unusable_lines += 1


def _problem(record: Mapping[str, Any]) -> str:
    """Return what of a line can be no count, or ""."""
    status, latency, rows, labels = (record.get(name) for name in ("status", "latency_ms", "rows", "labels"))
    if not isinstance(status, int) or not 100 <= status < 600:
        return f"a line has the status {status!r}"
    if not _is_number(latency) or latency < 0:
        return f"a line has the latency {latency!r}"
    if not isinstance(rows, int) or rows < 0:
        return f"a line has {rows!r} rows"
    if "score" in record and not _is_number(record["score"]):
        return "an answer has a score that is not finite"
    if labels is not None and status < 400:
        counts = list(labels.values()) if isinstance(labels, dict) else []
        if not all(isinstance(count, int) and count >= 0 for count in counts) or sum(counts) != rows:
            return f"an answer has the labels {labels!r} for {rows} rows"
    return ""


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)


def _add(variant: Variant, cluster: Cluster, record: Mapping[str, Any]) -> None:
    status, latency = record["status"], float(record["latency_ms"])
    cluster.requests += 1
    variant.fallbacks += record.get("variant") != variant.name
    if status >= 400:
        cluster.client_errors += status < 500
        cluster.server_errors += status >= 500
        return
    cluster.answered += 1
    cluster.log_latency += log(max(latency, _SHORTEST))
    variant.latencies.append(latency)
    cluster.rows += record["rows"]
    cluster.labels.update(record.get("labels") or {})
    if "score" in record:
        cluster.scored += 1
        cluster.score += record["score"]
        cluster.square += record["score"] ** 2
