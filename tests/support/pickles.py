"""Assembling pickles opcode by opcode, hostile ones among them."""

from __future__ import annotations

import struct
from pathlib import Path

STOP = b"."
MARK = b"("
REDUCE = b"R"
BUILD = b"b"
NEWOBJ = b"\x81"
MEMOIZE = b"\x94"
TUPLE = b"t"
EMPTY_DICT = b"}"
EMPTY_TUPLE = b")"
STACK_GLOBAL = b"\x93"
SETITEM = b"s"
NONE = b"N"


def program(*parts: bytes, protocol: int = 4) -> bytes:
    """Return a complete pickle."""
    return b"\x80" + bytes([protocol]) + b"".join(parts) + STOP


def text(value: str) -> bytes:
    """Push a short string."""
    encoded = value.encode()
    return b"\x8c" + bytes([len(encoded)]) + encoded


def number(value: int) -> bytes:
    """Push an integer of four bytes."""
    return b"J" + struct.pack("<i", value)


def integer(value: int) -> bytes:
    """Push an integer of up to 255 bytes."""
    encoded = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(encoded)]) + encoded


def raw(value: bytes) -> bytes:
    """Push a few bytes."""
    return b"C" + bytes([len(value)]) + value


def named(module: str, name: str) -> bytes:
    """Push what `module` calls `name`."""
    return text(module) + text(name) + STACK_GLOBAL


def items(*parts: bytes) -> bytes:
    """Push a tuple."""
    return MARK + b"".join(parts) + TUPLE


def call(function: bytes, *arguments: bytes) -> bytes:
    """Push a function's result."""
    return function + items(*arguments) + REDUCE


def attribute(key: str, value: bytes) -> bytes:
    """Push a dictionary with one entry."""
    return EMPTY_DICT + text(key) + value + SETITEM


def executing(marker: Path) -> dict[str, bytes]:
    """Return pickles that make the folder `marker` when Python's own pickle loads them."""
    path = text(str(marker))
    mkdir = named("posix", "mkdir")
    protocol_0 = f"V{marker}\n".encode()
    return {
        "a call": program(call(mkdir, path)),
        "a call with a name of protocol 3": program(call(b"cposix\nmkdir\n", path), protocol=3),
        "a call with names from the memo": program(
            text("mkdir") + MEMOIZE + b"0" + text("posix") + b"h\x00" + STACK_GLOBAL + items(path) + REDUCE
        ),
        "a call with names from numbered places": program(
            text("posix")
            + b"q\x00"
            + b"0"
            + text("mkdir")
            + b"q\x01"
            + b"0h\x00h\x01"
            + STACK_GLOBAL
            + items(path)
            + REDUCE
        ),
        "a name with dots": program(call(named("os", "path.os.mkdir"), path)),
        "an old instance": b"(" + protocol_0 + b"iposix\nmkdir\n.",
        "an old object": b"\x80\x02(cposix\nmkdir\nX"
        + struct.pack("<I", len(str(marker)))
        + str(marker).encode()
        + b"o.",
        "a partial": program(call(call(named("functools", "partial"), mkdir, path))),
        "a planted __setstate__": program(
            call(named("types", "SimpleNamespace")) + attribute("__setstate__", mkdir) + BUILD + path + BUILD
        ),
        "a map": program(call(named("builtins", "list"), call(named("builtins", "map"), mkdir, items(path)))),
        "a method of a class": program(call(named("pathlib", "Path.mkdir"), call(named("pathlib", "Path"), path))),
        "something that is thrown away": program(call(mkdir, path) + b"0" + NONE),
        "a default factory": program(
            call(
                named("builtins", "dict.__getitem__"),
                call(named("collections", "defaultdict"), call(named("functools", "partial"), mkdir, path)),
                NONE,
            )
        ),
    }
