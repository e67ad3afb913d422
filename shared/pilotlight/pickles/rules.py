"""What a pickle may do with the names that its allow-list grants: which it may call, and with what.

An allow-list alone does not make a pickle safe. numpy believes what a state says: a forged dtype lets it take bytes for
the addresses of objects, a list shorter than its array is read beyond its end. So numpy's own constructors are held to
what numpy itself writes, and functions are called only where calling them is how an object is rebuilt.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from functools import partial
from math import prod
from types import FunctionType, ModuleType
from typing import Any, Final

from pilotlight.pickles.attributes import Refused, check_names
from pilotlight.pickles.forbidden import is_foreign, is_rebuild

_DTYPE = re.compile(r"[?bBiufcmMOSUV][0-9]{0,9}")
_UNITS = re.compile(r"[A-Za-z]{1,7}")
# Built-in types that a pickle calls; the others stand in it only as values, as in `dtype=float`.
_CALLED: Final = frozenset("builtins." + name for name in ("complex", "frozenset", "range", "set", "slice"))
# Functions whose only use is to be called while loading.
REBUILDS: Final = re.compile(r"newObj|scalar|_(ma)?re?construct|_frombuffer|__\w+_ctor|__pyx_unpickle_\w+")
# What a few bytes may stand for: the numbers of a range, the rows of an array without columns.
_MOST_UNWRITTEN: Final = 1_000_000
_FRACTION = re.compile(r"-?[0-9]+(/[0-9]+)?")
_LIBRARIES: Final = frozenset({"_loss", "scipy", "sklearn"})  # scikit-learn 1.5 has a module that calls itself _loss
# What scikit-learn's compiled classes are called with.
_PLAIN: Final = frozenset({"NoneType", "bool", "float", "int", "ndarray", "str"})


class Contents:
    """The bytes that arrays are made of, without a copy: two arrays of the same would write into each other.

    What is checked in the one could then be changed through the other, also with another datatype.
    """

    def __init__(self) -> None:
        self._taken: dict[int, object] = {}

    def take(self, parts: Iterable[Any]) -> None:
        """Refuse bytes that another array has already. Raises Refused."""
        for part in parts:
            if type(part) in (bytes, bytearray) and len(part) > 1:  # Python itself shares shorter ones
                if id(part) in self._taken:
                    raise Refused("expected bytes of its own, found those of another array")
                self._taken[id(part)] = part


def check_call(name: str, function: object, arguments: object, contents: Contents) -> None:
    """Refuse a call of `module.name` that no honest pickle makes."""
    if type(arguments) is not tuple:
        raise Refused("the arguments are no tuple")
    _check_size(name, arguments)
    root, last = name.partition(".")[0], name.rpartition(".")[2]
    if root == "numpy":
        _check_numpy_call(last, function, arguments)
        if last == "_frombuffer":
            contents.take(arguments)
    elif root == "functools":
        _check_partial(arguments)
    elif root == "builtins" and name not in _CALLED:
        raise Refused("expected only to be named, not called")
    elif is_foreign(name) and not is_rebuild(name):
        raise Refused("expected its objects to be made without its constructor")
    elif root in _LIBRARIES:
        _check_library_call(last, function, arguments)


def _check_size(name: str, arguments: tuple[Any, ...]) -> None:
    """Refuse a call whose few bytes stand for very many objects."""
    if any(type(argument) is range for argument in arguments):
        raise Refused("expected a range to be kept as it is, not handed to a call that counts it out")
    if name == "builtins.range" and range(*arguments)[_MOST_UNWRITTEN:]:
        raise Refused(f"expected a range of at most {_MOST_UNWRITTEN} numbers")
    if name.startswith("fractions.") and any(type(part) is str and not _FRACTION.fullmatch(part) for part in arguments):
        raise Refused("expected a fraction without an exponent")


def check_creation(name: str, created: object, arguments: object) -> None:
    """Refuse an object of the class `module.name` made without its constructor where no honest pickle does that."""
    root = name.partition(".")[0]
    if not isinstance(created, type):
        raise Refused("expected a class")
    if root == "numpy" or (root == "builtins" and name != "builtins.object"):
        raise Refused("objects of this class are not made so")
    if type(arguments) is not tuple or ((root in _LIBRARIES or is_foreign(name)) and arguments):
        raise Refused("expected no arguments")


def _check_library_call(name: str, function: object, arguments: tuple[Any, ...]) -> None:
    """Allow scikit-learn's own functions that rebuild an object, and classes of compiled code with plain arguments.

    Any other class is rebuilt without its constructor, which would run Python code on what the pickle hands it.
    """
    if isinstance(function, type):
        compiled = not isinstance(getattr(function, "__init__", None), FunctionType)
        if not compiled or not {type(argument).__name__ for argument in arguments} <= _PLAIN:
            raise Refused("expected a class of compiled code, called with numbers and arrays")
        if name == "Tree" and (len(arguments) != 3 or getattr(arguments[1], "shape", ()) != (arguments[2],)):
            raise Refused("expected a number of classes for each output")
    elif name == "newObj":
        _check_rebuilt(function, arguments[:1])
        if len(arguments) != 1:
            raise Refused("expected one class")
    elif name.startswith("__pyx_unpickle_"):
        _check_unpickle(name, function, arguments)
    else:
        raise Refused("expected only to be named, not called: it is a function")


def _check_unpickle(name: str, function: object, arguments: tuple[Any, ...]) -> None:
    """Cython's functions take the class that they are named after, a checksum, and a state or None."""
    _check_rebuilt(function, arguments[:1])
    if len(arguments) != 3 or f"__pyx_unpickle_{arguments[0].__name__}" != name or type(arguments[1]) is not int:
        raise Refused("expected its own class, a checksum and a state")
    check_names(arguments[2])


