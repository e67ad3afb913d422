from __future__ import annotations

import struct
from array import array
from fractions import Fraction
from math import copysign, inf, isnan, nextafter, prod
from typing import Any

import pytest

from doubles import COLUMNS, FEATURES, IMAGE, PAIR
from pilotlight.codec.decode import pack_nested, read_instance, read_instances
from pilotlight.codec.encode import nest
from pilotlight.codec.tables import read_inputs
from pilotlight.errors import InvalidRequest
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import BOOL, BYTES, DATATYPES, FP32, FP64, INT64, Tensor, pack
from properties import given, st

FIXED = Signature((Input("x", FP32, (1, 2), "tensor"),), (Output("y", FP32, (1,), "tensor"),))
UNBATCHED = Signature((Input("x", FP32, (3,), "tensor"),), (Output("y", FP32, (), "tensor"),))

NO_MISSING = '; the model takes no missing values here, or its signature lacks "missing": true'

# The largest finite value of each type, and the first double that is rounded to no finite one.
LARGEST = {
    "FP16": (65504.0, 65520.0),
    "BF16": (3.3895313892515355e38, 3.3961775292304601e38),
    "FP32": (3.4028234663852886e38, 3.4028235677973366e38),
    "FP64": (1.7976931348623157e308, inf),
}


def single(datatype: str, value: object) -> Any:
    (packed,) = Tensor(DATATYPES[datatype], (1,), pack(DATATYPES[datatype], [value], "$[{}]".format)).values()
    return packed


def refusal(signature: Signature, instances: object) -> tuple[str | None, str]:
    with pytest.raises(InvalidRequest) as caught:
        read_instances(signature, instances, "$.instances")
    return caught.value.path, caught.value.message


def test_a_row_may_come_as_a_list_or_by_name_in_any_order() -> None:
    (tensor,) = read_instances(FEATURES, [[1, 2.5, 3], {"depth": 6, "height": 4, "width": 5}], "$")
    assert tensor.shape == (2, 3)
    assert tensor.values() == [1.0, 2.5, 3.0, 4.0, 5.0, 6.0]


def test_columns_become_a_tensor_each_with_its_own_datatype() -> None:
    city, rooms, area = read_instances(COLUMNS, [["Kyiv", 2, 50], {"area": 61.5, "city": "Lviv", "rooms": 3}], "$")
    assert (city.shape, city.values()) == ((2, 1), ["Kyiv", "Lviv"])
    assert (rooms.datatype, rooms.values()) == (INT64, [2, 3])
    assert area.values() == [50.0, 61.5]


def test_an_instance_of_a_tensor_model_is_its_input_without_the_batch_dimension() -> None:
    (one,) = read_instance(IMAGE, [[1, 2], [3, 4]], "$")
    (two,) = read_instances(IMAGE, [[[1, 2], [3, 4]], [[5, 6], [7, 8]]], "$")
    assert (one.shape, two.shape) == ((1, 2, 2), (2, 2, 2))
    assert two.values() == [1, 2, 3, 4, 5, 6, 7, 8]


def test_several_inputs_come_by_name() -> None:
    left, right = read_instances(PAIR, [{"left": [1, 2], "right": 0.5}, {"left": [3, 4], "right": 1}], "$")
    assert (left.shape, left.values()) == ((2, 2), [1, 2, 3, 4])
    assert (right.shape, right.values()) == ((2,), [0.5, 1.0])


class Counted(str):
    """A name that counts what it is compared with."""

    __slots__ = ()
    comparisons = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        Counted.comparisons += 1
        return str.__eq__(self, other)


