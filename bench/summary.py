"""What the files of rounds come to: medians with their spread, ratios within rounds, targets. JSON in, JSON out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from figures import Round, ratios, values
from targets import judged

# What is taken of each start, and of each load.
STARTS = ("first_answer", "peak")
LOADS = ("requests_per_second", "memory")


def summary(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the whole of a run, small enough to be kept: no rounds."""
    first = next(iter(parts.values()))
    found: dict[str, Any] = {"written": first["written"], "machine": first["machine"]}
    found |= {name: _field(parts[name]) for name in ("aws", "google") if name in parts}
    if "large" in parts:
        found["large"] = _large(parts["large"])
    for name in ("warm", "records"):
        if name in parts:
            found[name] = {
                key: value for key, value in parts[name].items() if key not in ("format", "written", "machine")
            }
    if "batch" in parts:
        found["batch"] = _batch(parts["batch"])
    if "batching" in parts:
        found["batching"] = measures(parts["batching"]["rounds"], "alone", ("requests_per_second", "p99"))
    return found | {"targets": [asdict(each) for each in judged(parts)]}


def measures(rounds: Sequence[Round], reference: str, names: Sequence[str]) -> dict[str, Any]:
    """By measure and contestant: the value's spread, and that of its ratio to the reference's."""
    return {
        measure: {
            name: {
                "value": asdict(values(rounds, name, measure)),
                "ratio": asdict(ratios(rounds, name, reference, measure)),
            }
            for name in rounds[0]
        }
        for measure in names
    }


def _field(part: Mapping[str, Any]) -> dict[str, Any]:
    names = [each["name"] for each in part["contestants"]]
    conditions = {
        name: {"title": part["conditions"][name], "rounds": len(rounds), **measures(rounds, part["reference"], STARTS)}
        for name, rounds in part["starts"].items()
    }
    found = {
        "reference": part["reference"],
        "titles": {each["name"]: each["title"] for each in part["contestants"]},
        "sizes": {each["name"]: each["size"] for each in part["contestants"]},
        "order": names,
        "versions": part["versions"],
        "conditions": conditions,
        "waterfalls": part["waterfalls"],
        "asked": part["asked"],
        "stop_seconds": part["stop_seconds"],
        "connections": part["connections"],
    }
    if part["loads"]:
        found["load"] = {"rounds": len(part["loads"]), **measures(part["loads"], part["reference"], LOADS)}
    return found


def _batch(part: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "titles": part["titles"],
        "rows": part["rows"],
        "rounds": len(part["rounds"]),
        **measures(part["rounds"], "bare", ("processor", "wall", "peak")),
    }


def _large(part: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "models": {
            name: {
                "title": model["title"],
                "bytes": model["bytes"],
                "conditions": {
                    condition: {"rounds": len(rounds), **measures(rounds, "default", ("first_run", "warm_run", "peak"))}
                    for condition, rounds in model["loads"].items()
                },
            }
            for name, model in part["models"].items()
        },
        "titles": part["titles"],
        "end_to_end": _field(part["end_to_end"]) if "end_to_end" in part else None,
    }
