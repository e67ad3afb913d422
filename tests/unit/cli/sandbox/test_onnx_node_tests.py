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
from reporting import REPORTED, Recorder

SECTION = pages.section((ROOT / "docs/reference/limits.md").read_text(), "## ONNX models that are refused")
REFUSALS = [re.compile(".*".join(map(re.escape, row[0].strip("`").split("...")))) for row in pages.table(SECTION)]
OPERATORS = re.findall(r"`(\w+)`", SECTION.rpartition("|")[2])  # of which ONNX Runtime differs


@pytest.mark.slow
def test_each_model_answers_as_expected_or_is_refused_with_a_documented_sentence(record_property: Recorder) -> None:
    environ = os.environ | {"PYTHONPATH": str(Path(onnx_node_tests.__file__).parent), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", onnx_node_tests.__name__]
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
    differing = sum(row.get("done") in OPERATORS for row in found)
    record_property(
        REPORTED,
        f"the package onnx's models of single nodes: {len(found)}, of which {equal} answer as expected, "
        f"{differing} otherwise as docs/reference/limits.md says, {len(found) - equal - differing} are refused",
    )
    assert equal * 2 > len(found) > 1800
