"""The table of deadlines: each value is that of the constant beside it."""

from __future__ import annotations

import importlib
import inspect
import re

import pytest

from docs import pages
from pilotlight_cli.assets import ROOT

SECTION = pages.section(pages.read("docs/concepts/architecture.md"), "## Deadlines")
ROWS = [(row[1], row[2], re.findall(r"`([^`]+)`", row[3])) for row in pages.table(SECTION)]
ENTRIES = (
    "functions/aws/predict/execution_environment.py",
    "functions/gcp/predict/cloud_instance.py",
    "functions/container/common/container_instance.py",
)
CONSTANTS = [(values, names) for _, values, names in ROWS if names[0] != "deadline="]


def value(name: str) -> object:
    """Return the value of `module.NAME`, of an attribute of it, or the default of `module.function(parameter)`."""
    path, _, parameter = name.removesuffix(")").partition("(")
    module, *attributes = path.split(".")
    found: object = importlib.import_module(module)
    for attribute in attributes:
        module += f".{attribute}"
        if inspect.ismodule(found) and not hasattr(found, attribute):
            found = importlib.import_module(module)
        else:
            found = getattr(found, attribute)
    return inspect.signature(found).parameters[parameter].default if callable(found) else found


def seconds(found: object) -> list[float]:
    return [float(number) for number in found] if isinstance(found, tuple) else [float(str(found))]


@pytest.mark.parametrize(("values", "names"), CONSTANTS, ids=lambda names: names[0] if isinstance(names, list) else "")
def test_a_deadline_is_the_constants(values: str, names: list[str]) -> None:
    assert names
    assert [float(number) for number in values.split(", ")] == [
        number for name in names for number in seconds(value(name))
    ]


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_deadlines_of_a_start_are_the_entry_points(entry: str) -> None:
    named = [float(values) for _, values, names in ROWS if names == ["deadline=", entry]]
    (line,) = re.findall(r"^ +deadline=.*$", (ROOT / entry).read_text(), re.MULTILINE)
    assert named == [float(number) for number in re.findall(r"\d+\.\d", line)]


def test_every_kind_of_wait_has_deadlines() -> None:
    kinds = [row[0] for row in pages.table(SECTION)]
    assert sorted(set(kinds), key=kinds.index) == ["start", "request", "stop", "release"]
