"""The names in a folder of results. What is not data begins with _, which readers of such folders leave out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import pilotlight
from pilotlight.files.planning import Plan
from pilotlight.files.shards import RESULT_FORMATS, Summary, format_of
from pilotlight.files.sources import Source
from pilotlight.model.lock import Description

MANIFEST, FAILURES, JOB, PARTS = "_manifest.json", "_failures.jsonl", "_job.json", "_parts"


def part_of(index: int, format_: str) -> str:
    """Return the name of the results of a shard."""
    return f"part-{index:05}.{format_}"


def summary_of(index: int) -> str:
    """Return the name of a shard's summary. A shard is done when it is there."""
    return f"{PARTS}/{index:05}.json"


def failures_of(index: int) -> str:
    """Return the name of a shard's failures, until the failures of all shards are joined."""
    return f"{PARTS}/{index:05}.failures.jsonl"


def describe_job(model: Description, lock: bytes, sources: Sequence[Source], plan: Plan) -> dict[str, Any]:
    """Return what makes the results what they are. A run goes on only where all of this is the same."""
    return {
        "model": {
            "name": model.name,
            "version": model.version,
            "files": {file.name: file.sha256 for file in model.files},
            "lock": hashlib.sha256(lock).hexdigest(),
        },
        "code": pilotlight.__version__,
        "input": [{"file": source.name, "size": source.size, "state": source.state} for source in sources],
        "settings": {"format": plan.job.format, "keep": list(plan.job.keep), "header": plan.job.header},
        "shards": len(plan.shards),
    }


def count(parts: Sequence[Summary], format_: str) -> dict[str, Any]:
    """Return what a manifest says of the parts."""
    return {
        "rows": sum(part.rows for part in parts),
        "written": sum(part.written for part in parts),
        "failed": sum(part.failed for part in parts),
        "parts": [
            {"name": part_of(part.index, format_), "rows": part.written, "seconds": part.seconds} for part in parts
        ],
    }


def result_format(asked: str, output: str, sources: Sequence[Source]) -> str:
    """Return the format of the results: the one that is asked for, else the output's name's, else the first file's."""
    named = format_of(output.rstrip("/"))[0]
    first = format_of(sources[0].name)[0]
    return asked or next((each for each in (named, first) if each in RESULT_FORMATS), "parquet")
