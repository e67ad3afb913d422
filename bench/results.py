"""The files in bench/results: every round as it was measured, in seconds and bytes, and on what machine."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import file_cache
import quota
from conditions import Condition
from contestants import Field
from figures import Round
from marks import Phase
from race import CONNECTIONS, Compared

FORMAT = 2
FOLDER = Path(__file__).parent / "results"

Waterfalls = Mapping[str, Mapping[str, Sequence[Phase]]]
"""Phases by a condition's name and the contestant."""


def machine(python: str) -> dict[str, Any]:
    """Return what a number depends on. It says nothing of whose machine it is."""
    version = [python, "-c", "import platform; print(platform.python_version())"]
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "architecture": platform.machine(),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "processor": _processor(),
        "python": subprocess.check_output(version, text=True).strip(),
        "file_cache": file_cache.how(),
        "quota": quota.refusal() or f"a control group with a period of {quota.PERIOD // 1000} ms",
    }


def field_document(
    field: Field,
    conditions: Sequence[Condition],
    compared: Compared,
    starts: Mapping[str, Sequence[Round]],
    waterfalls: Waterfalls,
) -> dict[str, Any]:
    """Return what was measured of a field's cold starts; its load, where there is one, is added as `loads`."""
    return {
        "reference": field.contestants[0].name,
        "contestants": [{"name": each.name, "title": each.title, "size": each.size} for each in field.contestants],
        "versions": dict(field.versions),
        "conditions": {each.name: each.title for each in conditions},
        "starts": {name: list(rounds) for name, rounds in starts.items()},
        "waterfalls": {
            name: {contestant: [asdict(phase) for phase in phases] for contestant, phases in found.items()}
            for name, found in waterfalls.items()
        },
        "connections": CONNECTIONS,
        "loads": [],
        "asked": {name: dict(counts) for name, counts in compared.asked.items()},
        "stop_seconds": dict(compared.stop_seconds),
    }


def write(part: str, document: Mapping[str, Any], on: Mapping[str, Any], folder: Path = FOLDER) -> Path:
    """Write a part's file. `on` is the machine."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{part}.json"
    head = {"format": FORMAT, "written": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "machine": dict(on)}
    file.write_text(json.dumps(head | dict(document), indent=1) + "\n")
    return file


def read(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """All parts that are there, by name. Raises ValueError for a file of another format."""
    found = {}
    for file in sorted(folder.glob("*.json")):
        document = json.loads(file.read_bytes())
        if document.get("format") != FORMAT:
            raise ValueError(f"{file} has the format {document.get('format')}, expected {FORMAT}; run the bench again")
        found[file.stem] = document
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
