"""Reading a pickle's opcodes, and refusing those that no model needs, before anything of it is done.

The scan and the loader read through `opcodes`, so that they cannot see two different programs in the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BytesIO
from pickletools import genops
from typing import BinaryIO, Final, TypeAlias

from pilotlight.errors import UnsafePickle
from pilotlight.model.lock import GLOBAL

Opcode: TypeAlias = "tuple[str, object, int]"

PROTOCOLS: Final = (3, 4, 5)

TEXTS: Final = frozenset({"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"})
GETS: Final = frozenset({"BINGET", "LONG_BINGET"})
PUTS: Final = frozenset({"MEMOIZE", "BINPUT", "LONG_BINPUT"})
_VALUES = """BINBYTES BINBYTES8 BINFLOAT BININT BININT1 BININT2 BYTEARRAY8 LONG1 SHORT_BINBYTES"""
CONSTANTS: Final = TEXTS | frozenset(_VALUES.split())
_OTHERS = """ADDITEMS APPEND APPENDS BUILD EMPTY_DICT EMPTY_LIST EMPTY_SET EMPTY_TUPLE FRAME FROZENSET GLOBAL MARK
    NEWFALSE NEWOBJ NEWOBJ_EX NEWTRUE NONE POP POP_MARK PROTO REDUCE SETITEM SETITEMS STACK_GLOBAL STOP TUPLE TUPLE1
    TUPLE2 TUPLE3"""

# All that pickle writes with protocols 3 to 5. A model has no whole numbers of more than 255 bytes: LONG4 is out.
KNOWN: Final = CONSTANTS | GETS | PUTS | frozenset(_OTHERS.split())

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
_SAVE_AGAIN = "save the model again with pickle.dump(model, file, protocol=5)"


def opcodes(stream: BinaryIO, protocols: tuple[int, ...] = PROTOCOLS, size: int | None = None) -> Iterator[Opcode]:
    """Each opcode's name, argument and position, to its STOP; the stream then stands after that.

    `size` is where the pickle must end, None where something may follow. Raises UnsafePickle at the first opcode that
    is refused or cannot be read.
    """
    start = position = stream.tell()
    stored = frame_end = 0
    try:
        for opcode, argument, at in genops(stream):
            position = position if at is None else at
            name = opcode.name
            if name not in KNOWN:
                raise _refused(name, position)
            if (name == "PROTO") != (position == start):
                raise UnsafePickle(f"{name} at byte {position}: a pickle begins with its protocol; {_SAVE_AGAIN}")
            if name == "PROTO" and argument not in protocols:
                raise UnsafePickle(
                    f"the pickle has protocol {argument}, expected {protocols[0]} to {protocols[-1]}; {_SAVE_AGAIN}"
                )
            if name == "FRAME":
                frame_end = _frame(position, argument, frame_end, size)
            elif name in PUTS:
                # A huge number here makes the usual loader reserve memory for all the numbers below it.
                if isinstance(argument, int) and argument > stored:
                    raise UnsafePickle(f"{name} at byte {position} leaves out numbers; {_SAVE_AGAIN}")
                stored += argument is None or argument == stored
            yield name, argument, position
            if name == "STOP" and size is not None and position + 1 != size:
                raise UnsafePickle(
                    f"{size - position - 1} bytes follow the end of the pickle at byte {position}, expected none; "
                    f"{_SAVE_AGAIN}"
                )
    except (ValueError, OverflowError, MemoryError) as error:
        raise UnsafePickle(f"this is not a whole pickle: {error}, after byte {position}; {_SAVE_AGAIN}") from None


def scan(data: bytes) -> tuple[str, ...]:
    """The `module.name` of everything that a pickle asks for, sorted. Nothing is imported or run.

    Raises UnsafePickle where a name is not written in the pickle as it is, and for whatever `opcodes` refuses.
    """
    return tuple(sorted(positions(data)))


def positions(data: bytes) -> dict[str, int]:
    """Each `module.name` that a pickle asks for, and the byte at which it does so first."""
    found: dict[str, int] = {}
    memo: dict[int, str | None] = {}
    # The two topmost values of the machine's stack where they are known to be strings.
    below: str | None = None
    top: str | None = None
    for name, argument, position in opcodes(BytesIO(data), size=len(data)):
        if name in TEXTS:
            below, top = top, str(argument)
        elif name in GETS:
            if argument not in memo:
                raise UnsafePickle(f"{name} at byte {position} asks for what was never stored; {_SAVE_AGAIN}")
            below, top = top, memo[argument]
        elif name in PUTS:
            memo[len(memo) if argument is None else argument] = top  # type: ignore[index]
        elif name != "FRAME":
            if name == "STACK_GLOBAL":
                found.setdefault(qualified(below, top, position), position)
            elif name == "GLOBAL":
                found.setdefault(qualified(*pair(argument), position), position)
            below = top = None
    return found


def pair(argument: object) -> tuple[str, str]:
    """Module and name in GLOBAL's argument."""
    module, _, name = str(argument).partition(" ")
    return module, name


def qualified(module: object, name: object, position: int) -> str:
    """`module.name` of what a pickle asks for at `position`. Raises UnsafePickle for what is no plain pair of names."""
    if not isinstance(module, str) or not isinstance(name, str):
        raise UnsafePickle(f"the name at byte {position} is put together while loading, expected one that stands there")
    if "." in name:
        raise UnsafePickle(
            f"the pickle asks for {name!r} of {module} at byte {position}, expected a name without a dot; attributes "
            "of what a module holds are never loaded"
        )
    if not re.fullmatch(GLOBAL, f"{module}.{name}"):
        raise UnsafePickle(f"the pickle asks for {name!r} of {module!r} at byte {position}, expected plain names")
    return f"{module}.{name}"


def _refused(name: str, position: int) -> UnsafePickle:
    reason = _REASONS.get(name, "pickles of models have no use for it")
    return UnsafePickle(f"the pickle has the opcode {name} at byte {position}, which is refused: {reason}")


def _frame(position: int, length: object, previous_end: int, size: int | None) -> int:
    """Where a frame ends. Frames follow each other and end within the pickle."""
    end = position + 9 + int(str(length))
    if position < previous_end or (size is not None and end > size):
        raise UnsafePickle(f"the frame at byte {position} does not fit; the pickle was cut off or altered")
    return end