MANY = tuple(Counted(f"x{index}") for index in range(2000))
WIDE = [
    (Signature((Input("x", FP32, (-1, 2000), "features", MANY),), COLUMNS.outputs), read_instance, 1.0),
    (Signature(tuple(Input(name, FP32, (-1, 1), "features") for name in MANY), COLUMNS.outputs), read_instance, 1.0),
    (Signature(tuple(Input(name, FP32, (-1, 2), "tensor") for name in MANY), COLUMNS.outputs), read_instance, [1, 2]),
    (Signature(tuple(Input(name, FP32, (-1, 2), "tensor") for name in MANY), COLUMNS.outputs), read_inputs, [[1, 2]]),
    (Signature(tuple(Input(name, FP32, (-1, 1), "features") for name in MANY), COLUMNS.outputs), read_inputs, [1.0]),
]


@pytest.mark.parametrize(("signature", "read", "value"), WIDE)
def test_a_wrong_name_among_thousands_is_compared_with_few(signature: Signature, read: Any, value: object) -> None:
    sent = dict.fromkeys((*map(str, MANY[:-1]), "y"), value)
    Counted.comparisons = 0
    with pytest.raises(InvalidRequest, match='unknown .* "y"'):
        read(signature, sent, "$")
    assert Counted.comparisons <= 4 * len(MANY)


def test_a_model_without_a_batch_dimension_takes_its_whole_input() -> None:
    (tensor,) = read_instance(UNBATCHED, [1, 2, 3], "$")
    assert tensor.shape == (3,)


@pytest.mark.parametrize(
    ("signature", "instances", "path", "message"),
    [
        (FEATURES, {}, "$.instances", "expected an array of instances, found an object"),
        (FEATURES, [], "$.instances", "expected at least one instance, found an empty array"),
        (FEATURES, [[1, 2]], "$.instances[0]", "expected 3 features, found 2"),
        (
            FEATURES,
            [[1, 2, 3], 4],
            "$.instances[1]",
            "expected 3 features as an array or as an object by name, found 4",
        ),
        (FEATURES, [[1, "2", 3]], "$.instances[0][1]", 'expected a number (FP32), found "2"'),
        (FEATURES, [[1, 2, 3], [1, 2, True]], "$.instances[1][2]", "expected a number (FP32), found true"),
        (FEATURES, [[1, None, 3]], "$.instances[0][1]", f"expected a number (FP32), found null{NO_MISSING}"),
        (FEATURES, [[1, [2], 3]], "$.instances[0][1]", "expected a number (FP32), found an array"),
        (FEATURES, [[1, 1e39, 3]], "$.instances[0][1]", "number is out of range for FP32, found 1e+39"),
        (FEATURES, [[1, -inf, 3]], "$.instances[0][1]", "number is out of range for FP32, found a very large number"),
        (
            FEATURES,
            [[1, 10**400, 3]],
            "$.instances[0][1]",
            "number is out of range for FP32, found a very large number",
        ),
        (
            FEATURES,
            [{"height": 1, "width": 2, "depth": "3"}],
            "$.instances[0].depth",
            'expected a number (FP32), found "3"',
        ),
        (FEATURES, [{"height": 1, "width": 2}], "$.instances[0]", 'the feature "depth" is missing'),
        (
            FEATURES,
            [{"height": 1, "width": 2, "depth": 3, "length": 4}],
            "$.instances[0]",
            'unknown feature "length"',
        ),
        (COLUMNS, [[1, 2, 3]], "$.instances[0][0]", "expected a string, found 1"),
        (
            COLUMNS,
            [["a", 2.5, 3]],
            "$.instances[0][1]",
            "expected a whole number from -9223372036854775808 to 9223372036854775807 (INT64), found 2.5",
        ),
        (
            COLUMNS,
            [["\ud800", 2, 3]],
            "$.instances[0][0]",
            'expected a string without unpaired surrogates, found "\\ud800"',
        ),
        (IMAGE, [[[1, 2]]], "$.instances[0]", "expected 2 items, found 1"),
        (IMAGE, [[[1, 2], [3]]], "$.instances[0][1]", "expected 2 items, found 1"),
        (IMAGE, [[[1, 2], [3, [4]]]], "$.instances[0][1][1]", "expected a value, found an array"),
        (IMAGE, [[[1, 2], [3, "4"]]], "$.instances[0][1][1]", 'expected a number (FP32), found "4"'),
        (IMAGE, [[[1, 2], [[3], [4]]]], "$.instances[0][1][0]", "expected a value, found an array"),
        (IMAGE, [[[1, 2], [3, 4]], [[1, "2"], [3, [4]]]], "$.instances[1][1][1]", "expected a value, found an array"),
        (
            IMAGE,
            [[[1, 2], [3, 4]], [[1, 2], [3, None]]],
            "$.instances[1][1][1]",
            f"expected a number (FP32), found null{NO_MISSING}",
        ),
        (IMAGE, [[[1, 2], {"a": 1, "b": 2}]], "$.instances[0][1]", "expected an array of shape [2], found an object"),
        (FEATURES, [[1, 2, 3], {"height": 1, "width": 2, "depths": 3}], "$.instances[1]", 'unknown feature "depths"'),
        (
            FEATURES,
            [[1, 2, 3], {"height": 1, "width": 2, "depth": True}],
            "$.instances[1].depth",
            "expected a number (FP32), found true",
        ),
        (IMAGE, [5], "$.instances[0]", "expected an array of shape [2, 2], found 5"),
        (PAIR, [[1]], "$.instances[0]", "expected an object with the inputs left, right, found an array"),
        (PAIR, [{"left": [1]}], "$.instances[0]", 'the input "right" is missing'),
        (
            PAIR,
            [{"left": [1], "right": 1}, {"left": [1, 2], "right": 1}],
            "$.instances[1].left",
            "expected 1 items, found 2",
        ),
        (FIXED, [[1, 2], [3, 4]], "$.instances", "this model accepts one instance at a time, found 2"),
        (UNBATCHED, [1, 2, 3], "$.instances", "this model has no batch dimension; send one instance to /predict"),
    ],
)
def test_a_wrong_batch_is_refused_with_its_place(
    signature: Signature, instances: object, path: str, message: str
) -> None:
    assert refusal(signature, instances) == (path, message)


