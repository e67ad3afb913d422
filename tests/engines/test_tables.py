"""Tables in the workers of engines: Beam by the guide's own pipeline, and what Spark's function is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from batch_runs import NAMES, STORE, ask, scored
from docs import pages
from pilotlight.errors import FormatError
from pilotlight_cli.assets import ROOT
from pilotlight_cli.batching.tables import FAILURE, TableScorer, map_in_arrow
from pilotlight_cli.hostenv import host_packages
from repository import LOCK, SAMPLE

GUIDE = "docs/guides/score-with-an-engine.md"


def rows(count: int, seed: int, bad: int = 0) -> pa.Table:
    """Return rows with an id; of each hundred so many lack a feature."""
    values = np.random.default_rng(seed).uniform(0, 30, (count, len(NAMES))).astype(np.float32)
    columns = {name: pa.array(values[:, index]) for index, name in enumerate(NAMES)}
    columns[NAMES[3]] = pa.array([None if row % 100 < bad else value for row, value in enumerate(values[:, 3])])
    return pa.table({"id": pa.array(range(seed * count, (seed + 1) * count)), **columns})


def test_every_row_has_its_result_or_its_failure_at_its_place() -> None:
    table = rows(2500, 1, bad=2)
    found = TableScorer(LOCK, STORE, ["id"]).score(table)
    assert found.column("id").equals(table.column("id"))
    failed = [row for row, reason in enumerate(found.column(FAILURE).to_pylist()) if reason]
    assert failed == [row for row in range(2500) if row % 100 < 2]
    assert [row for row, one in enumerate(found.column("prediction").to_pylist()) if one is None] == failed
    assert found.column(FAILURE)[0].as_py().startswith(f"{NAMES[3]}: expected a number (FP32), found null")


def test_a_batch_of_bad_rows_and_an_empty_one_keep_their_form() -> None:
    scorer = TableScorer(LOCK, STORE)
    assert scorer.score(rows(3, 1, bad=100)).column("prediction").null_count == 3
    assert scorer.score(rows(3, 1)[:0]).num_rows == 0


def test_a_table_without_a_feature_is_refused() -> None:
    with pytest.raises(FormatError, match=f'the column "{NAMES[0]}" is missing'):
        TableScorer(LOCK, STORE).score(rows(3, 1).drop_columns([NAMES[0]]))


def test_the_function_for_spark_gives_what_the_tables_do() -> None:
    table = rows(300, 2, bad=1)
    found = pa.Table.from_batches(map_in_arrow(LOCK, STORE, ["id"])(table.to_batches(max_chunksize=100)))
    assert found.equals(TableScorer(LOCK, STORE, ["id"]).score(table).combine_chunks())


@pytest.mark.slow
def test_the_guides_pipeline_on_beam_scores_what_batch_does(tmp_path: Path) -> None:
    for name in ("model.lock", "golden.json"):
        shutil.copy(SAMPLE / name, tmp_path)
    shutil.copytree(SAMPLE / "store", tmp_path / "store")
    (tmp_path / "rows").mkdir()
    for number in (1, 2):
        parquet.write_table(rows(3000, number, bad=1), tmp_path / "rows" / f"{number}.parquet", row_group_size=1000)
    packages = host_packages((Path(__file__).with_name("beam.lock")).read_text())
    block = next(block for block in pages.blocks(GUIDE, pages.read(GUIDE)) if block.language == "python")
    path = os.pathsep.join(map(str, (packages, ROOT / "cli", ROOT / "shared")))
    done = subprocess.run(
        [sys.executable, "-c", block.text],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = parquet.read_table(sorted((tmp_path / "scored").iterdir())).sort_by("id")
    assert found.num_rows == 6000
    manifest = scored(ask(tmp_path / "rows", tmp_path / "out", keep=("id",)))
    assert manifest["failed"] == found.num_rows - found.column(FAILURE).null_count == 60
    expected = parquet.read_table([tmp_path / "out" / part["name"] for part in manifest["parts"]]).sort_by("id")
    good = found.filter(pa.compute.is_null(found.column(FAILURE))).drop_columns([FAILURE])
    assert good.combine_chunks().equals(expected.combine_chunks().cast(good.schema))
