"""What a pickle may do with the names that its allow-list grants: which it may call, and with what.

An allow-list alone does not make a pickle safe. Functions are called only where that is how an object is rebuilt;
`numpy_rules` checks what numpy is called with.
"""

from __future__ import annotations

import re
import sys
from functools import partial
from types import FunctionType
from typing import Any, Final

from pilotlight.pickles.attributes import Refused, check_names
from pilotlight.pickles.forbidden import is_foreign, is_rebuild
from pilotlight.pickles.numpy_rules import MOST_UNWRITTEN, Contents, Rule, array_state, dtype_state, numpy_rule, refusal

# Built-in types that a pickle calls; the others are only values in it, as in `dtype=float`.
_CALLED: Final = frozenset("builtins." + name for name in ("complex", "frozenset", "range", "set", "slice"))
# Functions whose only use is to be called while loading.
REBUILDS: Final = re.compile(r"newObj|scalar|_(ma)?re?construct|_frombuffer|__\w+_ctor|__pyx_unpickle_\w+")
_FRACTION = re.compile(r"-?[0-9]+(/[0-9]+)?")
_LIBRARIES: Final = frozenset({"_loss", "scipy", "sklearn"})  # scikit-learn 1.5 has a module named _loss
# What scikit-learn's compiled classes are called with.
_PLAIN: Final = frozenset({"NoneType", "bool", "float", "int", "ndarray", "str"})


def call_rule(name: str, function: object, contents: Contents) -> Rule:
    """Return the check of the arguments that a pickle calls `module.name` with. It raises Refused."""
    check = _find_rule(name, function, contents)

    def rule(arguments: object) -> None:
        if type(arguments) is not tuple:
            raise Refused("the arguments are no tuple")
        if range in map(type, arguments):
            raise Refused("expected a range to be kept as it is, not handed to a call that counts it out")
        check(arguments)

    return rule


def _find_rule(name: str, function: object, contents: Contents) -> Rule:
    root, last = name.partition(".")[0], name.rpartition(".")[2]
    if root == "numpy":
        is_seeds = last == "__pyx_unpickle_SeedSequence"
        return partial(_check_unpickle, last, function) if is_seeds else numpy_rule(last, contents)
    if root == "builtins" and name not in _CALLED:
        return refusal("expected only to be named, not called")
    if is_foreign(name) and not is_rebuild(name):
        return refusal("expected its objects to be made without its constructor")
    if root in _LIBRARIES:
        return partial(_check_library_call, last, function)
    return _OTHERS.get(name, lambda _: None)


def _check_range(arguments: tuple[Any, ...]) -> None:
    if range(*arguments)[MOST_UNWRITTEN:]:
        raise Refused(f"expected a range of at most {MOST_UNWRITTEN} numbers")


def _check_fraction(arguments: tuple[Any, ...]) -> None:
    if any(type(part) is str and not _FRACTION.fullmatch(part) for part in arguments):
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
    """Require what Cython's functions are called with: the class in their name, a checksum, and a state or None."""
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
    """Return the state to set on `instance`, for numpy's objects one that is known to be sound. Raise Refused."""
    check_names(state)
    if type(instance).__name__ == "Tree" and isinstance(state, dict) and getattr(state.get("nodes"), "ndim", 1) != 1:
        raise Refused("expected a list of nodes")  # scikit-learn counts them before it looks
    if isinstance(instance, partial):
        return _partial_state(instance, state)
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(instance, numpy.dtype):
        return dtype_state(numpy, instance, state)
    if numpy is not None and isinstance(instance, numpy.ndarray):
        return array_state(numpy, state, contents)
    return state


def _check_partial(arguments: tuple[Any, ...]) -> None:
    """Allow gradient boosting's partial of check_array; any other could prepare a call for later."""
    check_array = getattr(sys.modules.get("sklearn.utils.validation"), "check_array", None)
    if check_array is None or len(arguments) != 1 or arguments[0] is not check_array:
        raise Refused("expected only partial(check_array, ...), as scikit-learn makes it")


def _partial_state(instance: partial[Any], state: object) -> object:
    if type(state) is not tuple or len(state) != 4 or state[0] is not instance.func:
        raise Refused("expected a partial's function, arguments and keywords")
    if state[1] != () or type(state[2]) is not dict or state[3]:
        raise Refused("expected a partial with keywords alone")
    return instance.func, (), state[2], None


_OTHERS: Final[dict[str, Rule]] = {
    "builtins.range": _check_range,
    "fractions.Fraction": _check_fraction,
    "functools.partial": _check_partial,
}
