"""Writing pickles of protocol 0 and 1 in the opcodes of protocol 2, which the checked machine reads.

Each opcode becomes one that does the same; nothing is executed here. What has no such opcode is left for the machine to
refuse.
"""

from __future__ import annotations

import pickle
import struct
from pickletools import genops

from pilotlight.errors import UnsafePickle

_SAVE_AGAIN = "save the model again with pickle.dump(model, file, protocol=5)"


def rewrite(data: bytes) -> bytes:
    """Return a pickle of protocol 0 or 1 as one of protocol 2. Raise UnsafePickle if it cannot be read."""
    out = [pickle.PROTO + b"\x02"]
    try:
        opcodes = [(opcode.name, argument, position or 0) for opcode, argument, position in genops(data)]
        ends = [*(position for _, _, position in opcodes[1:]), len(data)]
        for (name, argument, start), end in zip(opcodes, ends, strict=True):
            if name in ("LIST", "DICT") and out[-1] == pickle.MARK:  # an empty one, which Python then fills
                out[-1] = pickle.EMPTY_LIST if name == "LIST" else pickle.EMPTY_DICT
            else:
                out.append(_binary(name, argument) or data[start:end])
    except (ValueError, IndexError, struct.error) as error:
        raise UnsafePickle(f"this is not a complete pickle: {error}; {_SAVE_AGAIN}") from None
    return b"".join(out)


def _binary(name: str, argument: object) -> bytes:
    """Return the binary opcode for one of text; empty for all others."""
    if name == "INT" and isinstance(argument, bool):
        return pickle.NEWTRUE if argument else pickle.NEWFALSE
    if name in ("INT", "LONG") and isinstance(argument, int):
        size = argument.bit_length() // 8 + 1
        return pickle.LONG1 + bytes([size]) + argument.to_bytes(size, "little", signed=True)
    if name == "FLOAT" and isinstance(argument, float):
        return pickle.BINFLOAT + struct.pack(">d", argument)
    if name == "UNICODE" and isinstance(argument, str):
        encoded = argument.encode("utf-8", "surrogatepass")
        return pickle.BINUNICODE + struct.pack("<I", len(encoded)) + encoded
    if name in ("GET", "PUT") and isinstance(argument, int):
        code = pickle.LONG_BINGET if name == "GET" else pickle.LONG_BINPUT
        return code + struct.pack("<I", argument)
    return b""
