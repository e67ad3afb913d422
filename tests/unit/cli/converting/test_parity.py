"""What converts answers as its library does: on 10,000 rows, and on the thresholds of its trees."""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from typing import Any

import pytest

import boosters
from converting import ROWS
from pilotlight_cli.assets import ROOT
from pilotlight_cli.converting.environment import prepare, requirements
from pilotlight_cli.converting.sources import Source
from pilotlight_cli.hostenv import isolated_python

CONVERTED = [(library, name) for library, models in boosters.FACTORIES.items() for name in models]
REFUSED = [(library, name) for library, models in boosters.REFUSED.items() for name in models]


@cache
def results(library: str) -> dict[str, dict[str, Any]]:
    """Train and convert all models of a library, in an environment of its own."""
    source = Source("pickle", "", {}, (f"{library}.Model", "sklearn.pipeline.Pipeline"))
    environment = prepare(requirements(source, ()), library)
    paths = [environment.packages, ROOT / "cli", ROOT / "shared", ROOT / "tests" / "support"]
    environ = {name: os.environ[name] for name in ("PATH", "OPENBLAS_CORETYPE") if name in os.environ}
    process = subprocess.run(
        [*isolated_python(environment.python), str(ROOT / "tests/support/converting.py"), library],
        env=environ | {"PYTHONPATH": os.pathsep.join(map(str, paths)), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, dict[str, Any]] = json.loads(process.stdout.splitlines()[-1])  # training may print, too
    return found


@pytest.mark.parametrize(("library", "name"), CONVERTED)
def test_a_booster_answers_as_its_library(library: str, name: str) -> None:
    found = results(library)[name]

    assert "refused" not in found, found["refused"]
    assert found["problem"] == ""
    assert found["rows"] >= ROWS
    assert found["labels"] in (None, found["rows"])
    assert len(found["notes"]) == ("codes" in name)
    assert "behind" in name or found["thresholds"] > 100


@pytest.mark.parametrize(("library", "name"), REFUSED)
def test_a_booster_that_cannot_be_converted_is_refused_with_a_sentence(library: str, name: str) -> None:
    found = results(library)[f"refused: {name}"]

    assert boosters.REFUSED[library][name][1] in found.get("refused", found)
