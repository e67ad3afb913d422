"""What a task of a job is asked for: its arguments, and which task it is."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from pilotlight.errors import SettingsError
from pilotlight.files.planning import SHARD_BYTES
from pilotlight.files.shards import RESULT_FORMATS
from pilotlight.frozen import dataclass

_INDEX, _COUNT = "CLOUD_RUN_TASK_INDEX", "CLOUD_RUN_TASK_COUNT"


@dataclass(frozen=True, slots=True)
class Asked:
    """A job, as for `pilotlight batch`. All of its tasks are asked for the same."""

    input: str
    output: str
    format: str = ""
    keep: tuple[str, ...] = ()
    header: bool = True
    shard_bytes: int = SHARD_BYTES


def read_arguments(arguments: Sequence[str]) -> Asked:
    """Return what the arguments of the command ask for. Raise SystemExit, after a line about what is wrong."""
    parser = argparse.ArgumentParser("batch_main", description="Score the shards of a bucket that are this task's.")
    parser.add_argument("input", metavar="INPUT", help="an object, a prefix or a pattern: gs:// or s3://")
    parser.add_argument("output", metavar="OUTPUT", help="a folder of results: gs:// or s3://")
    parser.add_argument("--format", choices=RESULT_FORMATS, default="", help="the format of the results")
    parser.add_argument("--keep", default="", help="columns to keep, separated by commas")
    parser.add_argument("--no-header", action="store_true", help="CSV has no names of columns")
    parser.add_argument("--shard-bytes", type=_size, default=SHARD_BYTES, help="bytes of a shard, about")
    found = parser.parse_args(arguments)
    keep = tuple(filter(None, found.keep.split(",")))
    return Asked(found.input, found.output, found.format, keep, not found.no_header, found.shard_bytes)


def _size(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number from 1")
    return int(text)


def read_task(environ: Mapping[str, str]) -> tuple[int, int]:
    """Return which task of how many this is, by what Cloud Run sets; the only one elsewhere. Raise SettingsError.

    https://cloud.google.com/run/docs/container-contract#jobs-env-vars
    """
    index, count = environ.get(_INDEX, "0"), environ.get(_COUNT, "1")
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise SettingsError(f"found {_INDEX} {index!r} of {_COUNT} {count!r}; expected a task's number below the count")
    return int(index), int(count)
