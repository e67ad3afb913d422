"""The rendered manifests, as kustomize reads them and as Kubernetes' own schemas judge them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from manifests import MANIFESTS, by_kind, kustomize, needs_kubectl
from pilotlight_cli.hostenv import isolated_python

KUBERNETES = "1.37.0"  # the version of the schemas
RELEASE = [
    "ConfigMap",
    "Deployment",
    "HorizontalPodAutoscaler",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "Service",
    "ServiceAccount",
]
# What each folder applies: kinds of Kubernetes, and those of others, which its schemas do not know.
FOLDERS: dict[str, tuple[list[str], list[str]]] = {
    "overlays/staging": (["Namespace", *RELEASE], []),
    "overlays/prod": (["Ingress", "Namespace", *RELEASE], []),
    "rollouts/canary": (RELEASE, []),
    "rollouts/blue-green": (["Service"], []),
    "rollouts/gateway": ([], ["HTTPRoute"]),
    "rollouts/istio": ([], ["DestinationRule", "VirtualService"]),
    "kserve": ([], ["InferenceService", "ServingRuntime"]),
}


def validate(packages: Path, documents: list[dict[str, Any]], folder: Path) -> subprocess.CompletedProcess[str]:
    file = folder / "manifests.yaml"
    file.write_text(yaml.safe_dump_all(documents))
    command = [*isolated_python(), "-m", "kubernetes_validate", "--strict", "-k", KUBERNETES, str(file)]
    environ = {**os.environ, "PYTHONPATH": str(packages)}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


@needs_kubectl
@pytest.mark.parametrize("folder", FOLDERS)
def test_kustomize_builds_what_kubernetes_takes(packages: Path, tmp_path: Path, folder: str) -> None:
    known, others = FOLDERS[folder]

    documents = kustomize(MANIFESTS / folder)

    assert sorted(each["kind"] for each in documents) == sorted(known + others)
    checked = [each for each in documents if each["kind"] in known]
    if checked:
        done = validate(packages, checked, tmp_path)
        assert (done.returncode, (done.stdout + done.stderr).count(" passed ")) == (0, len(known)), done.stderr


@needs_kubectl
def test_all_components_of_prod_can_be_taken_in(packages: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kubernetes"
    shutil.copytree(MANIFESTS, folder)
    file = folder / "overlays/prod/kustomization.yaml"
    file.write_text(file.read_text().replace("  # - ../../", "  - ../../"))

    documents = kustomize(folder / "overlays/prod")

    kinds = [each["kind"] for each in documents]
    assert sorted(kinds) == sorted(["HTTPRoute", "Ingress", "Namespace", "PrometheusRule", "ServiceMonitor", *RELEASE])
    found = {each["kind"]: each for each in documents}
    patched = [
        found[kind] for kind in ("HorizontalPodAutoscaler", "Deployment", "Service", "NetworkPolicy", "ConfigMap")
    ]
    scaling, deployment, service, policy, settings = patched
    assert [each["type"] for each in scaling["spec"]["metrics"]] == ["Resource", "Pods"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert [ports[port["targetPort"]] for port in service["spec"]["ports"]] == [8080, 8081]
    assert [ports[port["port"]] for port in policy["spec"]["ingress"][0]["ports"]] == [8080, 8081]
    assert settings["data"].keys() == {"PILOTLIGHT_STORE", "PILOTLIGHT_SERVER_GRPC_PORT"}
    assert settings["data"]["PILOTLIGHT_SERVER_GRPC_PORT"] == str(ports["grpc"])
    assert container["envFrom"] == [{"configMapRef": {"name": settings["metadata"]["name"]}}]
    assert validate(packages, patched, tmp_path).returncode == 0


@needs_kubectl
@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Deployment", ("spec", "template", "spec", "terminationGracePeriodSecond"), 45),
        ("HorizontalPodAutoscaler", ("spec", "maxReplicas"), "many"),
        ("PodDisruptionBudget", ("spec", "maxUnavailables"), 1),
    ],
)
def test_the_schemas_find_a_wrong_field(
    packages: Path, tmp_path: Path, kind: str, path: tuple[str, ...], value: object
) -> None:
    (document,) = [each for each in kustomize(MANIFESTS / "overlays/prod") if each["kind"] == kind]
    *parents, last = path
    place = document
    for name in parents:
        place = place[name]
    place[last] = value

    assert validate(packages, [document], tmp_path).returncode != 0


@needs_kubectl
def test_no_selector_of_one_release_selects_a_pod_of_the_other() -> None:
    prod, canary = by_kind("overlays/prod"), by_kind("rollouts/canary")

    for one, other in ((prod, canary), (canary, prod)):
        labels = other["Deployment"]["spec"]["template"]["metadata"]["labels"]
        pod = one["Deployment"]["spec"]["template"]["spec"]
        (near,) = pod["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
        (spread,) = pod["topologySpreadConstraints"]
        selectors = [
            one["Service"]["spec"]["selector"],
            one["Deployment"]["spec"]["selector"]["matchLabels"],
            one["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
            one["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
            near["podAffinityTerm"]["labelSelector"]["matchLabels"],
            spread["labelSelector"]["matchLabels"],
        ]
        own = one["Deployment"]["spec"]["template"]["metadata"]["labels"]
        assert all(selector.items() <= own.items() for selector in selectors)
        assert not any(selector.items() <= labels.items() for selector in selectors)
        assert one["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == one["Deployment"]["metadata"]["name"]
    assert prod["Deployment"]["metadata"]["namespace"] == canary["Deployment"]["metadata"]["namespace"]
    (green,) = kustomize(MANIFESTS / "rollouts/blue-green")
    assert green["metadata"]["name"] == prod["Service"]["metadata"]["name"]
    assert green["spec"]["selector"].items() <= canary["Deployment"]["spec"]["template"]["metadata"]["labels"].items()


@needs_kubectl
def test_a_changed_setting_is_a_new_pod(tmp_path: Path) -> None:
    folder = tmp_path / "kubernetes"
    shutil.copytree(MANIFESTS, folder)
    before = settings_of(folder)
    (folder / "base/settings.env").write_text("PILOTLIGHT_STORE=gs://other\n")

    assert settings_of(folder) != before


def settings_of(folder: Path) -> str:
    """Return the name of the settings that a pod is started with."""
    (deployment,) = [each for each in kustomize(folder / "overlays/prod") if each["kind"] == "Deployment"]
    (source,) = deployment["spec"]["template"]["spec"]["containers"][0]["envFrom"]
    name: str = source["configMapRef"]["name"]
    return name