def _check_rebuilt(function: object, classes: tuple[Any, ...]) -> None:
    """Require classes of the function's own module: it calls `__new__`, which any object could bring along."""
    if not classes or any(
        not isinstance(item, type) or item.__module__ != getattr(function, "__module__", "") for item in classes
    ):
        raise Refused("expected a class of the module that rebuilds it")


def sound_state(instance: object, state: object, contents: Contents) -> object:
    """The state to set on `instance`; for numpy's objects one that is known to be sound. Raises Refused."""
    check_names(state)
    if type(instance).__name__ == "Tree" and isinstance(state, dict) and getattr(state.get("nodes"), "ndim", 1) != 1:
        raise Refused("expected a list of nodes")  # scikit-learn counts them before it looks
    if isinstance(instance, partial):
        return _partial_state(instance, state)
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(instance, numpy.dtype):
        return _dtype_state(numpy, instance, state)
    if numpy is not None and isinstance(instance, numpy.ndarray):
        return _array_state(numpy, state, contents)
    return state


def _check_partial(arguments: tuple[Any, ...]) -> None:
    """Gradient boosting keeps a partial of check_array; any other could prepare a call for later."""
    check_array = getattr(sys.modules.get("sklearn.utils.validation"), "check_array", None)
    if check_array is None or len(arguments) != 1 or arguments[0] is not check_array:
        raise Refused("expected only partial(check_array, ...), as scikit-learn makes it")


def _partial_state(instance: partial[Any], state: object) -> object:
    if type(state) is not tuple or len(state) != 4 or state[0] is not instance.func:
        raise Refused("expected a partial's function, arguments and keywords")
    if state[1] != () or type(state[2]) is not dict or state[3]:
        raise Refused("expected a partial with keywords alone")
    return instance.func, (), state[2], None


def _check_numpy_call(name: str, function: object, arguments: tuple[Any, ...]) -> None:
    if name == "__pyx_unpickle_SeedSequence":
        _check_unpickle(name, function, arguments)
        return
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
        raise Refused("expected only to be named, not called")
    if not check(numpy, arguments):
        raise Refused("its arguments are not those that numpy writes")


def _is_dtype_call(_numpy: ModuleType, arguments: tuple[Any, ...]) -> bool:
    """The last of the three asks for a copy: numpy's own dtypes are shared by the whole process."""
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
    """Whether `content` is bytes for so many values, and none of them an object."""
    return (
        isinstance(dtype, numpy.dtype)
        and not dtype.hasobject
        and type(content) in (bytes, bytearray)
        and len(content) == dtype.itemsize * count  # type: ignore[arg-type]
        and (dtype.itemsize > 0 or count <= 1)  # numpy 1 writes an empty string as a value of no bytes
    )


def _is_generator(numpy: ModuleType, arguments: tuple[Any, ...]) -> bool:
    """A generator of random numbers, or its name, and the function that numpy gives beside it."""
    base = numpy.random.BitGenerator
    first, *others = arguments or (None,)
    known = type(first) is str or isinstance(first, base) or (isinstance(first, type) and issubclass(first, base))
    constructor = sys.modules["numpy.random._pickle"].__dict__["__bit_generator_ctor"]
    return known and (not others or (len(others) == 1 and others[0] is constructor))


def are_lengths(shape: object) -> bool:
    """Whether it is an array's shape, and no empty array's of which a dimension has no end."""
    if type(shape) is not tuple or any(type(length) is not int or length < 0 for length in shape):
        return False
    return 0 not in shape or max(shape) <= _MOST_UNWRITTEN


def _array_state(numpy: ModuleType, state: object, contents: Contents) -> object:
    """An array's state as it is, if the content is exactly what the shape and the datatype ask for."""
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


def _dtype_state(numpy: ModuleType, dtype: Any, state: object) -> object:  # noqa: ANN401 - numpy is not imported
    """The state of the dtype that `state` describes, as numpy writes it after making that dtype with all its checks."""
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
