"""What is to be scored, and what came of it: plain values, which JSON can carry to another machine."""

from __future__ import annotations

from pilotlight.frozen import dataclass

# The formats of files, by the ends of their names.
FORMATS = {".parquet": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".npy": "npy"}
RESULT_FORMATS = ("parquet", "csv", "jsonl")
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of a file, whose rows one call scores.

    `start` and `stop` count bytes of CSV and JSON Lines, at which records begin, row groups of Parquet and rows of
    `.npy`; a `stop` of -1 is the end of the file, and a compressed file is one shard. `line` is the number of the first
    line, or of the first row of Parquet and `.npy`; both count from 1. `index` is the shard's place in its job.
    `state` is the file's as the shard was made, for whoever opens it: a file that changed since has other parts.
    """

    index: int
    file: str
    format: str
    compression: str = ""
    start: int = 0
    stop: int = -1
    line: int = 1
    state: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """What the shards of a job have in common.

    `format` is that of the results, `keep` the columns that they get from the rows. `types` are those of kept columns
    of JSON Lines, as `write_types` writes them. `header`: the first line of CSV has the names of its columns.
    """

    format: str
    keep: tuple[str, ...] = ()
    types: str = ""
    header: bool = True


@dataclass(frozen=True, slots=True)
class Failure:
    """A row that has no result: its line (its row in Parquet and `.npy`), its column or "", and the reason."""

    file: str
    line: int
    column: str
    reason: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What came of a shard: `rows` = `written` + `failed`. `seconds` are of the clock on the wall."""

    index: int
    rows: int
    written: int
    failed: int
    seconds: float


def format_of(name: str) -> tuple[str, str]:
    """Return the format and the compression that a file's name says; "" for none that is known."""
    name = name.lower()
    compression = next((found for end, found in COMPRESSIONS.items() if name.endswith(end)), "")
    if compression:
        name = name.rpartition(".")[0]
    return next((found for end, found in FORMATS.items() if name.endswith(end)), ""), compression
