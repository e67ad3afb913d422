"""Kubernetes manifests: the committed example, what is filled in, what is refused, and files of one's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from pilotlight.model.lock import Description, File, Needs, load_lock
from pilotlight_cli.assets import ROOT
from pilotlight_cli.rendering import RenderUsageError
from pilotlight_cli.rendering.kubernetes import Release, render, write
from repository import LOCK

RELEASE = Release(
    "breast-cancer",
    "europe-west1-docker.pkg.dev/my-project/pilotlight/breast-cancer:1",
    "gs://my-project-pilotlight-models",
    "breast-cancer.example.com",
    "1",
)
MODEL = load_lock(LOCK).model
DIGEST = f"sha256:{'0123456789abcdef' * 4}"


def test_the_example_is_what_the_command_writes() -> None:
    folder = ROOT / "examples" / "kubernetes"

    found = {path.relative_to(folder): path.read_text() for path in folder.rglob("*") if path.is_file()}

    assert found == render(RELEASE, MODEL)


def test_every_file_is_one_that_a_kustomization_names() -> None:
    files = render(RELEASE, MODEL)

    for path in files:
        if path.name != "kustomization.yaml":
            document = yaml.safe_load(files[path.with_name("kustomization.yaml")])
            named = document["resources"] + [
                env for each in document.get("configMapGenerator", []) for env in each["envs"]
            ]
            assert path.name in named, path


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("tumours:1.2", {"newName": "tumours", "newTag": "1.2"}),
        ("localhost:5000/a/tumours:007", {"newName": "localhost:5000/a/tumours", "newTag": "007"}),
        (f"r.example/tumours@{DIGEST}", {"newName": "r.example/tumours", "digest": DIGEST}),
        (f"r.example/tumours:1@{DIGEST}", {"newName": "r.example/tumours", "digest": DIGEST}),
    ],
)
def test_an_image_is_named_by_its_digest_or_else_by_its_tag(image: str, expected: dict[str, str]) -> None:
    files = render(replace(RELEASE, image=image), MODEL)

    (found,) = yaml.safe_load(files[Path("base/kustomization.yaml")])["images"]
    (canary,) = yaml.safe_load(files[Path("rollouts/canary/kustomization.yaml")])["images"]

    assert found == {"name": "breast-cancer", **expected}
    assert canary == {"name": expected["newName"], **{key: found[key] for key in ("newTag", "digest") if key in found}}


def sized(size: int, measured: int) -> Description:
    return replace(MODEL, files=(File("model.onnx", size, "0" * 64),), needs=Needs(measured, 100) if measured else None)


@pytest.mark.parametrize(
    ("size", "measured", "asked", "memory", "scratch"),
    [
        (71_515, 0, "", "512Mi", "65Mi"),
        (96 << 20, 0, "", "640Mi", "160Mi"),
        ((434 << 20) + 1, 0, "", "2048Mi", "499Mi"),
        (11 << 20, 185, "", "512Mi", "75Mi"),
        (96 << 20, 800, "", "1024Mi", "160Mi"),
        (71_515, 800, "2Gi", "2Gi", "65Mi"),
    ],
)
def test_a_pod_has_memory_and_a_disk_for_its_model(
    size: int, measured: int, asked: str, memory: str, scratch: str
) -> None:
    files = render(replace(RELEASE, memory=asked), sized(size, measured))

    pod = yaml.safe_load(files[Path("base/deployment.yaml")])["spec"]["template"]["spec"]

    assert pod["containers"][0]["resources"]["limits"]["memory"] == memory
    assert pod["volumes"][0]["emptyDir"]["sizeLimit"] == scratch


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"name": "Tumours"}, "the name is 'Tumours'; expected a name of at most 32"),
        ({"image": "tumours"}, "the image tumours names no release; name a tag that is never moved"),
        ({"image": "r.example/tumours:latest"}, "r.example/tumours:1 or r.example/tumours@sha256:..."),
        ({"image": "r.example/Tumours:1"}, "the image is 'r.example/Tumours:1'; expected REGISTRY/NAME:TAG"),
        ({"image": "tumours:1\n"}, r"the image is 'tumours:1\n'; expected"),
        ({"image": "tumours@sha256:12"}, "the image is 'tumours@sha256:12'; expected"),
        ({"store": "file:///store"}, "the store is file:///store, which a pod cannot reach"),
        ({"host": "models"}, "--host is 'models'; expected a domain name like models.example.com"),
        ({"host": "https://models.example.com"}, "--host is 'https://models.example.com'; expected"),
        ({"cpu": "0"}, "--cpu is '0'; expected processors like 1, 0.5 or 500m"),
        ({"memory": "512"}, "--memory is '512'; expected a size like 512Mi or 2Gi"),
        ({"memory": "512MB"}, "--memory is '512MB'; expected"),
    ],
)
def test_what_a_cluster_would_refuse_is_refused_here(changed: dict[str, str], message: str) -> None:
    with pytest.raises(RenderUsageError) as caught:
        render(replace(RELEASE, **changed), MODEL)

    assert message in str(caught.value)


def test_a_file_that_differs_is_overwritten_by_force_alone(tmp_path: Path) -> None:
    files = {Path("a/b.yaml"): "b\n", Path("c.yaml"): "c\n"}
    assert write(files, tmp_path, force=False) == 2
    assert write(files, tmp_path, force=False) == 0  # nothing would be lost
    (tmp_path / "c.yaml").write_text("mine\n")
    (tmp_path / "a/b.yaml").unlink()

    with pytest.raises(RenderUsageError, match="c.yaml would change; commit or save what is yours, then overwrite"):
        write(files, tmp_path, force=False)
    assert not (tmp_path / "a/b.yaml").exists()  # all or nothing

    assert write(files, tmp_path, force=True) == 2
    assert (tmp_path / "c.yaml").read_text() == "c\n"
