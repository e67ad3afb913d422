"""`pilotlight experiment status`: where an experiment is, what it counted, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pilotlight.experiments.lock import FILE, REQUEST, ExperimentLock
from pilotlight.model.lock import load_lock
from pilotlight_cli.experimenting.beside import experiment_beside
from pilotlight_cli.experimenting.shares import percent
from pilotlight_cli.experimenting.tally import Tally, Variant, tally
from pilotlight_cli.experimenting.verdicts import Test, Verdict, judge
from pilotlight_cli.project import ProjectUsageError

_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_FORM = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Status:
    """An experiment, when it runs, what its lines say of each variant, and the verdict on each treatment.

    `phase` is `running`, `not started` or `ended`.
    """

    experiment: ExperimentLock
    phase: str
    found: Tally
    verdicts: tuple[Verdict, ...]


def experiment_of(lock: Path) -> ExperimentLock:
    """Return the experiment beside a lock. Raise ProjectUsageError without one, FormatError."""
    experiment = experiment_beside(lock, load_lock(lock).model)
    if experiment is None:
        raise ProjectUsageError(f"no experiment at {lock.with_name(FILE)}; start one with 'pilotlight experiment pin'")
    return experiment


def start_of(experiment: ExperimentLock, usual: datetime) -> datetime:
    """Return when an experiment starts; one without a start may have begun at any time since `usual`."""
    return datetime.strptime(experiment.start, _FORM).replace(tzinfo=UTC) if experiment.start else usual


def status(records: Iterable[Mapping[str, Any]], experiment: ExperimentLock, now: datetime) -> Status:
    """Return the status by the records of requests, oldest first, at a moment."""
    found = tally(records, experiment)
    moment = now.astimezone(UTC).strftime(_FORM)
    running = "running" if experiment.is_running(moment) else "ended" if experiment.start <= moment else "not started"
    return Status(experiment, running, found, judge(found, by_request=experiment.unit == REQUEST))


def document(found: Status) -> dict[str, object]:
    """Return the status as JSON has it."""
    return {
        "experiment": found.experiment.salt,
        "unit": found.experiment.unit,
        "phase": found.phase,
        "variants": [_variant(each) for each in found.found.variants],
        "requests_before_change": found.found.earlier,
        "verdicts": [_verdict(each) for each in found.verdicts],
    }


def shares_of(variant: Variant) -> dict[str, float]:
    """Return the share of the rows of each label, the largest first."""
    labels = variant.labels
    return {label: count / labels.total() for label, count in labels.most_common()}


def latencies(variant: Variant) -> dict[str, float | None]:
    """Return quantiles of the latency in milliseconds by name."""
    return {name: variant.quantile(part) for name, part in _QUANTILES.items()}


def score(variant: Variant) -> float | None:
    """Return the mean score of the answers, None without any."""
    number = variant.total("scored")
    return variant.total("score") / number if number else None


def _variant(variant: Variant) -> dict[str, object]:
    return {
        "variant": variant.name,
        "weight": float(percent(variant.buckets)),
        "exposures": len(variant.clusters),
        "requests": int(variant.total("requests")),
        "client_errors": int(variant.total("client_errors")),
        "server_errors": int(variant.total("server_errors")),
        "answered_by_control": variant.fallbacks,
        "unusable_lines": variant.unusable_lines,
        "latency_ms": latencies(variant),
        "labels": shares_of(variant),
        "score": score(variant),
    }


def _verdict(verdict: Verdict) -> dict[str, object]:
    return {
        "variant": verdict.variant,
        "outcome": verdict.outcome,
        "sentence": verdict.sentence,
        "missing": list(verdict.missing),
        "sample_ratio_p": verdict.ratio_p,
        "tests": [_test(each) for each in verdict.tests],
    }


def _test(test: Test) -> dict[str, object]:
    return {
        "kind": test.kind,
        "treatment": test.treatment,
        "control": test.control,
        # JSON has no infinity
        "evidence": min(test.evidence, 1e308),
        "needed": test.needed,
        "found": test.is_found,
    }
