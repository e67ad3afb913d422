"""NOTICE names what this repository redistributes, and what a function's package holds besides."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement

from pilotlight_cli.assets import FUNCTIONS, ROOT
from repository import SAMPLE

NOTICE = (ROOT / "NOTICE").read_text()


def needed(package: str) -> Iterator[str]:
    """Yield the package and everything that it needs, as installed here."""
    yield package
    for text in requires(package) or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield from needed(requirement.name)


def names(text: str) -> set[str]:
    return set(re.findall(r"[a-z][a-z0-9-]*", text.lower()))


@pytest.mark.parametrize("package", ["onnxruntime", "orjson", "scikit-learn", "skops"])
def test_what_a_runtime_installs_is_named(package: str) -> None:
    assert set(needed(package)) <= names(NOTICE)


def test_what_google_cloud_installs_besides_is_named_or_needed_by_what_is() -> None:
    wanted = set((FUNCTIONS / "gcp/predict/requirements.in").read_text().split())
    named = wanted & names(NOTICE)
    assert wanted <= {package for name in named for package in needed(name)}


def test_the_data_in_the_sample_model_is_named() -> None:
    assert SAMPLE.relative_to(ROOT).as_posix() in NOTICE
