"""What a pickle may call numpy with, and which states it may set on numpy's objects.

numpy believes what a state says: a forged dtype makes it take bytes for the addresses of objects, and a list shorter
than its array is read beyond its end. So calls and states must be those that numpy itself writes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from math import prod
from types import ModuleType
from typing import Any, Final, TypeAlias

from pilotlight.pickles.attributes import Refused

# Raises Refused for arguments with which no honest pickle makes a call.
Rule: TypeAlias = Callable[[Any], None]

# What a few bytes may stand for: the numbers of a range, the rows of an array without columns.
MOST_UNWRITTEN: Final = 1_000_000
_DTYPE = re.compile(r"[?bBiufcmMOSUV][0-9]{0,9}")
_UNITS = re.compile(r"[A-Za-z]{1,7}")


class Contents:
    """The bytes that arrays use without a copy: two arrays of the same bytes would write into each other.

    What was checked in one could then be changed through the other, even with another datatype.
    """

    def __init__(self) -> None:
        self._taken: dict[int, object] = {}

    def take(self, parts: Iterable[Any]) -> None:
        """Raise Refused for bytes that another array has already."""
        for part in parts:
            if type(part) in (bytes, bytearray) and len(part) > 1:  # Python itself shares shorter ones
                if id(part) in self._taken:
                    raise Refused("expected bytes of its own, found those of another array")
                self._taken[id(part)] = part


def refusal(reason: str) -> Rule:
    """Return a rule that refuses every call."""

    def rule(_: object) -> None:
        raise Refused(reason)

    return rule


def numpy_rule(name: str, contents: Contents) -> Rule:
    """Return the check of the arguments that a pickle calls numpy's `name` with. It raises Refused."""
    numpy = sys.modules["numpy"]
    checks = {
        "dtype": _is_dtype_call,
        "_reconstruct": _is_empty_array,
        "_mareconstruct": _is_empty_array,
        "scalar": _is_scalar,
        "_frombuffer": _is_buffer,
    }
    check = _is_generator if name.endswith("_ctor") else checks.get(name)
    if check is None:
        return refusal("expected only to be named, not called")

    def rule(arguments: tuple[Any, ...]) -> None:
        if not check(numpy, arguments):
            raise Refused("its arguments are not those that numpy writes")
        if name == "_frombuffer":
            contents.take(arguments)

    return rule


def _is_dtype_call(_numpy: ModuleType, arguments: tuple[Any, ...]) -> bool:
    # The last of the three asks for a copy: numpy's own dtypes are shared by the whole process.
    return (
        [type(argument) for argument in arguments[1:]] in ([bool, bool], [int, int])
        and arguments[1:] == (False, True)
        and type(arguments[0]) is str
        and _DTYPE.fullmatch(arguments[0]) is not None
    )


def _is_empty_array(numpy: ModuleType, arguments: tuple[Any, ...]) -> bool:
    *classes, shape, letter = arguments
    return (
        all(isinstance(item, type) and issubclass(item, numpy.ndarray) for item in classes)
        and len(classes) in (1, 2)
        and are_lengths(shape)
        and shape == (0,)
        and type(letter) in (bytes, str)
        and letter in (b"b", "b")
    )


def _is_scalar(numpy: ModuleType, arguments: tuple[Any, ...]) -> bool:
    return len(arguments) == 2 and _fits(numpy, arguments[0], arguments[1], 1)


def _is_buffer(numpy: ModuleType, arguments: tuple[Any, ...]) -> bool:
    if len(arguments) not in (4, 5) or not are_lengths(arguments[2]):
        return False
    return type(arguments[3]) is str and _fits(numpy, arguments[1], arguments[0], prod(arguments[2]))


def _fits(numpy: ModuleType, dtype: Any, content: object, count: int) -> bool:  # noqa: ANN401 - numpy is not imported
    """Return whether `content` is bytes for `count` values, none of them an object."""
    return (
        isinstance(dtype, numpy.dtype)
        and not dtype.hasobject
        and type(content) in (bytes, bytearray)
        and len(content) == dtype.itemsize * count  # type: ignore[arg-type]
        and (dtype.itemsize > 0 or count <= 1)  # numpy 1 writes an empty string as a value of no bytes
    )


def _is_generator(numpy: ModuleType, arguments: tuple[Any, ...]) -> bool:
    """Return whether it is a generator of random numbers, or its name, and the function that numpy writes after it."""
    base = numpy.random.BitGenerator
    first, *others = arguments or (None,)
    known = type(first) is str or isinstance(first, base) or (isinstance(first, type) and issubclass(first, base))
    constructor = sys.modules["numpy.random._pickle"].__dict__["__bit_generator_ctor"]
    return known and (not others or (len(others) == 1 and others[0] is constructor))


def are_lengths(shape: object) -> bool:
    """Return whether it is the shape of an array, and has no huge dimension where the array is empty."""
    if type(shape) is not tuple:
        return False
    for length in shape:
        if type(length) is not int or length < 0:
            return False
    return 0 not in shape or max(shape) <= MOST_UNWRITTEN


def array_state(numpy: ModuleType, state: object, contents: Contents) -> object:
    """Return an array's state as it is, if its content has the size that its shape and datatype ask for."""
    if type(state) is not tuple or len(state) not in (5, 7):  # 7: a masked array's
        raise Refused("the state of an array has 5 parts")
    version, shape, dtype, _, content = state[:5]
    if type(version) is not int or not are_lengths(shape) or not isinstance(dtype, numpy.dtype):
        raise Refused("the state of an array is its version, shape, datatype, order and content")
    objects = type(content) is list and dtype == numpy.dtype(object) and len(content) == prod(shape)
    if not objects and not _fits(numpy, dtype, content, prod(shape)):
        raise Refused(f"the content of an array of shape {list(shape)} and type {dtype} does not fit")
    contents.take(state)
    return state


def dtype_state(numpy: ModuleType, dtype: Any, state: object) -> object:  # noqa: ANN401 - numpy is not imported
    """Return the state that numpy writes for the dtype that `state` describes, made with all of numpy's checks."""
    try:
        made = _describe_dtype(numpy, dtype, state).__reduce__()[2]
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise Refused(f"the state of a dtype is not one that numpy writes: {error}") from None
    if made != state:
        raise Refused(f"the state of a dtype is not one that numpy writes: expected {made}")
    return made


def _describe_dtype(numpy: ModuleType, dtype: Any, state: object) -> Any:  # noqa: ANN401 - numpy is not imported
    if type(state) is not tuple or len(state) not in (8, 9):
        raise Refused("expected 8 or 9 parts")
    _version, order, part, names, fields, size, _alignment, flags, *metadata = state
    if metadata:
        _, (unit, number, *_) = metadata[0]
        if not _UNITS.fullmatch(unit.decode("ascii")) or type(number) is not int:
            raise Refused("expected a unit of time")
        return numpy.dtype(f"{dtype.kind}8[{number}{unit.decode('ascii')}]").newbyteorder(order)
    if part is not None:
        return numpy.dtype((part[0], part[1]))
    if fields is None:
        return dtype.newbyteorder(order)
    layout = {"names": list(names), "itemsize": size}
    layout["formats"] = [fields[name][0] for name in names]
    layout["offsets"] = [fields[name][1] for name in names]
    return numpy.dtype(layout, align=bool(flags & 0x80))
