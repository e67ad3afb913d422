"""Summaries of many requests: what a line has, and how often one is written."""

from __future__ import annotations

import json
import threading

import pytest

import cloud_logging
import emf
from pilotlight.summaries import MOST_BYTES, PERIOD, Summaries
from pilotlight.telemetry import Record, Summary, fields, is_written


def summary(rows: int) -> Summary:
    return Summary("kind", "breast-cancer", 3, {"rows": rows})


class Counted:
    """Counts rows, on a clock that the test moves."""

    def __init__(self) -> None:
        self.now, self.rows, self.lines = 0.0, 0, list[Record]()
        self.summaries = Summaries(self.lines.append, self.take, lambda: self.now)

    def take(self) -> Summary | None:
        rows, self.rows = self.rows, 0
        return summary(rows) if rows else None

    def see(self, now: float) -> None:
        self.now, self.rows = now, self.rows + 1
        self.summaries.offer()


def test_a_line_is_written_at_once_and_then_at_most_once_a_minute() -> None:
    counted = Counted()
    for now in (0.0, 1.0, 59.9, PERIOD, 61.0, 500.0, 500.0 + PERIOD):
        counted.see(now)

    assert counted.lines == [summary(rows) for rows in (1, 3, 2, 1)]


def test_nothing_to_say_takes_no_turn() -> None:
    counted = Counted()
    counted.summaries.offer()
    counted.see(1.0)

    assert counted.lines == [summary(1)]


def test_of_threads_that_come_together_one_writes() -> None:
    written: list[Record] = []
    inside = threading.Barrier(8)
    summaries = Summaries(written.append, lambda: summary(1), lambda: 5.0)

    def offer() -> None:
        inside.wait()
        summaries.offer()

    threads = [threading.Thread(target=offer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert written == [summary(1)]


def test_a_line_has_the_counts_and_is_for_the_level_of_information() -> None:
    record = summary(2)

    assert fields(record) == {"event": "kind", "model_name": "breast-cancer", "model_version": 3, "rows": 2}
    assert is_written(record, "INFO")
    assert not is_written(record, "WARNING")


def test_the_line_on_aws_is_no_metric(capsys: pytest.CaptureFixture[str]) -> None:
    emf.reporter("INFO", "Pilotlight")(summary(2))

    line = json.loads(capsys.readouterr().out)
    assert (line["event"], line["rows"]) == ("kind", 2)
    assert "_aws" not in line


def test_the_longest_line_of_either_cloud_has_two_kilobytes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "f" * 64)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_VERSION", "9" * 10)
    emf._dimensions.cache_clear()
    counts = {"counts": "x" * (MOST_BYTES - len(json.dumps({"counts": ""})))}
    record = Summary("longest_event", "m" * 41, 999_999_999, counts)

    emf.reporter("INFO", "Pilotlight")(record)
    cloud_logging.reporter("INFO", "n" * 255)(record)

    emf._dimensions.cache_clear()
    assert max(map(len, capsys.readouterr().out.splitlines())) < 2_048
