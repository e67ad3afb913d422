"""The benchmark of records: its sides score the rows of one batch, and its figures can be told."""

from __future__ import annotations

import pytest

import records
from race import RaceError
from warm_cases import numbers_of


def test_records_of_every_source_are_scored_and_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_TURN", 0.001)
    found = records.measured(2)
    assert found["one"] > 0
    for reference in ("over_one", "over_batch"):
        assert list(found[reference]) == list(found["titles"])
        assert all(spread["median"] > 0 for spread in found[reference].values())
    assert list(found["over_alone"]) == ["sqs", "csv", "kinesis", "kafka", "dynamodb"]
    assert found["over_one"]["sqs"]["median"] < 1
    assert "200 messages of SQS, JSON, one of them poison" in records.table(found)


def test_results_that_are_not_those_of_the_batch_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = numbers_of(200)
    monkeypatch.setattr("records.numbers_of", lambda _: [*rows[1:], rows[0]])
    with pytest.raises(RaceError, match="200 messages of SQS, JSON: the results are not those of /predict_batch"):
        records.measured(1)
