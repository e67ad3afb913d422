"""Large models: what a load takes in a process of its own, and a whole start with a model of 436 MB."""

from __future__ import annotations

import json
import math
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import file_cache
import packages
from conditions import COLD, WARM
from contestants import BUCKET, Contestant, Field, lambda_environment
from figures import Measured, Round
from instances import Launch
from model_files import REQUESTS, ModelFiles, prepare
from object_store import object_store
from pilotlight_cli import console
from pilotlight_cli.hostenv import isolated_python
from pilotlight_cli.local.function import Function
from pilotlight_cli.local.process import tethered
from plans import Plan
from progress import Watch, watching
from race import RaceError

_PROGRAM = Path(__file__).with_name("load_once.py")
_PATIENCE = 120  # seconds for one load
_TOLERANCE = 1e-4  # between a graph as it was exported and one that was optimised, relative

TITLES = {
    "default": "the default session, plain file",
    "pilotlight": f"Pilotlight, after `pilotlight optimize --requests {REQUESTS}`",
}


@dataclass(frozen=True, slots=True)
class _Loaded:
    """Who loads: the command but for the number of threads, and the path on which its libraries are."""

    command: list[str]
    package: Path
    files: Path


def loads(python: str, plan: Plan) -> dict[str, Any]:
    """Load and first run of each model in the plan, beside the default session on the plain file."""
    found: dict[str, Any] = {}
    for name, rounds in plan.models.items():
        console.say(f"Large models: {name}, which is made and optimised where that was not done before")
        files = prepare(name)
        with watching("Large models", plan.seconds_for_model) as watch:
            measured = measured_loads(files, python, rounds, watch)
        found[name] = {"title": files.title, "bytes": files.bytes, "loads": measured}
    return {"titles": TITLES, "models": found}


def measured_loads(files: ModelFiles, python: str, rounds: int, watch: Watch) -> dict[str, list[Round]]:
    """Return rounds of both forms of a model by the condition's name, as time allows. Raise RaceError."""
    with _both(files, python) as loaded:
        return _rounds(loaded, rounds, watch, files.title)


@contextmanager
def end_to_end(python: str) -> Iterator[Field]:
    """Yield the transformer in AWS's runtime: the tutorials' handler on the plain file, ours on the optimised one."""
    files = prepare("transformer")
    with TemporaryDirectory(prefix="run-", dir=packages.made_in()) as name:
        folder = Path(name)
        runtime = packages.lambda_runtime(python)
        with object_store(files.models, folder) as store:
            seen = lambda_environment(store, folder) | {"MODEL_KEY": files.key, "PILOTLIGHT_STORE": f"s3://{BUCKET}"}

            def contestant(name: str, title: str, entry: str, package: Path) -> Contestant:
                launch = Launch("lambda", python, Function(package, (runtime,), seen), entry)
                return Contestant(name, title, launch, packages.size(package))

            tutorial = packages.peer("tutorial_handler", python, folder / "tutorial_handler")
            ours = packages.ours("aws", files.lock, python, folder / "pilotlight")
            found = (
                contestant("tutorial_handler", "the tutorials' handler", "tensors.lambda_handler", tutorial),
                contestant("pilotlight", "Pilotlight", "handler.lambda_handler", ours),
            )
            path, document = files.request()
            yield Field("large", found, path, document, {}, lambda: {"store": store.requests()}, agree)


def agree(one: bytes, other: bytes) -> bool:
    """Whether the first outputs of two answers hold the same numbers, as far as an optimised graph gives them."""
    mine, theirs = (json.loads(body)["outputs"][0]["data"] for body in (one, other))
    return len(mine) == len(theirs) and _close(mine, theirs)


def _close(mine: list[float], theirs: list[float]) -> bool:
    return all(math.isclose(a, b, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE) for a, b in zip(mine, theirs, strict=True))


@contextmanager
def _both(files: ModelFiles, python: str) -> Iterator[dict[str, _Loaded]]:
    with TemporaryDirectory(prefix="run-", dir=packages.made_in()) as name:
        folder = Path(name)
        program = [*isolated_python(python), str(_PROGRAM)]
        tutorial = packages.peer("tutorial_handler", python, folder / "tutorial_handler")
        ours = packages.ours("aws", files.lock, python, folder / "pilotlight")
        placed = files.optimised(folder / "files")
        yield {
            "default": _Loaded(
                [*program, "default", str(files.plain), str(files.inputs)], tutorial, files.plain.parent
            ),
            "pilotlight": _Loaded([*program, "ours", str(placed), str(files.inputs)], ours, placed),
        }


def _rounds(loaded: Mapping[str, _Loaded], rounds: int, watch: Watch, title: str) -> dict[str, list[Round]]:
    """Both take turns, each with its files in the cache and then on the disk."""
    shown = [_load(each)[1] for each in loaded.values()]
    if not _close(*shown):
        raise RaceError(f"{title}: the optimised model gives {shown[1]}, and the plain one {shown[0]}")
    found: dict[str, list[Round]] = {WARM.name: [], COLD.name: []}
    for number in range(rounds):
        if number and watch.is_over:
            break
        watch.says(f"{title}, round {number + 1} of {rounds}")
        for condition, measured in ((WARM, found[WARM.name]), (COLD, found[COLD.name])):
            names = sorted(loaded, reverse=number % 2 == 1)
            measured.append({name: _measured(loaded[name], cold=condition.cold) for name in names})
    return found


def _measured(loaded: _Loaded, *, cold: bool) -> Measured:
    if cold:
        file_cache.drop([loaded.files, loaded.package])
    else:
        _load(loaded)  # brings the files into the cache, and does not count
    return _load(loaded)[0]


def _load(loaded: _Loaded) -> tuple[Measured, list[float]]:
    threads = str(len(os.sched_getaffinity(0)))
    done = subprocess.run(
        tethered([*loaded.command, threads], os.getpid()),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(loaded.package), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    if done.returncode:
        raise RaceError(f"a model does not load:\n{done.stderr[-3000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    return {key: found[key] for key in ("first_run", "warm_run", "peak")}, found["shown"]
