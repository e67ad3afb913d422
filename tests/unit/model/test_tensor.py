from __future__ import annotations

from math import inf, isfinite, nan
from typing import Any

import pytest

from pilotlight.model.tensor import DATATYPES, Datatype, Tensor, pack, pack_numbers, pack_rows
from properties import given, st

FLOATS = [datatype for datatype in DATATYPES.values() if datatype.is_float]
NUMBERS = [0.0, -0.0, 1.0, -1.5, 1e-40, 240.0, 60000.0, 65504.0, -65504.0, 3.3e38, -3.3e38]


def tensor_of(datatype: Datatype, values: list[float]) -> Tensor:
    packed = pack_numbers(datatype, values)
    assert packed is not None
    return Tensor(datatype, (len(values),), memoryview(packed))


@pytest.mark.parametrize("datatype", FLOATS, ids=lambda datatype: datatype.name)
@pytest.mark.parametrize("value", [inf, -inf, nan, -nan])
@given(st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=6), st.data())
def test_one_value_that_is_not_finite_is_found_wherever_it_stands(
    datatype: Datatype, value: float, values: list[float], data: st.DataObject
) -> None:
    usual = [number for number in values if abs(number) < datatype.overflow]
    place = data.draw(st.integers(0, len(usual)))
    assert tensor_of(datatype, usual).is_finite
    assert not tensor_of(datatype, [*usual[:place], value, *usual[place:]]).is_finite


def test_every_half_float_is_judged_as_its_value_is() -> None:
    for highest in range(256):
        for lowest in range(0, 256, 3):
            tensor = Tensor(DATATYPES["FP16"], (1,), bytes([lowest, highest]))
            assert tensor.is_finite == isfinite(*tensor.values())


CELLS: st.SearchStrategy[Any] = st.sampled_from([*NUMBERS, 7, 2**70, 1e300, True, False, None, "1", [], {}])
ROWS = st.lists(
    st.lists(st.sampled_from([1.5, 2, 0.0]) | CELLS, min_size=1, max_size=3) | CELLS, min_size=1, max_size=4
)


@pytest.mark.parametrize("datatype", DATATYPES.values(), ids=lambda datatype: datatype.name)
@given(ROWS)
def test_rows_are_packed_as_their_values_are_or_left_to_a_closer_look(datatype: Datatype, rows: list[Any]) -> None:
    packed = pack_rows(datatype, 2, rows)
    if packed is not None:
        assert all(type(row) is list and len(row) == 2 for row in rows)
        assert packed == pack(datatype, [value for row in rows for value in row], str)


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
def test_ordinary_rows_are_packed_at_once(datatype: str) -> None:
    assert pack_rows(DATATYPES[datatype], 2, [[0.0, 1], [-2.5, 1.0]]) is not None