@given(st.sampled_from([d for d in DATATYPES.values() if d.is_integer]), st.integers())
def test_an_integer_is_taken_exactly_or_refused(datatype: Any, value: int) -> None:
    if datatype.low <= value <= datatype.high:
        assert single(datatype.name, value) == value
    else:
        with pytest.raises(InvalidRequest, match=datatype.name):
            single(datatype.name, value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_becomes_the_nearest_float_or_is_refused(value: float) -> None:
    assert single("FP64", value) == value
    try:
        (nearest,) = struct.unpack("<f", struct.pack("<f", value))
    except OverflowError:
        with pytest.raises(InvalidRequest, match="FP32"):
            single("FP32", value)
    else:
        assert single("FP32", value) == nearest


@pytest.mark.parametrize(
    ("datatype", "value", "expected"),
    [
        ("INT8", 3.0, 3),
        ("INT8", -0.0, 0),
        ("UINT16", 1e2, 100),
        ("INT64", -(2.0**53) + 1, -(2**53) + 1),
        ("UINT64", 2.0**53 - 1, 2**53 - 1),
    ],
)
def test_a_whole_number_may_have_a_fraction_of_zero_or_an_exponent(datatype: str, value: float, expected: int) -> None:
    assert single(datatype, value) == expected
    assert Tensor(DATATYPES[datatype], (3,), pack(DATATYPES[datatype], [1, value, 2.0], "$".format)).values()[1:] == [
        expected,
        2,
    ]


@pytest.mark.parametrize(
    ("datatype", "value", "message"),
    [
        ("INT8", 3.5, "(INT8), found 3.5"),
        ("INT8", 128.0, "(INT8), found 128.0"),
        ("UINT8", -1.0, "(UINT8), found -1.0"),
        ("INT64", inf, "(INT64), found a very large number"),
        ("INT64", 2.0**53, "(INT64), found 9007199254740992.0; write whole numbers from 2**53 on in digits alone"),
        ("UINT64", 1e18, "(UINT64), found 1e+18; write whole numbers from 2**53 on in digits alone"),
        ("INT64", None, "(INT64), found null; INT64 has no missing values"),
        ("BOOL", None, "expected true or false, found null; BOOL has no missing values"),
        ("BYTES", None, f"expected a string, found null{NO_MISSING}"),
        ("FP32", "", f'expected a number (FP32), found ""{NO_MISSING}'),
    ],
)
def test_what_is_no_whole_number_or_missing_is_refused_with_a_reason(datatype: str, value: Any, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        single(datatype, value)
    assert caught.value.message.endswith(message)


@pytest.mark.parametrize("datatype", ["FP16", "BF16", "FP32", "FP64"])
def test_a_missing_number_is_nan_where_the_signature_says_so(datatype: str) -> None:
    packed = pack(DATATYPES[datatype], [1, None, 2.5], "$[{}]".format, missing=True)
    first, second, third = Tensor(DATATYPES[datatype], (3,), packed).values()
    assert (first, isnan(second), third) == (1.0, True, 2.5)
    with pytest.raises(InvalidRequest, match='found ""; a missing value is null') as caught:
        pack(DATATYPES[datatype], [None, 1, ""], "$[{}]".format, missing=True)
    assert caught.value.path == "$[2]"


def test_a_missing_string_stays_none_where_the_signature_says_so() -> None:
    assert pack(BYTES, ["a", None, ""], "$[{}]".format, missing=True) == ["a", None, ""]
    with pytest.raises(InvalidRequest, match="expected a string, found 1"):
        pack(BYTES, [None, 1], "$[{}]".format, missing=True)


@pytest.mark.parametrize(("value", "expected"), [(16777217, 16777216.0), (16777219, 16777220.0)])
def test_whole_numbers_round_to_the_nearest_float_ties_to_even(value: int, expected: float) -> None:
    assert single("FP32", value) == expected


def test_half_floats_round_and_overflow_like_the_others() -> None:
    assert single("FP16", 1.0009765625) == 1.0009765625
    with pytest.raises(InvalidRequest, match="number is out of range for FP16"):
        single("FP16", 70000)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (257, 256.0),  # ties go to the even one, down
        (259, 260.0),  # and up
        (-259, -260.0),
        (257 + 2**-40, 258.0),  # above a tie, where an FP32 is the tie itself
        (259 - 2**-40, 258.0),
        (0.1, 0.10009765625),
        (2.0**-133, 2.0**-133),  # the smallest of all
        (2.0**-134, 0.0),
        (2.0**-134 + 2.0**-180, 2.0**-133),
        (-3 * 2.0**-134, -(2.0**-132)),
        (2.0**-126 - 2.0**-140, 2.0**-126),  # from below the normal ones into them
        (5e-324, 0.0),
        (nextafter(LARGEST["BF16"][1], 0), LARGEST["BF16"][0]),
    ],
)
def test_numbers_become_the_nearest_bf16_ties_to_even_and_are_rounded_once(value: float, expected: float) -> None:
    assert single("BF16", value) == expected


