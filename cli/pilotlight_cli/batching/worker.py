"""A process that scores shards: one line of JSON in for each, and lines out for its progress and its end.

Its libraries are those that the lock pins, before those of the command.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from pilotlight.boot import open_store
from pilotlight.errors import PilotlightError
from pilotlight.files.mapping import Opened, map_shard
from pilotlight.files.shards import Job, Shard, Summary
from pilotlight.library import open_plane
from pilotlight_cli.batching.sources import open_place

Say = Callable[[Mapping[str, Any]], None]


def main() -> None:
    """Read shards from stdin until it ends."""
    # Whatever a library prints must not get between the lines.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(document: Mapping[str, Any]) -> None:
        out.write(json.dumps(document) + "\n")
        out.flush()

    try:
        _work(json.loads(sys.stdin.readline()), say)
    except (PilotlightError, OSError, pa.ArrowException) as error:
        say({"error": str(error)})


class _NoPandas:
    """An importer's first finder, which has no pandas."""

    @staticmethod
    def find_spec(name: str, _path: object = None, _target: object = None) -> None:
        if name == "pandas":
            raise ImportError(name)


def _without_pandas() -> None:
    """Have pyarrow look for pandas now and find none: it would import it, for a second, with the first list it gets."""
    sys.meta_path.insert(0, _NoPandas)
    pa.array([""])
    sys.meta_path.remove(_NoPandas)


def _work(start: Mapping[str, Any], say: Say) -> None:
    _without_pandas()
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    job = Job(**{**start["job"], "keep": tuple(start["job"]["keep"])})
    place = open_place(start["input"])
    folder = Path(start["folder"])
    plane = open_plane(Path(start["lock"]), open_store(start["store"], {}), folder)
    say({"ready": True})
    for line in sys.stdin:
        shard = Shard(**json.loads(line))
        with place.open(shard.file, shard.state) as source:
            opened = Opened(source, folder / f"{shard.index}.result", folder / f"{shard.index}.failures")
            summary = map_shard(plane, shard, job, opened, lambda rows: say({"rows": rows}))
        say({"done": {name: getattr(summary, name) for name in Summary.__slots__}})


if __name__ == "__main__":
    main()
