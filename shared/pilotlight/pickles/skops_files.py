"""Loading skops files: through skops itself, after a check of what it leaves unchecked.

skops refuses types that are not trusted. But it also calls trusted ones: a list node calls its class with the items, a
dictionary its key types with each key. So the names in the lock are checked by kind, and by the role that they have.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from importlib import import_module
from typing import Any, Final

from pilotlight.errors import ModelError, RuntimeMismatch, UnsafePickle
from pilotlight.pickles import skops_schema
from pilotlight.pickles.forbidden import forbidden, is_foreign, objection

# Nodes that are a function or a class as a value, and nodes that are an object of a class: none calls anything.
_VALUES: Final = ("FunctionNode", "TypeNode")
_OBJECTS: Final = ("ObjectNode", "TypeNode")


def parse(data: bytes, allowed: Sequence[str]) -> Any:  # noqa: ANN401 - any estimator
    """Return the object in a skops file that asks for nothing but `allowed` and what skops trusts by itself.

    Raise UnsafePickle if it asks for more, RuntimeMismatch if something is not installed, and ModelError for a file
    that skops cannot read.
    """
    from skops.io import loads  # noqa: PLC0415 - costs more than all of our own code
    from skops.io.exceptions import UntrustedTypesFoundException  # noqa: PLC0415

    never = next((name for name in allowed if forbidden(name)), None)
    if never is not None:
        raise UnsafePickle(f"the lock allows {never}, which can run or load anything and is never allowed")
    try:
        schema = skops_schema.read(data)
        if any(_is_open(name) for name in allowed):
            _check_roles(schema, frozenset(allowed))
        return loads(data, trusted=list(allowed))
    except (Warning, ModelError, RuntimeMismatch, UnsafePickle):
        raise
    except UntrustedTypesFoundException as error:
        raise UnsafePickle(
            f"the skops file asks for names outside of its allow-list: {str(error).partition(chr(10))[0]} If you know "
            "what they do, publish the model with --allow for each"
        ) from error
    except Exception as error:  # a file that was altered can fail anywhere in skops, numpy and scikit-learn
        raise ModelError(f"skops cannot load the file: {type(error).__name__}: {error}") from error


def _is_open(name: str) -> bool:
    """Return whether the name is of a package whose names are not all listed."""
    return is_foreign(name) or name.startswith("sklearn.")


def _is_class(name: str, allowed: Collection[str]) -> bool:
    """Return whether an allowed name is a class. Raise UnsafePickle for an object that no name may grant."""
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise RuntimeMismatch(
            f"the skops file asks for {name}, which is not installed here: {error}; a package that the model needs is "
            "missing or has another version"
        ) from error
    reason = objection(name, found, allowed)
    if reason:
        raise UnsafePickle(f"{name}, which the skops file asks for, {reason}")
    return isinstance(found, type)


def _check_roles(schema: object, allowed: Collection[str]) -> None:
    """Refuse a node that would call a function, or a class of another package, that the lock names."""
    named = {}
    for node, _ in skops_schema.nodes(schema):
        name = f"{node.get('__module__')}.{node.get('__class__')}"
        if name in allowed and _is_open(name):
            named[node.get("__id__", name)] = name
            is_class = _is_class(name, allowed)
            expected = _OBJECTS if is_class else _VALUES
            if node.get("__loader__") not in expected and not (is_class and name.startswith("sklearn.")):
                raise _called(name)
    for node, is_key_type in skops_schema.nodes(schema):
        name = f"{node.get('__module__')}.{node.get('__class__')}"
        if is_key_type and (name in named.values() or node.get("__id__") in named):
            raise _called(named.get(node.get("__id__"), name))


def _called(name: str) -> UnsafePickle:
    return UnsafePickle(
        f"the skops file would call {name}, expected only its name or an object of it; the file was altered, train and "
        "save the model again"
    )
