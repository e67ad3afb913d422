"""`reference.json`, beside `model.lock`: the bins of a version's columns, with the counts of the publisher's rows."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from pilotlight.drift.bins import Bins
from pilotlight.drift.columns import sources_of
from pilotlight.errors import FormatError
from pilotlight.frozen import dataclass
from pilotlight.model.json_document import Node, read_json
from pilotlight.model.signature import Label, Signature

FORMAT = 1

# A column of at most so many values has a bin for each, and so have the most frequent texts; numbers with more values
# have as many bins between quantiles as is usual for the population stability index.
DISTINCT = 20
BINS = 10

# The longest text that has a bin of its own.
LONGEST = 64


@dataclass(frozen=True, slots=True)
class Column:
    """The bins of a column, and how many of the publisher's rows are in each."""

    bins: Bins
    counts: tuple[int, ...]


def read_reference(content: bytes, signature: Signature) -> tuple[Column, ...]:
    """Parse the bytes of a `reference.json` (shared/schema/reference.schema.json).

    Raise FormatError, also for one of a model with another signature.
    """
    columns = Node(read_json(content)).document(FORMAT, "columns")["columns"].items(_read_column, at_least=1)
    names = [column.bins.name for column in columns]
    expected = [name for source in sources_of(signature) for name in source.names]
    if names != expected:
        wrong = next((index for index, pair in enumerate(zip(names, expected, strict=False)) if pair[0] != pair[1]), -1)
        found = repr(names[wrong]) if wrong >= 0 else f"{len(names)} columns"
        wanted = repr(expected[wrong]) if wrong >= 0 else len(expected)
        raise FormatError(f"found {found}, expected {wanted} as the model has", "$.columns")
    return columns


def load_reference(path: Path, signature: Signature) -> tuple[Column, ...]:
    """Read the reference in a file. Raise FormatError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FormatError(
            f"cannot read the reference at {path}: {error.strerror}; run 'pilotlight pin' again", path=""
        ) from None
    try:
        return read_reference(content, signature)
    except FormatError as error:
        raise error.within(path.name) from None


def write_reference(columns: tuple[Column, ...]) -> dict[str, object]:
    """Return the JSON form of a reference."""
    return {"format": FORMAT, "columns": [_write_column(column) for column in columns]}


def _write_column(column: Column) -> Mapping[str, object]:
    bins = column.bins
    own = {"edges": list(bins.edges)} if bins.edges else {"values": list(bins.values)}
    return {"name": bins.name, **own, "counts": list(column.counts)}


def _read_column(node: Node) -> Column:
    fields = node.fields("name", "counts", optional=("values", "edges"))
    if ("values" in fields) == ("edges" in fields):
        raise FormatError("expected either values or edges", node.path)
    name = fields["name"].string()
    if "edges" in fields:
        edges = fields["edges"].items(Node.number, at_least=2)
        if any(low >= high for low, high in pairwise(edges)):
            raise fields["edges"].fail("numbers in ascending order")
        bins = Bins(name, edges=edges)
    else:
        bins = Bins(name, values=fields["values"].items(_read_value))
    counts = fields["counts"].items(lambda item: item.integer(at_least=0))
    if len(counts) != bins.size:
        raise FormatError(f"found {len(counts)} counts, expected one for each of {bins.size} bins", node.path)
    return Column(bins, counts)


def _read_value(node: Node) -> Label:
    if isinstance(node.value, bool):
        return node.value
    return node.string() if isinstance(node.value, str) else _number(node)


def _number(node: Node) -> int | float:
    number = node.number()
    return node.value if isinstance(node.value, int) else number
