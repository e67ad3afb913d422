"""Publishing and pinning a model, starting the functions that serve it, and asking them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

import drivers
from contract.conftest import _core
from drivers import Driver
from harness import Pinned, in_functions_framework, in_lambda, stored
from pilotlight.codec.golden_requests import GoldenRequest, compare_samples
from pilotlight.model.lock import Description
from pilotlight_cli.formats.admitted import admitted_globals
from pilotlight_cli.formats.kinds import KINDS
from pilotlight_cli.formats.recognition import recognise
from pilotlight_cli.local.gateway import gateway
from pilotlight_cli.pinning.pin import pin
from pilotlight_cli.registry.golden_file import golden_of
from pilotlight_cli.registry.publish import publish
from pilotlight_cli.sandbox.inspection import Inspection, inspect
from pilotlight_cli.sandbox.job import Job
from pilotlight_cli.stores import open_store

JSON = {"content-type": "application/json"}


def published(path: Path, folder: Path, *, whole: bool, golden: str = "", method: str = "") -> Pinned:
    """Publish a file and pin it; with `whole` it is inspected in the real sandbox."""
    inspection = (
        inspect(path, format=None, signature=None, golden=golden.encode(), allow=(), method=method)
        if whole
        else _inspected_here(path, folder, golden=golden, method=method)
    )
    store = open_store((folder / "store").as_uri())
    publish(store, inspection, "model", clock=lambda: datetime.now(UTC), progress=lambda _: None)
    lock = folder / "pins" / "model.lock"
    lock.parent.mkdir()
    pin(store, "model", lock)
    return Pinned(lock, store)


def _inspected_here(path: Path, folder: Path, **options: Any) -> Inspection:
    """Inspect a file as the sandbox does, in this process: a process for each row would take minutes."""
    found = recognise(path)
    (folder / "again").mkdir()
    job = Job(
        path,
        found.kind,
        admitted_globals(),
        folder / "again",
        numpy_major=found.numpy_major,
        labels=found.labels,
        vocabulary=found.vocabulary,
        repairs=found.repairs,
        **options,
    )
    child = import_module(f"pilotlight_cli.sandbox.child.{KINDS[found.kind].inspector}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer = child.inspect(job)
    allowed, extra = answer.names
    return Inspection(
        answer.format, (answer.path,), answer.runtime, answer.signature, answer.golden, allowed, extra, answer.notes
    )


@contextmanager
def started(model: Pinned, folder: Path, *, whole: bool) -> Iterator[list[Driver]]:
    """Start the function: its core in this process, and with `whole` all of it in both clouds' runtimes."""
    with ExitStack() as stack:
        ways = [drivers.core(_core(model, folder / "tmp"))]
        if whole:
            aws, gcp = (stack.enter_context(stored(cloud, model)) for cloud in ("aws", "gcp"))
            function = stack.enter_context(in_lambda(model, aws))
            ways.append(drivers.http(stack.enter_context(gateway(function.invoke))))
            ways.append(drivers.http(stack.enter_context(in_functions_framework(model, gcp)).url))
        yield ways


def check_golden(model: Pinned, send: Driver) -> None:
    """Compare the answers to the golden samples with the published ones, as `verify` does."""

    def ask(request: GoldenRequest) -> tuple[int, object]:
        reply = send("POST", request.path, JSON, json.dumps(request.body).encode())
        return reply.status, json.loads(reply.body)

    golden = golden_of(model.model.signature, (model.lock.parent / "golden.json").read_bytes())
    compared = list(compare_samples(model.model, golden, ask))
    assert [found.problem for found in compared] == [""] * len(golden.samples)
    assert compared


def answers(model: Description, send: Driver, inputs: Sequence[dict[str, Any]]) -> dict[str, np.ndarray[Any, Any]]:
    """Return the outputs of a request in V2 by name, in their shapes."""
    reply = send("POST", f"/v2/models/{model.name}/infer", JSON, json.dumps({"inputs": inputs}).encode())
    assert reply.status == 200, reply.body[:500]
    found = {output["name"]: output for output in json.loads(reply.body)["outputs"]}
    assert found.keys() == {output.name for output in model.signature.outputs}
    return {name: np.array(output["data"]).reshape(output["shape"]) for name, output in found.items()}


def tensor(name: str, datatype: str, data: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Return one input; a missing value is null."""
    values = [None if value != value else value for value in data.ravel().tolist()]  # noqa: PLR0124 - NaN
    return {"name": name, "datatype": datatype, "shape": list(data.shape), "data": values}
