from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pilotlight.frozen import EMPTY, dataclass, derived, replace

SHARED = Path(__file__).parents[2] / "shared"


@dataclass(frozen=True, slots=True)
class Point:
    """A point."""

    x: int
    y: int = 7

    @property
    def sum(self) -> int:
        """Of its coordinates."""
        return self.x + self.y


@dataclasses.dataclass(frozen=True, slots=True)
class Real:
    """The same, by the standard library."""

    x: int
    y: int = 7


@dataclass(frozen=True, slots=True)
class Other:
    x: int
    y: int = 7


ARGUMENTS: list[tuple[tuple[int, ...], dict[str, int]]] = [((1,), {}), ((1, 2), {}), ((), {"y": 2, "x": 1})]
WRONG: list[tuple[tuple[int, ...], dict[str, int]]] = [((), {}), ((1, 2, 3), {}), ((1,), {"z": 1}), ((1,), {"x": 1})]


@pytest.mark.parametrize(("values", "named"), ARGUMENTS)
def test_an_instance_is_made_and_told_as_one_of_a_real_dataclass(
    values: tuple[int, ...], named: dict[str, int]
) -> None:
    point, real = Point(*values, **named), Real(*values, **named)
    assert (point.x, point.y, point.sum) == (real.x, real.y, real.x + real.y)
    assert repr(point) == repr(real).replace("Real", "Point")
    assert dataclasses.asdict(point) == dataclasses.asdict(real)
    assert hash(point) == hash(real)


@pytest.mark.parametrize(("values", "named"), WRONG)
def test_wrong_arguments_are_refused_in_the_words_of_a_real_dataclass(
    values: tuple[int, ...], named: dict[str, int]
) -> None:
    with pytest.raises(TypeError) as expected:
        Real(*values, **named)
    with pytest.raises(TypeError) as found:
        Point(*values, **named)
    assert str(found.value) == str(expected.value).replace("Real", "Point")


def test_instances_are_equal_by_their_values_within_their_class() -> None:
    assert Point(1) == Point(1, 7) != Point(2)
    other: object = Other(1)
    assert Point(1) != other
    assert len({Point(1), Point(1, 7), other}) == 2


def test_no_field_can_be_set_deleted_or_added() -> None:
    point: Any = Point(1)
    with pytest.raises(AttributeError, match="Point is frozen: its 'x'"):
        point.x = 2
    with pytest.raises(AttributeError, match="Point is frozen: its 'x'"):
        del point.x
    with pytest.raises(AttributeError, match="Point is frozen: its 'z'"):
        point.z = 2
    assert not hasattr(point, "__dict__")


@pytest.mark.parametrize("replaced", [replace(Point(1), y=2), dataclasses.replace(Point(1), y=2)])
def test_a_field_is_replaced_in_a_copy(replaced: Point) -> None:
    assert replaced == Point(1, 2)


def test_copies_are_equal_however_they_are_made() -> None:
    point = Point(1, 2)
    assert point == copy.copy(point) == copy.deepcopy(point) == pickle.loads(pickle.dumps(point))


def test_the_standard_library_finds_the_fields_and_patterns_match_them() -> None:
    assert [(field.name, field.type) for field in dataclasses.fields(Point)] == [("x", "int"), ("y", "int")]
    assert dataclasses.fields(Point)[0] is dataclasses.fields(Point)[0]  # made once: each costs as much as a class
    match Point(1, 2):
        case Point(x, y):
            assert (x, y) == (1, 2)


def test_what_only_a_real_dataclass_can_do_is_refused_where_it_is_written() -> None:
    with pytest.raises(TypeError, match="`field`, `__post_init__` and bases"):

        @dataclass(frozen=True, slots=True)
        class WithField:
            x: list[int] = dataclasses.field(default_factory=list)

    with pytest.raises(TypeError, match="bases are not supported"):

        @dataclass(frozen=True, slots=True)
        class Derived(Point):
            z: int = 0

    with pytest.raises(TypeError, match="a field without a default follows one with a default"):

        @dataclass(frozen=True, slots=True)
        class Unordered:
            x: int = 0
            y: int  # type: ignore[misc]

    with pytest.raises(TypeError, match="expected dataclass"):

        @dataclass(frozen=False, slots=True)
        class Mutable:
            x: int


def test_an_empty_mapping_is_a_default() -> None:
    @dataclass(frozen=True, slots=True)
    class Message:
        headers: dict[str, str] = EMPTY  # type: ignore[assignment]

    assert Message().headers == {}


def test_neither_dataclasses_nor_inspect_is_imported() -> None:
    program = "import sys, pilotlight.frozen; sys.exit(bool({'dataclasses', 'inspect'} & sys.modules.keys()))"
    command = [sys.executable, "-S", "-s", "-c", program]
    assert subprocess.run(command, env={"PYTHONPATH": str(SHARED)}, check=False).returncode == 0


MADE: list[int] = []


@dataclass(frozen=True, slots=True)
class Square:
    side: int

    @derived
    def area(self) -> int:
        """How large it is."""
        MADE.append(self.side)
        return self.side**2


def test_a_derived_property_is_computed_once_for_each_instance_and_is_no_field() -> None:
    MADE.clear()
    square = Square(3)
    assert (square.area, square.area, MADE) == (9, 9, [3])
    assert square == Square(3)
    assert repr(square) == "Square(side=3)"
    assert (replace(square, side=4).area, copy.deepcopy(square).area, MADE) == (16, 9, [3, 4, 3])
    assert [field.name for field in dataclasses.fields(square)] == ["side"]


def test_a_derived_property_is_frozen_and_other_names_are_missing() -> None:
    with pytest.raises(AttributeError, match="Square is frozen: its 'area'"):
        Square(3).area = 1  # type: ignore[misc]
    with pytest.raises(AttributeError, match="Square has no attribute 'volume'"):
        _ = Square(3).volume  # type: ignore[attr-defined]
