"""The opcodes that a model's pickle may have, and how their arguments are read."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from pilotlight.errors import UnsafePickle

# Takes the pickle and the position of an argument; returns the argument and the position after it.
ReadArgument: TypeAlias = Callable[[bytes, int], "tuple[Any, int]"]

_EXTENSION = "it stands for a name that only the loading process knows"
_OUTSIDE = "it asks for an object outside of the file"
_BUFFER = "it asks for a buffer outside of the file"
_REASONS: Final = {
    "EXT1": _EXTENSION,
    "EXT2": _EXTENSION,
    "EXT4": _EXTENSION,
    "PERSID": _OUTSIDE,
    "BINPERSID": _OUTSIDE,
    "NEXT_BUFFER": _BUFFER,
    "READONLY_BUFFER": _BUFFER,
}


def opcode_name(code: int) -> str:
    """Return what `pickle` calls an opcode. Raise ValueError if it has none of that code."""
    if code not in _NAMES:
        raise ValueError(f"the opcode {code:#x} is unknown")
    return _NAMES[code]


def _refuse(data: bytes, at: int) -> tuple[Any, int]:
    name = opcode_name(data[at - 1])
    reason = _REASONS.get(name, "pickles of models have no use for it")
    raise UnsafePickle(f"the pickle has the opcode {name} at byte {at - 1}, which is refused: {reason}")


def byte(data: bytes, at: int) -> tuple[int, int]:
    """Read a number of one byte."""
    return data[at], at + 1


def _number(form: str) -> ReadArgument:
    number = struct.Struct(form)
    return lambda data, at: (number.unpack_from(data, at)[0], at + number.size)


def _sized(form: str, convert: Callable[[memoryview], Any]) -> ReadArgument:
    """Return a reader of content whose size is before it."""
    number = struct.Struct(form)

    def read(data: bytes, at: int) -> tuple[Any, int]:
        begin = at + number.size
        end = begin + number.unpack_from(data, at)[0]
        if end > len(data):
            raise ValueError(f"{end - begin} bytes were expected, {len(data) - begin} are left")
        return convert(memoryview(data)[begin:end]), end

    return read


def _empty(kind: type) -> ReadArgument:
    return lambda _, at: (kind(), at)


def _text(content: memoryview) -> str:
    return str(content, "utf-8", "surrogatepass")


def _whole(content: memoryview) -> int:
    return int.from_bytes(content, "little", signed=True)


def _lines(data: bytes, at: int) -> tuple[tuple[str, str], int]:
    """Read a module and a name, each with a newline after it."""
    middle = data.index(b"\n", at)
    end = data.index(b"\n", middle + 1)
    return (data[at:middle].decode(), data[middle + 1 : end].decode()), end + 1


def _table() -> tuple[tuple[str, ReadArgument | None, Any], ...]:
    """Return for each code what the reader does with it, how it reads the argument, and the argument if it has none."""
    table: list[tuple[str, ReadArgument | None, Any]] = [("", _refuse, None)] * 256
    known = {name: (name, None, ()) for name in _BARE.split()} | _MOVES
    for code, name in _NAMES.items():
        table[code] = known.get(name, table[code])
    return tuple(table)


# All that pickle writes with protocols 3 to 5. A model has no integers of more than 255 bytes: LONG4 is out.
_BARE: Final = """ADDITEMS APPEND APPENDS BUILD FROZENSET MARK NEWOBJ NEWOBJ_EX POP POP_MARK REDUCE SETITEM SETITEMS
    STACK_GLOBAL TUPLE TUPLE1 TUPLE2 TUPLE3"""
_MOVES: Final[dict[str, tuple[str, ReadArgument | None, Any]]] = {
    "BINBYTES": ("VALUE", _sized("<I", bytes), None),
    "BINBYTES8": ("VALUE", _sized("<Q", bytes), None),
    "BINFLOAT": ("VALUE", _number(">d"), None),
    "BINGET": ("GET", byte, None),
    "BININT": ("VALUE", _number("<i"), None),
    "BININT1": ("VALUE", byte, None),
    "BININT2": ("VALUE", _number("<H"), None),
    "BINPUT": ("CONTROL", byte, None),
    "BINUNICODE": ("VALUE", _sized("<I", _text), None),
    "BINUNICODE8": ("VALUE", _sized("<Q", _text), None),
    "BYTEARRAY8": ("VALUE", _sized("<Q", bytearray), None),
    "EMPTY_DICT": ("VALUE", _empty(dict), None),
    "EMPTY_LIST": ("VALUE", _empty(list), None),
    "EMPTY_SET": ("VALUE", _empty(set), None),
    "EMPTY_TUPLE": ("VALUE", None, ()),
    "FRAME": ("CONTROL", _number("<Q"), None),
    "GLOBAL": ("STACK_GLOBAL", _lines, None),
    "LONG1": ("VALUE", _sized("<B", _whole), None),
    "LONG_BINGET": ("GET", _number("<I"), None),
    "LONG_BINPUT": ("CONTROL", _number("<I"), None),
    "MEMOIZE": ("PUT", None, None),
    "NEWFALSE": ("VALUE", None, False),
    "NEWTRUE": ("VALUE", None, True),
    "NONE": ("VALUE", None, None),
    "PROTO": ("CONTROL", byte, None),
    "SHORT_BINBYTES": ("VALUE", _sized("<B", bytes), None),
    "SHORT_BINUNICODE": ("VALUE", _sized("<B", _text), None),
    "STOP": ("CONTROL", None, None),
}
_NAMES: Final = {value[0]: name for name, value in vars(pickle).items() if isinstance(value, bytes) and len(value) == 1}
OPCODES: Final = _table()