def test_a_bf16_keeps_the_sign_of_zero() -> None:
    assert [copysign(1, single("BF16", value)) for value in (0.0, -0.0, 5e-324, -5e-324)] == [1, -1, 1, -1]


def test_every_bf16_is_read_as_the_fp32_with_its_upper_half_and_packed_as_it_was() -> None:
    finite = array("H", (bits for bits in range(2**16) if bits & 0x7F80 != 0x7F80))
    values = Tensor(DATATYPES["BF16"], (len(finite),), finite).values()
    assert struct.pack(f"<{len(values)}f", *values) == b"".join(struct.pack("<2H", 0, bits) for bits in finite)
    assert pack(DATATYPES["BF16"], list(values), "$[{}]".format) == finite.tobytes()


def test_a_bf16_that_is_no_number_or_infinite_is_read_as_such() -> None:
    values = Tensor(DATATYPES["BF16"], (3,), array("H", [0x7F80, 0xFF80, 0x7FC0])).values()
    assert values[:2] == [inf, -inf]
    assert isnan(values[2])


@given(st.floats(min_value=-(2.0**127), max_value=2.0**127) | st.floats(min_value=-(2.0**-120), max_value=2.0**-120))
def test_no_bf16_is_nearer_to_a_number_than_the_one_that_it_becomes(value: float) -> None:
    packed = pack(DATATYPES["BF16"], [value], "$[{}]".format)
    (bits,) = struct.unpack("<H", bytes(packed))  # type: ignore[arg-type]
    neighbours = [bits, *(bits + step for step in (-1, 1) if (bits & 0x7FFF) + step in range(0x7F80))]
    values = Tensor(DATATYPES["BF16"], (len(neighbours),), array("H", neighbours)).values()
    distances = [abs(Fraction(value) - Fraction(found)) for found in values]
    assert distances[0] == min(distances)
    assert bits % 2 == 0 or distances.count(distances[0]) == 1


