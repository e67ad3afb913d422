"""The manifests of others than Kubernetes, held to types that their definitions made: unknown fields are errors."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from manifests import MANIFESTS
from pilotlight_cli.assets import ROOT
from pilotlight_cli.hostenv import host_packages, isolated_python
from strict_types import Typed, errors, refusals

MODULES = {
    "HTTPRoute": "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/HTTPRoute",
    "VirtualService": "@kubernetes-models/istio/networking.istio.io/v1/VirtualService",
    "DestinationRule": "@kubernetes-models/istio/networking.istio.io/v1/DestinationRule",
    "ServiceMonitor": "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor",
    "PrometheusRule": "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule",
}


KSERVE = ("InferenceService", "ServingRuntime")


def documents(*kinds: str) -> dict[str, dict[str, Any]]:
    """Return the documents of those kinds by their files."""
    found = {path: yaml.safe_load(path.read_text()) for path in sorted(MANIFESTS.rglob("*.yaml"))}
    return {str(path.relative_to(MANIFESTS)): each for path, each in found.items() if each["kind"] in kinds}


DOCUMENTS = documents(*MODULES)
NAMED_BY_USERS = {"labels", "annotations", "headers", "matchLabels"}  # the fields of these objects


def typed(document: dict[str, Any]) -> Typed:
    kind = document["kind"]
    return Typed(document, f"I{kind}", MODULES[kind])


def changed(document: dict[str, Any], path: tuple[str | int, ...], value: object) -> dict[str, Any]:
    """Return a document with another value at a place."""
    result = deepcopy(document)
    *parents, last = path
    place: Any = result
    for key in parents:
        place = place[key]
    place[last] = value
    return result


def places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the paths of all objects in a document whose fields its definition names."""
    inner = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    below = [place for key, each in inner for place in places(each, (*path, key))]
    return [path, *below] if isinstance(value, dict) and not NAMED_BY_USERS.intersection(path[-1:]) else below


def test_no_manifest_has_a_field_that_its_definition_does_not_know(tmp_path: Path) -> None:
    assert {each["kind"] for each in DOCUMENTS.values()} == MODULES.keys()
    assert errors(tmp_path, [typed(each) for each in DOCUMENTS.values()]) == []


def misspelt(documents: Mapping[str, dict[str, Any]]) -> dict[tuple[str, tuple[str | int, ...]], dict[str, Any]]:
    """Return documents with an unknown field in each of their objects, by where it is."""
    where = [(file, path) for file, document in documents.items() for path in places(document)]
    return {(file, path): changed(documents[file], (*path, "misspelt"), 1) for file, path in where}


def test_a_misspelt_field_is_found_wherever_it_is(tmp_path: Path) -> None:
    broken = misspelt(DOCUMENTS)
    assert len(broken) > 50

    found = {number for number, message in errors(tmp_path, list(map(typed, broken.values()))) if "misspelt" in message}

    assert [where for number, where in enumerate(broken) if number not in found] == []


def test_every_value_is_one_that_its_definition_allows(tmp_path: Path) -> None:
    assert refusals(tmp_path, [typed(each) for each in DOCUMENTS.values()]) == []


WRONG_VALUES = [
    ("rollouts/gateway/httproute.yaml", ("spec", "rules", 1, "timeouts", "request"), "35 seconds"),
    ("rollouts/gateway/httproute.yaml", ("spec", "rules", 1, "backendRefs", 0, "weight"), -1),
    ("rollouts/istio/virtualservice.yaml", ("spec", "http", 1, "route", 0, "weight"), "90"),
    ("rollouts/istio/destinationrule.yaml", ("spec", "trafficPolicy", "outlierDetection", "maxEjectionPercent"), 0.5),
    ("components/monitoring/servicemonitor.yaml", ("spec", "endpoints", 0, "interval"), "half a minute"),
    ("components/monitoring/prometheusrule.yaml", ("spec", "groups", 0, "rules", 0, "for"), "soon"),
]


def test_a_wrong_value_is_refused(tmp_path: Path) -> None:
    broken = [typed(changed(DOCUMENTS[file], path, value)) for file, path, value in WRONG_VALUES]

    assert [number for number, _ in refusals(tmp_path, broken)] == list(range(len(WRONG_VALUES)))


def asked_of_kserve(documents: Iterable[dict[str, Any]]) -> list[list[str]]:
    """Return what KServe's own models say of documents. They come with its client, without a definition."""
    command = [*isolated_python(), str(Path(__file__).with_name("kserve_fields.py"))]
    environ = {"PYTHONPATH": str(host_packages(ROOT / "tools/clients.txt"))}
    text = json.dumps(list(documents))
    done = subprocess.run(command, env=environ, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[list[str]] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="kserve refuses Python 3.14: its models were not asked")
def test_kserves_models_know_every_field_and_no_misspelt_one() -> None:
    ours = documents(*KSERVE)
    runtime = ours["kserve/servingruntime.yaml"]
    container = ("spec", "containers", 0)
    wrong = [
        changed(runtime, ("spec", "multiModel"), "no"),
        changed(runtime, (*container, "ports", 0, "containerPort"), "8080"),
        {**runtime, "spec": {key: each for key, each in runtime["spec"].items() if key != "containers"}},
        changed(runtime, (*container, "env"), {"PILOTLIGHT_STORE": "gs://models"}),
    ]
    broken = list(misspelt(ours).values())
    assert len(ours) == 2
    assert len(broken) > 15

    found = asked_of_kserve([*ours.values(), *broken, *wrong])

    assert found[:2] == [[], []]
    assert all(found[2:])
