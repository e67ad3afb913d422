"""Every way to the core, running for real, on the same published models."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

import drivers
import models
from aws_events import function_url_event, lattice_event, load_balancer_event, rest_api_event
from browser_fixtures import axe, browser, onnxruntime_web
from dialects import ACCEPTED, CELLS, KINDS
from doubles import Records
from drivers import Addresses, Drivers
from harness import Pinned, in_functions_framework, in_lambda, in_server, on_engine, pinned, stored
from local_lock import fill_store, lock_the_sample
from onnx_models import cells, echo
from pilotlight.boot import Platform, boot
from pilotlight.model.signature import write_signature
from pilotlight.service import Service
from pilotlight_cli.local.events import http_api_event
from pilotlight_cli.local.functions_runtime import FunctionsRuntime
from pilotlight_cli.local.gateway import gateway
from pilotlight_cli.local.lambda_runtime import LambdaRuntime
from repository import SAMPLE

__all__ = ["axe", "browser", "onnxruntime_web"]


@pytest.fixture(params=["aws", "gcp"])
def cloud(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def lock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lock_the_sample(tmp_path_factory.mktemp("lock"))


@pytest.fixture(scope="module")
def store(lock: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return fill_store(tmp_path_factory.mktemp("store"), lock)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, models.Trained]:
    return {
        "breast-cancer": models.sample(),
        "rents": models.rents(tmp_path_factory.mktemp("rents"), seed=models.new_seed()),
    }


@pytest.fixture(scope="session")
def pins(trained: dict[str, models.Trained], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pinned]:
    folder = tmp_path_factory.mktemp("pins")
    return {
        "breast-cancer": pinned(
            trained["breast-cancer"].files["onnx"],
            "breast-cancer",
            folder,
            signature=SAMPLE / "signature.json",
            golden=SAMPLE / "golden.json",
        ),
        "rents": pinned(trained["rents"].files["onnx"], "rents", folder),
        "echo": pinned(echo(tmp_path_factory.mktemp("echo")), "echo", folder),
        "cells": _cells(tmp_path_factory.mktemp("cells"), folder),
    }


@dataclass(frozen=True)
class Running:
    """The functions with one model; `binding` is the same model pinned to ONNX Runtime's Python binding."""

    on_aws: LambdaRuntime
    on_gcp: FunctionsRuntime
    in_container: FunctionsRuntime
    binding: Pinned
    binding_on_gcp: FunctionsRuntime


@pytest.fixture(scope="session")
def functions(pins: dict[str, Pinned]) -> Iterator[dict[str, Running]]:
    with ExitStack() as stack:
        buckets = {cloud: stack.enter_context(stored(cloud, *pins.values())) for cloud in ("aws", "gcp")}
        bindings = {name: on_engine(model, "onnxruntime-python") for name, model in pins.items()}
        yield {
            name: Running(
                stack.enter_context(in_lambda(model, buckets["aws"], PILOTLIGHT_REST_API_BINARY="true")),
                stack.enter_context(in_functions_framework(model, buckets["gcp"])),
                stack.enter_context(in_server(model, buckets["aws"], PILOTLIGHT_SERVER_WORKERS="2")),
                bindings[name],
                stack.enter_context(in_functions_framework(bindings[name], buckets["gcp"])),
            )
            for name, model in pins.items()
        }


@pytest.fixture(scope="session")
def ways(
    pins: dict[str, Pinned],
    functions: dict[str, Running],
    addresses: Addresses,
    tmp_path_factory: pytest.TempPathFactory,
) -> Drivers:
    drivers_by_way: Drivers = {}
    for name, model in pins.items():
        drivers_by_way["core", name] = drivers.core(_core(model, tmp_path_factory.mktemp("core")))
        for way, to_event in (
            ("http-api", http_api_event),
            ("rest-api", rest_api_event),
            ("function-url", function_url_event),
            ("load-balancer", load_balancer_event),
            ("lattice", lattice_event),
        ):
            drivers_by_way[way, name] = drivers.lambda_function(functions[name].on_aws.invoke, to_event)
        drivers_by_way["local front", name] = drivers.http(addresses["aws", name])
        drivers_by_way["functions-framework", name] = drivers.http(functions[name].on_gcp.url)
        drivers_by_way["server", name] = drivers.http(functions[name].in_container.url)
        drivers_by_way["core on the binding", name] = drivers.core(
            _core(functions[name].binding, tmp_path_factory.mktemp("core"))
        )
        drivers_by_way["functions-framework on the binding", name] = drivers.http(functions[name].binding_on_gcp.url)
    return drivers_by_way


@pytest.fixture(scope="session")
def addresses(functions: dict[str, Running]) -> Iterator[Addresses]:
    with ExitStack() as stack:
        urls: Addresses = {}
        for name, running in functions.items():
            urls["aws", name] = stack.enter_context(gateway(running.on_aws.invoke))
            urls["gcp", name] = running.on_gcp.url
            urls["container", name] = running.in_container.url
        yield urls


def _cells(files: Path, folder: Path) -> Pinned:
    """Publish a model of columns in which values may be missing, with golden samples in which some are."""
    signature, golden = files / "signature.json", files / "golden.json"
    signature.write_text(json.dumps(write_signature(CELLS)))
    golden.write_text(json.dumps({"instances": [row for row, _ in ACCEPTED.values()]}))
    return pinned(cells(files, KINDS), "cells", folder, signature=signature, golden=golden)


def _core(model: Pinned, temporary: Path) -> Service:
    platform = Platform(model.lock.parent, {}, lambda _level, _namespace: Records(), deadline=30.0, started=0.0)
    service, _ = boot(platform, {"PILOTLIGHT_STORE": model.store.url, "TMPDIR": str(temporary), "PATH": os.defpath})
    return service
