"""The function's own counts: merged exactly, bounded in size and in time, and never in a request's way."""

from __future__ import annotations

import json
import threading
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from operator import add
from typing import Any

import pytest

import descriptions
from pilotlight.drift.bins import Bins
from pilotlight.drift.reference import Column
from pilotlight.drift.watch import BLOCK, SHARE, WINDOW, Watch
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import BYTES, FP32, INT64, Tensor, pack
from pilotlight.summaries import MOST_BYTES, PERIOD
from pilotlight.telemetry import Record, fields

MODEL = replace(descriptions.measured_model())
NAN, INF = float("nan"), float("inf")


def floats(rows: Sequence[Sequence[float]]) -> Tensor:
    values = [value for row in rows for value in row]
    return Tensor(FP32, (len(rows), len(rows[0])), array("f", values))


def answers(inputs: Tensor) -> tuple[Tensor, Tensor]:
    rows = inputs.shape[0]
    labels = pack(INT64, [row % 3 for row in range(rows)], str)
    return Tensor(INT64, (rows,), labels), floats([[0.25, 0.75]] * rows)


class Process:
    """A function's process: its lines, its clock, and a processor that takes as long as the test says."""

    def __init__(self, columns: Sequence[Column] = (), **options: Any) -> None:
        self.now, self.lines = 0.0, list[Record]()
        options = {"clock": lambda: self.now, "processor": count(1).__next__} | options  # a second at each look
        self.watch = Watch(
            options.pop("model", MODEL), columns or descriptions.reference(), self.lines.append, **options
        )

    def see(self, rows: Sequence[Sequence[float]]) -> None:
        inputs = floats(rows)
        self.watch((inputs,), answers(inputs))

    def end(self) -> None:
        """Write the lines that are due, until nothing is left."""
        for _ in range(50):
            self.now += PERIOD
            self.watch._summaries.offer()

    def documents(self) -> Iterator[Mapping[str, Any]]:
        yield from map(fields, self.lines)


def merged(documents: Iterator[Mapping[str, Any]], columns: int = 5) -> list[list[int]]:
    totals: list[list[int]] = [[] for _ in range(columns)]
    for line in documents:
        for index, counts in enumerate(line["counts"], line["first"]):
            totals[index] = [one + other for one, other in zip(totals[index] or [0] * len(counts), counts, strict=True)]
    return totals


def numbers(count: int) -> list[list[float]]:
    """Return rows with all kinds of floats among them, in 32 bits exactly."""
    odd = [NAN, INF, -INF, -0.0, 0.0, 6.5, 28.5, 14.0, 1e30]
    return [[odd[row % 41] if row % 41 < len(odd) else (row * 37 % 160) / 4, row % 50] for row in range(count)]


def test_the_sum_of_a_thousand_parts_is_that_of_all_rows() -> None:
    rows = numbers(10_000)
    process = Process()
    for part in range(1000):
        process.now = part * 7.0
        process.see(rows[part * 10 : part * 10 + 10])
    process.end()

    flat = [value for row in rows for value in floats([row]).values()]
    expected = [column.bins.count(flat[index::2]) for index, column in enumerate(descriptions.reference()[:2])]
    found = merged(process.documents())
    assert found[:2] == expected
    assert sum(line["rows"] for line in process.documents()) == sum(found[2]) == 10_000
    assert len(process.lines) <= 7000 // PERIOD + 2


