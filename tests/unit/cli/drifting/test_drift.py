"""Bins and their counts, the verdict, and the files of both sides."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet
from scipy import stats
from typer.testing import CliRunner, Result

from pilotlight.drift.bins import Bins
from pilotlight.drift.reference import BINS, DISTINCT
from pilotlight.drift.verdict import LEAST_ROWS, Finding, chi_squared_tail, judge, probability, stability
from pilotlight.model.lock import load_lock
from pilotlight_cli.drifting.choosing import choose
from pilotlight_cli.drifting.counts import SAMPLE, Sample, Values, count
from pilotlight_cli.main import app
from repository import LOCK

NAN, INF = float("nan"), float("inf")


def bins_of(values: Sequence[Any]) -> Bins:
    return choose("x", values)


def judged(before: Sequence[Any], after: Sequence[Any], columns: int = 1) -> Finding:
    bins = bins_of(before)
    one, other = (count(bins, pa.array(values)).tolist() for values in (before, after))
    return judge(bins, one, other, columns)


def normal(seed: int, rows: int = 1000, shift: float = 0.0) -> list[float]:
    found: list[float] = np.random.default_rng(seed).normal(shift, 1, rows).tolist()
    return found


def test_numbers_have_bins_of_equal_shares_and_few_values_one_each() -> None:
    values = normal(1)
    bins = bins_of(values)

    assert len(bins.edges) == BINS + 1
    assert count(bins, pa.array(values)) == pytest.approx([0, *[100] * BINS, 0, 0], abs=1)
    assert bins_of([3, 1, 1, 2]).labels == ("1", "2", "3", "other", "missing")
    assert bins_of(["b", "a", "b"]).labels == ("b", "a", "other", "missing")
    assert bins_of([*range(DISTINCT + 1)]).is_ordered
    assert len(bins_of([f"{number % 50}" for number in range(500)]).values) == DISTINCT


def test_every_value_is_in_one_bin() -> None:
    column: pa.Array = pa.array([*normal(2, 50), None, NAN, INF, -INF, -0.0, 0.0], pa.float64())
    counts = count(bins_of(normal(1)), column)

    assert (counts.sum(), counts[-1]) == (len(column), 2)
    words = count(bins_of(["a", "b", "b"]), pa.array(["b", "new", None, "a", "a"]))
    assert words.tolist() == [1, 2, 1, 1]


def test_a_function_counts_what_files_do() -> None:
    """Without numpy, which a cold start does not have."""
    columns: list[tuple[list[Any], pa.DataType]] = [
        ([*normal(2, 50), None, NAN, INF, -INF, -0.0, 0.0, 1e300], pa.float64()),
        ([1.0, -0.0, 0.0, NAN, None, 7.0], pa.float64()),
        (["b", "new", None, "a", "a", ""], pa.string()),
        ([True, False, None, True], pa.bool_()),
        ([*range(40), None], pa.int64()),
    ]
    for values, type_ in columns:
        for reference in (values, normal(1), [0.0, 1.0], ["a", "b"], [True, False], [NAN, None], []):
            bins = bins_of(reference)
            if bins.edges and pa.types.is_string(type_):
                continue
            assert bins.count(values) == count(bins, pa.array(values, type_)).tolist(), (values, reference)


def test_the_sum_of_a_thousand_parts_is_that_of_all_rows() -> None:
    values = np.asarray([*normal(3, 9_000), *[NAN] * 1000])
    np.random.default_rng(4).shuffle(values)
    bins = bins_of(normal(5))
    total: Values = np.zeros(bins.size, np.int64)
    for part in np.array_split(values, 1000)[::-1]:
        total += count(bins, pa.array(part))

    assert total.tolist() == count(bins, pa.array(values)).tolist()


def test_bins_come_from_all_rows_and_not_from_the_first_ones() -> None:
    sample = Sample()
    for first in range(0, 5 * SAMPLE, SAMPLE // 2):  # sorted, as files often are
        sample.add(range(first, first + SAMPLE // 2))

    assert len(sample.values) == SAMPLE
    edges = np.asarray(choose("x", sample.values).edges[1:-1])
    assert edges / (5 * SAMPLE) == pytest.approx(np.arange(1, BINS) / BINS, abs=0.02)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 9, 10, 20])
def test_the_tail_is_scipys(freedom: int) -> None:
    for value in (0.0, 0.1, 1.0, 5.0, 20.0, 100.0, 1300.0):
        assert chi_squared_tail(value, freedom) == pytest.approx(stats.chi2.sf(value, freedom), rel=1e-9, abs=1e-290)


def test_the_probability_is_scipys_where_no_bin_is_joined() -> None:
    before, after = [300, 500, 200, 30], [120, 260, 100, 20]

    for ordered in (True, False):
        found = probability(before, after, ordered=ordered)
        assert found == pytest.approx(stats.chi2_contingency([before, after], correction=False).pvalue, rel=1e-9)


def test_the_index_is_that_of_its_definition() -> None:
    before, after = [50_000, 50_000, 0], [60_000, 40_000, 0]

    assert stability(before, after) == pytest.approx(0.1 * np.log(0.6 / 0.5) - 0.1 * np.log(0.4 / 0.5), rel=1e-4)


def test_rows_of_the_same_kind_have_not_moved() -> None:
    """A thousand pairs of 1,000 rows, of three kinds of columns: at most 1 % are called moved."""
    random = np.random.default_rng(6)
    kinds = [
        lambda: random.normal(0, 1, 1000).tolist(),
        lambda: random.poisson(3, 1000).tolist(),
        lambda: random.choice(["a", "b", "c", "d"], 1000, p=[0.7, 0.2, 0.09, 0.01]).tolist(),
    ]
    found = [judged(kinds[turn % 3](), kinds[turn % 3]()).level for turn in range(1000)]

    assert sum(level != "none" for level in found) <= 10


def test_a_shift_by_half_a_deviation_is_found_in_a_thousand_rows() -> None:
    found = [judged(normal(2 * turn), normal(2 * turn + 1, shift=0.5), columns=30).level for turn in range(200)]

    assert sum(level != "none" for level in found) >= 190


BASE = normal(7)
WORDS = ["a"] * 600 + ["b"] * 400

TRAPS: dict[str, tuple[Sequence[Any], Sequence[Any], str]] = {
    "the same": (BASE, BASE, "none"),
    "constant": ([5.0] * 1000, [5.0] * 1000, "none"),
    "constant, then another": ([5.0] * 1000, [6.0] * 1000, "large"),
    "constant, then all kinds": ([5.0] * 1000, BASE, "large"),
    "an empty bin": ([1.0, 2.0] * 500, [1.0] * 1000, "large"),
    "a single class": (["a"] * 1000, ["a"] * 1000, "none"),
    "another class": (["a"] * 1000, ["b"] * 1000, "large"),
    "a new category": (WORDS, ["c"] * 300 + WORDS[:700], "large"),
    "whole numbers for floats": ([float(each % 7) for each in range(1000)], [each % 7 for each in range(1000)], "none"),
    "floats for whole numbers": ([*range(1000)], [float(each) for each in range(1000)], "none"),
    "30 rows": (BASE, normal(8, 30), "none"),
    "fewer rows than are needed": (BASE, [9.0] * (LEAST_ROWS - 1), "none"),
    "no rows": (BASE, [], "none"),
    "no reference": ([], BASE, "none"),
    "all missing": (BASE, [None] * 1000, "large"),
    "all missing before": ([None] * 1000, BASE, "large"),
    "all missing on both sides": ([NAN] * 1000, [NAN] * 1000, "none"),
    "twice as many missing": ([None] * 50 + BASE[:950], [None] * 400 + BASE[:600], "large"),
    "minus zero": ([0.0] * 1000, [-0.0] * 1000, "none"),
    "infinities": (BASE, [INF, -INF] * 500, "large"),
    "infinities in the reference": ([INF, -INF, *BASE], [INF, -INF, *BASE], "none"),
    "flags": ([True, False] * 500, [True] * 900 + [False] * 100, "large"),
    "huge numbers": ([each * 1e300 for each in BASE], [each * 1e300 for each in BASE], "none"),
    "skewed by one value": ([0.0] * 900 + BASE[:100], [0.0] * 900 + BASE[100:200], "none"),
}


@pytest.mark.parametrize("name", TRAPS)
@pytest.mark.filterwarnings("error")
def test_no_column_is_a_trap(name: str) -> None:
    before, after, level = TRAPS[name]

    found = judged(before, after)

    assert found.level == level, found
    assert np.isfinite([found.psi, found.p, *found.missing, *found.moved[1:]]).all()


FEATURES = load_lock(LOCK).model.signature.feature_names


def table(seed: int, shift: float = 0.0, rows: int = 1000) -> pa.Table:
    """Return rows of the sample's features, one of which is shifted, and its results."""
    random = np.random.default_rng(seed)
    columns = {name: random.normal(0, 1, rows) for name in FEATURES}
    columns["mean area"] += shift
    probability_ = random.random(rows)
    results = {
        "prediction": np.where(probability_ > 0.5, "malignant", "benign"),
        "probability_benign": (1 - probability_).astype(np.float32),
        "probability_malignant": probability_.astype(np.float32),
    }
    return pa.table(columns | results)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["drift", *arguments, "--lock", str(LOCK)])


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_files_are_compared_by_feature_and_by_result(tmp_path: Path, kind: str) -> None:
    for name, rows in (("before", table(1)), ("after", table(2, shift=1.0))):
        write = parquet.write_table if kind == "parquet" else csv.write_csv
        write(rows, tmp_path / f"{name}.{kind}")

    before, after = (str(tmp_path / f"{name}.{kind}") for name in ("before", "after"))
    done = run(before, after, "--json", "--fail-on", "large")

    found = json.loads(done.stdout)
    assert done.exit_code == 1
    assert found["rows"] == {"reference": 1000, "current": 1000}
    assert [each["name"] for each in found["columns"] if each["drift"] != "none"] == ["mean area"]
    assert {each["name"] for each in found["columns"]} == set(table(1).column_names)


def test_rows_that_the_model_refuses_are_said_and_others_count(tmp_path: Path) -> None:
    before, after = tmp_path / "before.jsonl", tmp_path / "after.jsonl"
    rows = table(3).select(FEATURES).to_pylist()
    before.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    bad = [dict(rows[0], **{"mean area": "large"}), *rows[:99]]
    after.write_text("".join(f"{json.dumps(row)}\n" for row in bad))

    done = run(str(before), str(after))  # no results, which are no drift

    assert done.exit_code == 0, done.stderr
    assert "0 of 30 columns moved, of 1,000 and 100 rows" in done.stdout
    assert f"{after}: 1 of 100 rows are not counted" in done.stderr.replace("\n", "")