@pytest.mark.parametrize("datatype", ["FP16", "BF16", "FP32", "FP64"])
def test_a_float_beyond_its_type_is_refused_wherever_it_stands(datatype: str) -> None:
    largest, beyond = LARGEST[datatype]
    assert pack(DATATYPES[datatype], [1, largest, -largest], "$[{}]".format)
    for value in (beyond, -beyond, inf, -inf, 10**400):
        with pytest.raises(InvalidRequest, match=f"number is out of range for {datatype}") as caught:
            pack(DATATYPES[datatype], [1, largest, value, -largest], "$[{}]".format)
        assert caught.value.path == "$[2]"


@pytest.mark.parametrize("datatype", ["FP16", "BF16", "FP32", "FP64"])
@pytest.mark.parametrize(
    ("value", "found"), [(True, "true"), (False, "false"), (None, f"null{NO_MISSING}"), ("1", '"1"'), ([1], "an array")]
)
def test_what_is_no_number_is_refused_among_floats_wherever_it_stands(datatype: str, value: object, found: str) -> None:
    numbers: list[object] = [0.5, 2, -3.25, 7]
    assert pack(DATATYPES[datatype], [*numbers, 0, 1, 0.0, -0.0, 1.0], "$[{}]".format)
    for place in range(5):
        with pytest.raises(InvalidRequest) as caught:
            pack(DATATYPES[datatype], [*numbers[:place], value, *numbers[place:]], "$[{}]".format)
        told = (caught.value.path, caught.value.message)
        assert told == (f"$[{place}]", f"expected a number ({datatype}), found {found}")


@pytest.mark.parametrize("datatype", ["FP16", "BF16", "FP32", "FP64", "INT8", "UINT64"])
def test_packed_numbers_can_be_written_over_by_who_gets_them(datatype: str) -> None:
    packed = pack(DATATYPES[datatype], [1, 2], "$[{}]".format)
    assert not isinstance(packed, list)
    assert not memoryview(packed).readonly


def test_bools_take_bools_alone() -> None:
    assert single("BOOL", True) is True
    with pytest.raises(InvalidRequest, match="expected true or false, found 1"):
        single("BOOL", 1)


@given(st.lists(st.integers(0, 4), max_size=4).map(tuple), st.sampled_from([BOOL, BYTES, FP64, INT64]))
def test_nested_values_come_back_from_their_tensor(shape: tuple[int, ...], datatype: Any) -> None:
    sample: dict[str, list[Any]] = {"BOOL": [True, False], "BYTES": ["a", ""], "FP64": [0.5, -1.0], "INT64": [1, -2]}
    flat = [sample[datatype.name][index % 2] for index in range(prod(shape))]
    nested = nest(shape, list(flat))
    tensor = pack_nested(Input("x", datatype, shape, "tensor"), shape, nested, "$")
    assert (tensor.shape, tensor.values()) == (shape, flat)