def test_rows_that_threads_count_together_all_count() -> None:
    process = Process()

    def see() -> None:
        for _ in range(200):
            process.see(numbers(3))

    threads = [threading.Thread(target=see) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    process.end()

    assert [sum(counts) for counts in merged(process.documents())] == [8 * 200 * 3] * 5


def test_a_line_has_counts_of_bins_and_no_value() -> None:
    process = Process()
    process.see([[20.125, 3.0625]])

    (line,) = process.documents()
    assert line == {
        "event": "drift",
        "model_name": "breast-cancer",
        "model_version": 3,
        "reference": "d" * 16,
        "rows": 1,
        "seen": 1,
        "first": 0,
        "counts": [[0, 0, 1, 0, 0], [1, 0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0]],
    }
    assert "20.125" not in json.dumps(line)


def test_columns_that_have_no_room_in_a_line_come_with_the_next() -> None:
    """A model of 1,000 features: each line is small, and none of the counts is lost."""
    names = tuple(f"f{index}" for index in range(1000))
    signature = Signature((Input("x", FP32, (-1, 1000), "features", names),), (Output("y", FP32, (-1, 1), "tensor"),))
    columns = [Column(Bins(name, edges=(0.0, 1.0, 2.0)), (0, 5, 5, 0, 0)) for name in (*names, "prediction")]
    process = Process(columns, model=replace(MODEL, signature=signature))
    for _ in range(40):
        process.now += PERIOD
        process.watch((floats([[0.5] * 1000] * 50),), (floats([[1.5]] * 50),))

    found = merged(process.documents(), 1001)
    left = process.watch._counts
    total = [list(map(add, one, other)) for one, other in zip(found, left, strict=True)]
    assert total == [[0, 2000, 0, 0, 0]] * 1000 + [[0, 0, 2000, 0, 0]]
    assert min(map(sum, found)) >= 1000
    assert len(process.lines) == 40
    for line in process.documents():
        counts = {name: line[name] for name in line if name not in ("event", "model_name", "model_version")}
        assert len(json.dumps(counts, separators=(",", ":"))) <= MOST_BYTES


def test_texts_count_too() -> None:
    signature = Signature((Input("city", BYTES, (-1, 1), "features", missing=True),), descriptions.COLUMNS.outputs)
    columns = [Column(Bins("city", values=("a", "b")), (5, 5, 0, 0)), Column(Bins("prediction", values=()), (0, 10))]
    process = Process(columns, model=replace(MODEL, signature=signature))
    process.watch((Tensor(BYTES, (4, 1), ["a", None, "new", "a"]),), (floats([[NAN]] * 4),))
    process.watch((Tensor(BYTES, (300, 1), ["b"] * 300),), (floats([[1.0]] * 300),))
    process.end()

    assert merged(process.documents(), 2) == [[2, 300, 1, 1], [300, 4]]


@pytest.mark.parametrize("rows", [1, 7, BLOCK, 5000])
def test_counting_takes_its_share_of_the_processor_at_most(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row takes 10 us of the processor, and a call of the model 1 us a row: a tenth of the rows at most can count."""
    busy, spent = [0.0], [0.0]
    process = Process(processor=lambda: busy[0], thread=lambda: spent[0])
    usual = Bins.count

    def slow(self: Bins, values: Sequence[Any]) -> list[int]:
        spent[0] += 2e-6 * len(values)  # five columns
        return usual(self, values)

    monkeypatch.setattr(Bins, "count", slow)
    batch = numbers(rows)
    for _ in range(60_000 // rows):
        busy[0] += 1e-6 * rows
        process.see(batch)
    process.end()

    lines = list(process.documents())
    counted, seen = (sum(line[name] for line in lines) for name in ("rows", "seen"))
    assert seen == 60_000 // rows * rows
    first = BLOCK * 10e-6 if rows <= BLOCK else 1024 * 10e-6
    assert spent[0] <= SHARE * busy[0] + first
    assert counted > 0


def test_enough_rows_are_judged_by_the_process_itself() -> None:
    process = Process()
    usual = [[14.0 - (row % 100 < 60) * 2, 18.0 - (row % 100 < 60)] for row in range(WINDOW)]
    for rows in (usual, [[100.0, row[1]] for row in usual]):
        process.now += PERIOD
        process.see(rows[:600])
        process.now += PERIOD
        process.see(rows[600:])

    found = [(line.get("judged", 0), line.get("moved", 0)) for line in process.documents()]
    moved = found[1][1]
    assert found == [(0, 0), (WINDOW, moved), (0, 0), (WINDOW, moved + 1)]


def test_what_cannot_be_counted_harms_no_request() -> None:
    process = Process()
    process.watch((floats([[1.0, 2.0]]),), ())
    process.watch((floats([[1.0, 2.0]]),), answers(floats([[1.0, 2.0]] * 3)))
    process.see([[1.0, 2.0]] * BLOCK)
    process.see([[1.0, 2.0]] * BLOCK)
    process.end()

    assert sum(line["rows"] for line in process.documents()) >= BLOCK


def test_a_report_that_fails_harms_no_request() -> None:
    def fail(_record: Record) -> None:
        raise OSError("no space left")

    watch = Watch(MODEL, descriptions.reference(), fail)
    inputs = floats([[1.0, 2.0]])
    watch((inputs,), answers(inputs))
