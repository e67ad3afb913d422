"""Measure candidates side by side: each load in a fresh process, all of them once in each round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pilotlight.errors import ModelError
from pilotlight.model.golden import write_golden
from pilotlight.model.lock import write_runtime
from pilotlight.model.signature import write_signature
from pilotlight_cli.optimizing.candidates import Candidate
from pilotlight_cli.sandbox.inspection import Inspection
from pilotlight_cli.sandbox.isolation import run_task
from pilotlight_cli.sandbox.limits import Limits


@dataclass(frozen=True, slots=True)
class Measurement:
    """One load and its runs. `largest` is the largest difference to the original's outputs, None if shapes differ."""

    load_ms: float
    first_ms: float
    warm_ms: float
    peak_bytes: int
    largest: float | None = 0.0
    agrees: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """A candidate's measurements, one per round, or the problem if it did not load or run."""

    candidate: Candidate
    rounds: tuple[Measurement, ...]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Bench:
    """The context of all measurements: the inspected model, and where and how to run it."""

    inspection: Inspection
    vocabulary: tuple[str, ...]
    packages: Path
    folder: Path
    limits: Limits


def measure_rounds(
    candidates: Sequence[Candidate], bench: Bench, rounds: int, step: Callable[[str], None]
) -> tuple[Outcome, ...]:
    """Measure every candidate once in each round. The first is the original, the reference for all outputs.

    The order rotates from round to round. Raises ModelError if the original does not run.
    """
    found: dict[Candidate, list[Measurement]] = {candidate: [] for candidate in candidates}
    problems: dict[Candidate, str] = {}
    for number in range(rounds):
        first = number % len(candidates)
        for candidate in (*candidates[first:], *candidates[:first]):
            if candidate in problems:
                continue
            step(f"round {number + 1} of {rounds}: {candidate.name}")
            try:
                found[candidate].append(_measure(candidate, bench, compare=number > 0 or candidate != candidates[0]))
            except ModelError as error:
                if candidate == candidates[0]:
                    raise
                problems[candidate] = str(error)
    return tuple(
        Outcome(candidate, () if candidate in problems else tuple(measured), problems.get(candidate, ""))
        for candidate, measured in found.items()
    )


def _measure(candidate: Candidate, bench: Bench, *, compare: bool) -> Measurement:
    inspection = bench.inspection
    job: dict[str, Any] = {
        "format": candidate.format,
        "files": [str(file) for file in candidate.files],
        "signature": write_signature(inspection.signature),
        "golden": write_golden(inspection.golden),
        "runtime": write_runtime(replace(inspection.runtime, session=candidate.session)),
        "vocabulary": list(bench.vocabulary),
        "outputs": str(bench.folder / "outputs.npz"),
        "compare": compare,
    }
    about = candidate.files[0].name
    return Measurement(**run_task("measure", job, bench.packages, bench.folder, about, limits=bench.limits))
