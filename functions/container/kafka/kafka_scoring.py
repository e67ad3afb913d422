"""Scores the records of a batch, for as long as it takes, and again where it was not their fault that they failed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from pilotlight.records.decode import EventRecord
from pilotlight.records.score import Outcome, Scorer, Scoring

# Seconds for one pass over a batch. Kafka sets no deadline: the partitions stay assigned meanwhile.
_PASS = 3600.0

# Failures that say nothing about the record.
_PASSING = ("features_unavailable", "not_ready", "out_of_time")


def is_passing(outcome: Outcome) -> bool:
    """Whether the record has to be scored again."""
    return outcome.error is not None and outcome.error.code in _PASSING


def score_all(
    scorer: Scorer, records: Sequence[EventRecord], gives_up: Callable[[], bool], warn: Callable[[str], None]
) -> Scoring:
    """Return the outcome of each record. What failed in passing is scored again, until `gives_up`, which waits."""
    scoring = scorer.score(records, time.monotonic() + _PASS)
    while waiting := [index for index, outcome in enumerate(scoring.outcomes) if is_passing(outcome)]:
        warn(f"{len(waiting)} of {len(records)} records wait: {scoring.outcomes[waiting[0]].error}")
        if gives_up():
            break
        again = scorer.score([records[index] for index in waiting], time.monotonic() + _PASS)
        outcomes = list(scoring.outcomes)
        for index, outcome in zip(waiting, again.outcomes, strict=True):
            outcomes[index] = outcome
        scoring = replace(
            again,
            outcomes=outcomes,
            runs=scoring.runs + again.runs,
            rows=scoring.rows + again.rows,
            out_of_range=scoring.out_of_range + again.out_of_range,
        )
    return scoring
