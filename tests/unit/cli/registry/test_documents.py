"""JSON files are the same bytes for the same document, and read well in a diff."""

from __future__ import annotations

import json

import pytest

from pilotlight_cli.registry.json_document import to_bytes
from properties import given, st

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
DOCUMENTS = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=30)


@given(DOCUMENTS)
def test_a_document_is_read_back_as_it_is(document: object) -> None:
    assert json.loads(to_bytes(document)) == document


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=20), st.integers(0, 5))
def test_numbers_fill_lines_of_a_bounded_width(numbers: list[float], depth: int) -> None:
    document: object = numbers
    for _ in range(depth):
        document = {"data": document}
    assert max(len(line) for line in to_bytes(document).decode().splitlines()) <= 120


def test_what_is_short_has_one_line_and_what_is_long_a_line_for_each_name() -> None:
    names = [f"feature number {index}" for index in range(10)]
    assert to_bytes({"shape": [-1, 30], "names": names, "empty": [], "nothing": {}}).decode().splitlines() == [
        "{",
        '  "shape": [-1, 30],',
        '  "names": [',
        *(f'    "{name}",' for name in names[:-1]),
        f'    "{names[-1]}"',
        "  ],",
        '  "empty": [],',
        '  "nothing": {}',
        "}",
    ]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_cannot_write_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_bytes({"value": value})
