"""Damaged and absurd ONNX models: each gets a sentence, or is published as what it answers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import onnx_mutations
from onnx_mutations import CASES, EITHER, PUBLISHED, written
from pilotlight.errors import PilotlightError
from pilotlight_cli.sandbox.inspection import inspect


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Return what came of each model, inspected in a process of its own."""
    environ = os.environ | {"PYTHONPATH": str(Path(onnx_mutations.__file__).parent), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", onnx_mutations.__name__, str(tmp_path_factory.mktemp("mutations"))]
    lines = subprocess.run(command, env=environ, check=True, capture_output=True).stdout.splitlines()
    return {found.pop("name"): found for found in map(json.loads, lines)}


@pytest.mark.parametrize("name", CASES)
def test_a_mutation_ends_in_a_sentence_or_is_published(name: str, outcomes: dict[str, dict[str, str]]) -> None:
    expected, found = CASES[name][1], outcomes[name]
    if expected == PUBLISHED or "done" in found:
        assert found == {"done": PUBLISHED}
        assert expected in (PUBLISHED, EITHER)
        return
    assert list(found) == ["refused"]
    assert "\n" not in found["refused"]
    assert "Traceback" not in found["refused"]
    assert expected == EITHER or re.search(expected, found["refused"])


@pytest.mark.parametrize("name", ["a huge tensor from a shape", "far more branches", "data above a folder"])
def test_the_sandbox_says_the_same_about_a_mutation(name: str, tmp_path: Path) -> None:
    make, expected = CASES[name]
    with pytest.raises(PilotlightError, match=expected) as caught:
        inspect(written(tmp_path / "given", make), format=None, signature=None, golden=None, allow=())
    assert "\n" not in str(caught.value)
