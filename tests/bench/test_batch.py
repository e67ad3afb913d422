"""The benchmark of files: all sides have the same results, and its figures are per row."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyarrow import parquet

import batch
from progress import Watch
from race import RaceError


def test_every_side_scores_the_same_rows(capsys: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    found = batch.measured(2000, 1, Watch(0, said.append, lambda: 0.0))
    (one,) = found["rounds"]
    assert list(one) == list(batch.TITLES) == list(found["titles"])
    assert all(side["processor"] > 0 and side["wall"] > 0 and side["peak"] > 30e6 for side in one.values())
    assert len(said) == 1 + len(batch.TITLES)


def test_a_sides_memory_is_its_own_and_not_that_of_the_benchmark(tmp_path: Path) -> None:
    batch.write_rows(tmp_path / "rows.parquet", 10)
    ballast = b"x" * 600_000_000
    peak = batch._run("bare", tmp_path / "rows.parquet", tmp_path / "result", 10)["peak"]
    assert 30e6 < peak < len(ballast)


def test_a_side_that_fails_or_has_other_results_ends_the_race(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batch.write_rows(tmp_path / "rows.parquet", 10)
    table = parquet.read_table(tmp_path / "rows.parquet")
    parquet.write_table(table.rename_columns(["probability_benign", *table.column_names[1:]]), tmp_path / "0-bare")
    monkeypatch.setattr(batch, "TITLES", {"bare": "bare", "other": "another"})
    parquet.write_table(
        table.slice(5).rename_columns(["probability_benign", *table.column_names[1:]]), tmp_path / "0-other"
    )
    with pytest.raises(RaceError, match="another has other results than bare"):
        batch._check(tmp_path, 0)
    with pytest.raises(RaceError, match="bare ended with 1"):
        batch._run("bare", tmp_path / "none", tmp_path / "result", 1)
