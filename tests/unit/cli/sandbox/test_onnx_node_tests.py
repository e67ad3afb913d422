"""The ONNX package's own models of single nodes: each answers as expected, or is refused with a documented sentence."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import onnx_node_tests
from docs import pages
from pilotlight_cli.assets import ROOT

SECTION = pages.section((ROOT / "docs/reference/limits.md").read_text(), "## ONNX models that are refused")
REFUSALS = [re.compile(".*".join(map(re.escape, row[0].strip("`").split("...")))) for row in pages.table(SECTION)]
OPERATORS = re.findall(r"`(\w+)`", SECTION.rpartition("|")[2])  # of which ONNX Runtime differs


# One in five takes half a minute of processor time, and more than half of that generating the models.
@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.whole)])
def test_each_model_answers_as_expected_or_is_refused_with_a_documented_sentence(step: int) -> None:
    environ = os.environ | {"PYTHONPATH": str(Path(onnx_node_tests.__file__).parent), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", onnx_node_tests.__name__, str(step)]
    lines = subprocess.run(command, env=environ, check=True, stdout=subprocess.PIPE).stdout.splitlines()
    found = [json.loads(line) for line in lines]
    wrong = [
        row
        for row in found
        if not (
            row.get("done") in ("", *OPERATORS) or any(pattern.search(row.get("refused", "")) for pattern in REFUSALS)
        )
    ]
    assert not wrong
    equal = sum(row.get("done") == "" for row in found)
    print(f"{equal} of {len(found)} models answer as expected; the others are refused, or ONNX Runtime differs")
    assert equal * 2 > len(found) > 1800 // step
