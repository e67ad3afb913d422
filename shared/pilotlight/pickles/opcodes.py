"""Reading a pickle's opcodes, and refusing those that no model needs.

The scan and the machine read through one class, so that they cannot see two different programs in the same bytes.
"""

from __future__ import annotations

import pickle
import re
import struct
from collections.abc import Iterator
from typing import Any, Final

from pilotlight.errors import UnsafePickle
from pilotlight.model.lock import GLOBAL
from pilotlight.pickles.arguments import OPCODES, byte, opcode_name

PROTOCOLS: Final = (3, 4, 5)

_SAVE_AGAIN = "save the model again with pickle.dump(model, file, protocol=5)"

# Long lists and dictionaries are mostly runs of these opcodes: numbers, None, booleans, and stored strings of up to 63
# bytes. C reads a run 5 times as fast as the code below.
_STRINGS = b"|".join(b"%s.{%d}" % (re.escape(bytes([length])), length) for length in range(64))
_RUN: Final = re.compile(rb"(?:\x8c(?:%s)\x94|K.|M..|J.{4}|G.{8}|[N\x88\x89]){8,}+" % _STRINGS, re.DOTALL)


class PickleReader:
    """Reads the pickle at `position` in `data`, handles the opcodes that only move plain values, yields the others.

    `stack` holds the objects above the last mark, `memo` the stored objects by number, and `position` is where the next
    opcode begins. Handlers of the other opcodes work on the stack, and may move the position over data of other kinds.
    Unless the pickle is `alone`, data may follow its end.
    """

    def __init__(
        self, data: bytes, position: int = 0, protocols: tuple[int, ...] = PROTOCOLS, *, alone: bool = True
    ) -> None:
        self.stack: list[Any] = []
        self.memo: list[Any] = []
        self.position = position
        self._data = data
        self._start = position
        self._protocols = protocols
        self._alone = alone
        self._frame_end = 0
        self._ended = False
        self._runs: dict[int, tuple[tuple[Any, ...], list[str], int]] = {}

    def __iter__(self) -> Iterator[tuple[str, int]]:
        """Read from the start; yield the name and position of each opcode that is left to others.

        GLOBAL comes as a STACK_GLOBAL with its names on the stack. Raise UnsafePickle for an opcode that is refused or
        cannot be read.
        """
        data, at, name = self._data, self._start, ""
        try:
            end = self._begin()
            stack, memo = self.stack, self.memo
            while not self._ended:
                at = end
                name, read, argument = OPCODES[data[at]]
                end += 1
                if read is byte:  # most of those that have an argument
                    argument = data[end]
                    end += 1
                elif read is not None:
                    argument, end = read(data, end)
                if name == "GET":
                    stack.append(memo[argument])
                elif name == "VALUE":
                    stack.append(argument)
                elif name == "PUT":
                    memo.append(stack[-1])
                elif name == "CONTROL":
                    end = self._control(at, end, argument)
                else:
                    stack += argument
                    self.position = end
                    yield name, at
                    stack, end = self.stack, self.position
        except (ValueError, IndexError, struct.error) as error:
            missing = name == "GET" and isinstance(error, IndexError)
            reason = "GET asks for what was never stored" if missing else error
            raise UnsafePickle(f"this is not a complete pickle: {reason}, at byte {at}; {_SAVE_AGAIN}") from None

    def mark(self) -> None:
        """Begin a new stack."""
        self.stack = []
        self.position = self._read_run(self.position)

    def _begin(self) -> int:
        """Check the protocol; return where the first opcode after it begins."""
        code, protocol = self._data[self._start : self._start + 2]
        if code != pickle.PROTO[0]:
            raise _bad_start(opcode_name(code), self._start)
        if protocol not in self._protocols:
            raise UnsafePickle(
                f"the pickle has protocol {protocol}, expected {self._protocols[0]} to {self._protocols[-1]}; "
                f"{_SAVE_AGAIN}"
            )
        self.stack, self.memo, self._frame_end, self._ended = [], [], 0, False
        return self._start + 2

    def _control(self, at: int, end: int, argument: int) -> int:
        """Check an opcode that nothing else handles; return where the next one begins."""
        name = opcode_name(self._data[at])
        if name == "FRAME":
            self._check_frame(at, end + argument)
            return self._read_run(end)
        if name == "STOP":
            left = len(self._data) - end
            if self._alone and left:
                raise UnsafePickle(
                    f"{left} bytes follow the end of the pickle at byte {at}, expected none; {_SAVE_AGAIN}"
                )
            self._ended, self.position = True, end
        elif name == "PROTO":
            raise _bad_start(name, at)
        elif argument != len(self.memo):  # a huge number makes the usual loader reserve memory for all below it
            raise UnsafePickle(
                f"{name} at byte {at} has the number {argument}, expected {len(self.memo)}; {_SAVE_AGAIN}"
            )
        else:
            self.memo.append(self.stack[-1])
        return end

    def _check_frame(self, at: int, end: int) -> None:
        """Check that frames follow each other and end within the pickle."""
        if at < self._frame_end or end > len(self._data):
            raise UnsafePickle(f"the frame at byte {at} does not fit; the pickle was cut off or altered")
        self._frame_end = end

    def _read_run(self, at: int) -> int:
        """Push the values of the run at a position, if one is there; return where the next opcode begins."""
        run = self._runs.get(at)
        if run is None:
            match = _RUN.match(self._data, at)
            if match is None:
                return at
            values = pickle.loads(b"\x80\x04(" + match[0] + b"t.")  # noqa: S301 - what matches is plain values alone
            run = values, [value for value in values if type(value) is str], match.end()
            self._runs[at] = run
        values, strings, end = run
        self.stack += values
        self.memo += strings
        return end


def scan(data: bytes) -> tuple[str, ...]:
    """Return the `module.name` of everything that a pickle asks for, sorted. Nothing is imported or run.

    Raise UnsafePickle where a name is not written in the pickle as it is, and for whatever `PickleReader` refuses.
    """
    return tuple(sorted(positions(PickleReader(data))))


def positions(reader: PickleReader) -> dict[str, int]:
    """Return each `module.name` that a pickle asks for, and the byte at which it does so first."""
    names: dict[str, int] = {}
    for name, position in reader:
        if name == "MARK":
            reader.mark()
            continue
        if name == "STACK_GLOBAL":
            below, top = [None, None, *reader.stack][-2:]
            names.setdefault(qualified(below, top, position), position)
        reader.stack = [None]  # no plain value, whatever is there
    return names


def qualified(module: object, name: object, position: int) -> str:
    """Return the `module.name` that a pickle asks for at `position`. Raise UnsafePickle unless both are plain names."""
    if not isinstance(module, str) or not isinstance(name, str):
        raise UnsafePickle(f"the name at byte {position} is put together while loading, expected it in the pickle")
    if "." in name:
        raise UnsafePickle(
            f"the pickle asks for {name!r} of {module} at byte {position}, expected a name without a dot; attributes "
            "of what a module holds are never loaded"
        )
    if not re.fullmatch(GLOBAL, f"{module}.{name}"):
        raise UnsafePickle(f"the pickle asks for {name!r} of {module!r} at byte {position}, expected plain names")
    return f"{module}.{name}"


def _bad_start(name: str, position: int) -> UnsafePickle:
    return UnsafePickle(f"{name} at byte {position}: a pickle begins with its protocol; {_SAVE_AGAIN}")
