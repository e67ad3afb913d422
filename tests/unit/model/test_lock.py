"""What a lock may name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import descriptions
from pilotlight.errors import RuntimeMismatch
from pilotlight.model.formats import LIBRARIES, is_before
from pilotlight.model.lock import load_lock, read_lock, write_lock
from pilotlight.runtimes.onnx.c_library import API_VERSION


@pytest.mark.parametrize(
    ("version", "early"),
    [
        *(
            (version, True)
            for version in ("1.9", "1.26.9", "0.99.0", "1.27.0rc1", "1.27.0.dev1", "1.27rc1", "1.27.dev3")
        ),
        *((version, True) for version in ("1.27.0a1+cpu", "1.27.0rc1.post1", "1.27-1", "1.26.post9", "1!1.0", "1")),
        *((version, False) for version in ("1.27", "1.27.0", "1.27.0.0", "1.27.1", "1.31.1", "1.100", "2", "2.0rc1")),
        *((version, False) for version in ("1.27.0+cpu", "1.27.0+post1.dev2", "1.27.0.post1", "1.28.0.dev1", "01.27")),
    ],
)
def test_versions_are_compared_by_their_numbers(version: str, early: bool) -> None:
    assert is_before(version, "1.27.0") == early
    assert is_before(version, "1.27") == early


def test_a_lock_with_a_library_that_is_too_old_is_not_loaded(tmp_path: Path) -> None:
    model = descriptions.onnx_model()
    lock = descriptions.lock(replace(model, runtime=replace(model.runtime, packages={"onnxruntime": "1.26.0"})))
    content = json.dumps(write_lock(lock)).encode()
    (tmp_path / "model.lock").write_bytes(content)
    with pytest.raises(
        RuntimeMismatch, match=r"model\.lock: found onnxruntime 1\.26\.0, expected 1\.27\.0 or later; publ"
    ):
        load_lock(tmp_path / "model.lock")
    assert read_lock(content) == lock  # a version that was deployed before can still be asked what it is


def test_every_onnxruntime_that_is_not_too_old_has_the_functions_that_are_called() -> None:
    assert not is_before(LIBRARIES["onnxruntime"].oldest, f"1.{API_VERSION}")
