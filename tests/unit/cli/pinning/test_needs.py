"""What a start needs: measured by `publish` in a fresh process, and told to whoever configures memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from skl2onnx import to_onnx
from sklearn.datasets import make_regression
from sklearn.ensemble import RandomForestRegressor

import descriptions
from onnx_models import with_external_data
from pilotlight.model.lock import Needs
from pilotlight_cli.pinning.needs import needs_text, slow_start, to_configure, too_small
from pilotlight_cli.sandbox.inspection import Inspection, inspect
from repository import SAMPLE

MB = 1 << 20


def measured(path: Path) -> Inspection:
    return inspect(path, format=None, signature=None, golden=None, allow=(), measures=True)


def test_a_forest_needs_many_times_its_file_and_more_than_a_small_model(tmp_path: Path) -> None:
    rows, targets = make_regression(4000, 8, noise=1, random_state=0)
    forest = RandomForestRegressor(n_estimators=40, random_state=0, n_jobs=2).fit(rows, targets)
    path = tmp_path / "forest.onnx"
    path.write_bytes(to_onnx(forest, rows[:1].astype("float32")).SerializeToString())
    small, large = measured(SAMPLE / "model.onnx").needs, measured(path).needs
    assert small
    assert large
    assert 20 < small.memory_mb < 128
    assert large.memory_mb > small.memory_mb + 3 * path.stat().st_size / MB
    assert large.load_ms > small.load_ms > 0


def test_a_model_with_a_file_beside_it_is_measured_as_it_is_published(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(bytes(16))
    assert measured(with_external_data(tmp_path, "weights.bin")).needs


@pytest.mark.parametrize(("peak", "size"), [(49, 128), (103, 192), (185, 256), (1000, 1280)])
def test_a_quarter_more_than_the_peak_is_to_be_configured(peak: int, size: int) -> None:
    model = replace(descriptions.measured_model(), needs=Needs(peak, 900))
    assert to_configure(model) == size
    assert needs_text(model) == f"{peak} MB, 0.9 s to load"


def test_a_setting_that_is_too_small_is_told_with_the_size_to_set() -> None:
    model = descriptions.measured_model()
    assert too_small(model, "MemorySize", 128 * MB) == (
        "MemorySize is 128 MB, and a start of breast-cancer:3 took 185 MB when it was published; set at least 256 MB"
    )
    assert not too_small(model, "MemorySize", 148 * MB)
    assert "beside 1 MB of files in memory" in too_small(model, "memory", 148 * MB, disk_is_memory=True)
    assert not too_small(descriptions.onnx_model(), "MemorySize", 1)


def test_a_load_beyond_the_init_of_lambda_names_the_modes_that_wait_longer() -> None:
    slow = replace(descriptions.measured_model(), needs=Needs(185, 10_001))
    assert "set StartMode to provisioned or snapstart" in slow_start(slow)
    assert not slow_start(descriptions.measured_model())
    assert not slow_start(descriptions.onnx_model())
