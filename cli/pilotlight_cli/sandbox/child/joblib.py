"""Reading joblib files and old pickles as strictly as pickles: the same machine, which also reads joblib's arrays.

joblib's own reader would load the pickle within an array of objects without any allowlist. Nothing of joblib is
imported here, and nothing is mapped into memory.
"""

from __future__ import annotations

from collections.abc import Collection
from math import prod
from pickle import PROTO
from typing import Any, Final

import numpy as np

from pilotlight.errors import UnsafePickle
from pilotlight.pickles.attributes import Refused
from pilotlight.pickles.machine import PickleMachine
from pilotlight.pickles.numpy_rules import are_lengths
from pilotlight.pickles.opcodes import PROTOCOLS, PickleReader
from pilotlight.pickles.rules import check_creation
from pilotlight_cli.sandbox.child.old_pickles import rewrite

_WRAPPER: Final = "joblib.numpy_pickle.NumpyArrayWrapper"
_ENCODE: Final = "_codecs.encode"

_REBUILD: Final = "copy_reg._reconstructor"

# In protocol 2 modules have their names of Python 2; joblib before 1.6 writes arrays of objects so.
_PROTOCOLS: Final = (2, *PROTOCOLS)
_RENAMED: Final = {"__builtin__.xrange": "builtins.range"}
_MODULES: Final = {"__builtin__": "builtins"}


def load(data: bytes, allowed: Collection[str]) -> tuple[Any, frozenset[str]]:
    """Load a decompressed joblib file, or a pickle of protocol 0 to 2.

    Return the object and the globals that it requests. Raise UnsafePickle.
    """
    data = data if data[:1] == PROTO else rewrite(data)
    machine = _JoblibMachine(data, PickleReader(data, protocols=_PROTOCOLS, alone=False), allowed)
    loaded = machine.run()
    end = machine.reader.position
    if end != len(data):
        raise UnsafePickle(f"unexpected data after the end of the pickle at byte {end}; save the model again")
    return loaded, machine.requested


class _Wrapper:
    """joblib's description of the array that follows. The fields are joblib's."""

    subclass: Any
    shape: Any
    order: Any
    dtype: Any
    numpy_array_alignment_bytes: Any = None


class _JoblibMachine(PickleMachine):
    def __init__(self, data: bytes, reader: PickleReader, allowed: Collection[str], *, nested: bool = False) -> None:
        super().__init__(reader, allowed)
        self._data = data
        self._allowed_within = allowed
        self._nested = nested
        self._within: set[str] = set()

    @property
    def requested(self) -> frozenset[str]:
        """The globals that the file requests, with those in its arrays of objects, without joblib's own."""
        return frozenset(
            name
            for name in self.names | self._within
            if name not in (_WRAPPER, _ENCODE, _REBUILD) and not name.endswith(".memmap")
        )

    def find(self, module: object, name: object) -> Any:  # noqa: ANN401 - any class or function
        full = f"{module}.{name}"
        if full == _WRAPPER and not self._nested:
            return self.remember(full, _Wrapper)
        if full == _ENCODE:
            return self.remember(full, _latin1)
        if full == _REBUILD:
            return self.remember(full, self._rebuild)
        if str(name) == "memmap" and str(module).partition(".")[0] == "numpy":
            return self.remember(full, np.ndarray)  # a wrapper's subclass; its content is in this file too
        if full in _RENAMED:
            module, _, name = _RENAMED[full].rpartition(".")
        found = super().find(_MODULES.get(str(module), module), name)
        if found is bytes:
            self._rules[id(found)] = _is_empty
        return found

    def _rebuild(self, created: Any, base: object, state: object) -> Any:  # noqa: ANN401 - any class
        """Return an object of an allowed class, as protocols 0 and 1 make it; its state follows."""
        name, _ = self._named.get(id(created), ("", None))
        if not name or base is not object or state is not None:
            raise Refused("expected a class by its name that extends object alone; protocols 2 to 5 hold others")
        check_creation(name, created, ())
        return created.__new__(created)

    def set_state(self, instance: Any, state: Any) -> None:  # noqa: ANN401 - any object and its state
        super().set_state(instance, state)
        if isinstance(instance, _Wrapper):
            self.reader.stack[-1] = self._read_array(instance)

    def _read_array(self, wrapper: _Wrapper) -> np.ndarray[Any, Any]:
        shape, dtype = wrapper.shape, wrapper.dtype
        if not isinstance(dtype, np.dtype) or not are_lengths(shape):
            raise UnsafePickle(
                f"the array at byte {self.position} has no valid shape and datatype; save the model again"
            )
        if dtype.hasobject:
            return self._read_objects()
        if wrapper.numpy_array_alignment_bytes is not None:
            self._read(self._read(1)[0])
        # Writable memory.
        content = bytearray(self._read(prod(shape) * dtype.itemsize))
        array: np.ndarray[Any, Any] = np.frombuffer(content, dtype).reshape(
            shape, order="F" if wrapper.order == "F" else "C"
        )
        return array.view(np.matrix) if wrapper.subclass is np.matrix else array

    def _read_objects(self) -> np.ndarray[Any, Any]:
        reader = PickleReader(self._data, self.reader.position, _PROTOCOLS, alone=False)
        machine = _JoblibMachine(self._data, reader, self._allowed_within, nested=True)
        array = machine.run()
        self.reader.position = reader.position
        self._within |= machine.requested
        if not isinstance(array, np.ndarray):
            raise UnsafePickle(f"the array at byte {self.position} holds {type(array).__name__}; save the model again")
        return array

    def _read(self, count: int) -> bytes:
        begin = self.reader.position
        self.reader.position = begin + count
        content = self._data[begin : begin + count]
        if len(content) != count:
            raise UnsafePickle(
                f"the array at byte {self.position} ends after {len(content)} of {count} bytes: the file is truncated; "
                "save the model again"
            )
        return content


def _is_empty(arguments: object) -> None:
    """Require no arguments: before protocol 3, empty bytes are a call of their class."""
    if arguments != ():
        raise Refused("expected only to be named, or called without arguments")


def _latin1(text: str, encoding: str) -> bytes:
    """Return the bytes that protocol 2 writes as text, in latin1 alone."""
    if encoding != "latin1":
        raise ValueError(f"found the encoding {encoding!r}, expected latin1")
    return text.encode("latin1")
