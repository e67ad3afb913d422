"""Where records of CSV and JSON Lines begin and end, so that a parser gets whole ones and lines can be counted.

A quote has a meaning at a cell's beginning alone, as in pyarrow's parser (RFC 4180 has no other). A record ends with
LF, CRLF or CR.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from pilotlight.errors import FormatError
from pilotlight.frozen import dataclass

# Bytes that are parsed together, and the most that a record may have.
BLOCK = 4 << 20
LONGEST = 64 << 20

_BOM = b"\xef\xbb\xbf"
_CELL = rb'(?:"[^"]*+(?:""[^"]*+)*+"[^,\r\n]*+|(?!")[^,\r\n]*+)'
_CELLS = _CELL + rb"(?:," + _CELL + rb")*+"
_END = rb"(?:\r\n|\n|\r(?=[^\n]))"
_RECORDS = re.compile(rb"(?:" + _CELLS + _END + rb")*+")
_RECORD = re.compile(_CELLS + rb"(?:" + _END + rb"|\r?\Z)")
_LINE = re.compile(rb"[^\r\n]*+(?:\r\n|\n|\r|\Z)")


@dataclass(frozen=True, slots=True)
class Block:
    """Whole records, and the number of their first line. `torn`: a record whose quote the file does not close."""

    content: bytes
    line: int
    torn: bool = False


def blocks(
    source: BinaryIO, *, quotes: bool, start: int = 0, stop: int = -1, line: int = 1, size: int = BLOCK
) -> Iterator[Block]:
    """Yield the records of a source from its position, byte `start` of the file, to byte `stop`; -1 is the end.

    `quotes`: a quoted cell may hold line ends. Raise FormatError for a record of more than LONGEST bytes.
    """
    left = None if stop < 0 else stop - start
    rest = b""
    if start == 0:
        rest = source.read(len(_BOM)).removeprefix(_BOM)
        left = None if left is None else left - len(_BOM)
    while True:
        chunk = source.read(size if left is None else min(size, max(left, 0)))
        if left is not None:
            left -= len(chunk)
        content = rest + chunk
        end = _end(content, quotes=quotes)
        if end:
            yield Block(content[:end], line)
            line += count_lines(content[:end])
        rest = content[end:]
        if not chunk:
            break
        if len(rest) > LONGEST:
            raise FormatError(f"line {line}: a record has more than {LONGEST:,} bytes; is a quote not closed?", "")
    if rest:
        torn = quotes and not _RECORD.fullmatch(rest)
        yield Block(rest, line, torn=torn)


def _end(content: bytes, *, quotes: bool) -> int:
    """Return the end of the last whole record."""
    if not (quotes and b'"' in content):
        end = content.rfind(b"\n") + 1
        if end or b"\r" not in content:
            return end
    found = _RECORDS.match(content)
    return found.end() if found else 0


def count_lines(content: bytes) -> int:
    """Return the number of line ends."""
    count = content.count(b"\n")
    return count + content.count(b"\r") - content.count(b"\r\n") if b"\r" in content else count


def records(block: Block, *, quotes: bool) -> Iterator[tuple[int, bytes]]:
    """Yield the line at which each record begins, and its bytes; empty lines are none."""
    line = block.line
    for found in (_RECORD if quotes else _LINE).finditer(block.content):
        if found[0].strip(b"\r\n" if quotes else b" \t\r\n"):
            yield line, found[0]
        line += count_lines(found[0])


def boundaries(source: BinaryIO, *, quotes: bool, every: int) -> Iterator[tuple[int, int]]:
    """Yield the offset and the line at which parts of about `every` bytes begin, the first at 0."""
    yield 0, 1
    begun = 0
    head = source.read(len(_BOM))
    offset = len(_BOM) if head == _BOM else 0
    source.seek(offset)
    for block in blocks(source, quotes=quotes, start=offset, size=min(max(every // 8, 1), BLOCK)):
        if offset - begun >= every:
            yield offset, block.line
            begun = offset
        offset += len(block.content)
