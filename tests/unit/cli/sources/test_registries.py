"""What the Hugging Face Hub and an OCI registry may answer; `tests/sources/test_oci.py` asks a real registry."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.routes import Reply, Routes
from pilotlight.errors import DigestMismatch, ModelError, ObjectRefused, PilotlightError, StoreError
from pilotlight_cli.formats.recognition import NotRecognised
from pilotlight_cli.sandbox.job import UsageError
from pilotlight_cli.sources import client, obtained
from pilotlight_cli.sources.huggingface_hub import repository
from pilotlight_cli.sources.oci import artifact

COMMIT = "0123456789abcdef0123456789abcdef01234567"
MODEL = b"weights"
CONFIG = b'{"id2label": {"0": "no", "1": "yes"}}'


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


LIST = f"/api/models/team/flats/revision/{COMMIT}?blobs=true"
RESOLVE = f"/team/flats/resolve/{COMMIT}"
LARGE = {"rfilename": "onnx/model.onnx", "size": 7, "blobId": "1" * 40, "lfs": {"size": 7, "sha256": sha256(MODEL)}}
SMALL = {"rfilename": "config.json", "size": len(CONFIG), "blobId": git_id(CONFIG)}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Routes]:
    """Give a server with the two routes of the hub that are used, as its repositories lay files out."""
    monkeypatch.setattr(client, "RETRY_PAUSES", (0.0,))
    table: dict[str, Reply | list[Reply]] = {
        LIST: Reply({"siblings": [LARGE, SMALL]}),
        f"{RESOLVE}/onnx/model.onnx": Reply(MODEL),
        f"{RESOLVE}/config.json": Reply(CONFIG),
    }
    with Routes(table) as routes:
        monkeypatch.setenv("HF_ENDPOINT", routes.url)
        yield routes


def test_a_repository_is_taken_at_its_commit(hub: Routes) -> None:
    source = obtained(f"hf://team/flats@{COMMIT}")
    assert source.path.read_bytes() == MODEL
    assert source.declared
    assert source.declared.labels == ("no", "yes")
    assert source.origin == f"{hub.url}/team/flats/tree/{COMMIT}"


def test_a_path_in_a_repository_chooses_a_file(hub: Routes) -> None:
    assert obtained(f"hf://team/flats@{COMMIT}/onnx/model.onnx").path.read_bytes() == MODEL
    with pytest.raises(UsageError, match=r"names a file; leave --file config\.json out"):
        obtained(f"hf://team/flats@{COMMIT}/onnx/model.onnx", "config.json")


def test_a_token_is_sent_to_the_hub(hub: Routes) -> None:
    hub.table = {path: Reply(reply.body, wants="Bearer t0ken") for path, reply in hub.table.items()}  # type: ignore[union-attr]
    files, _ = repository(f"hf://team/flats@{COMMIT}", {"HF_ENDPOINT": hub.url, "HF_TOKEN": "t0ken"})
    assert files.text("config.json") == CONFIG.decode()
    with pytest.raises(ObjectRefused, match="access denied .401: who are you.*; set HF_TOKEN to a token"):
        obtained(f"hf://team/flats@{COMMIT}")


HUB_FAULTS: dict[str, tuple[str, dict[str, Reply], type[PilotlightError], str]] = {
    "a branch": ("hf://team/flats@main", {}, UsageError, "names the revision 'main', which moves; expected a commit"),
    "no revision": ("hf://team/flats", {}, UsageError, "names no revision, which moves; expected a commit of 40"),
    "no repository": ("hf://", {}, UsageError, "'hf://' is no repository; expected hf://ORG/REPO@COMMIT"),
    "an unknown commit": (f"hf://team/flats@{'f' * 40}", {}, ObjectRefused, "not found (404: no such route)"),
    "no list": (f"hf://team/flats@{COMMIT}", {LIST: Reply({})}, StoreError, "the answer does not list files"),
    "a path upwards": (
        f"hf://team/flats@{COMMIT}",
        {LIST: Reply({"siblings": [SMALL | {"rfilename": "../x"}]})},
        StoreError,
        "'../x' cannot be a key",
    ),
    "an altered large file": (
        f"hf://team/flats@{COMMIT}",
        {f"{RESOLVE}/onnx/model.onnx": Reply(b"weightz")},
        DigestMismatch,
        f"expected sha256:{sha256(MODEL)}; the file was altered",
    ),
    "an altered small file": (
        f"hf://team/flats@{COMMIT}",
        {f"{RESOLVE}/config.json": Reply(CONFIG.replace(b"no", b"on"))},
        DigestMismatch,
        f"expected sha1:{git_id(CONFIG)}; the file was altered",
    ),
}


@pytest.mark.parametrize("case", HUB_FAULTS)
def test_a_fault_of_the_hub_or_of_the_argument_is_said(case: str, hub: Routes) -> None:
    argument, replies, kind, sentence = HUB_FAULTS[case]
    hub.table.update(replies)
    with pytest.raises(kind, match=re.escape(sentence)):
        obtained(argument)


def layer(title: str, content: bytes, **more: str) -> dict[str, Any]:
    notes = {"org.opencontainers.image.title": title} | more
    return {"digest": f"sha256:{sha256(content)}", "size": len(content), "annotations": notes}


MANIFEST = {"schemaVersion": 2, "layers": [layer("model.onnx", MODEL)]}
BLOB = f"/v2/team/flats/blobs/sha256:{sha256(MODEL)}"


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Routes]:
    """Give a registry with one artifact, `team/flats:1`, and a home folder without credentials."""
    monkeypatch.setattr(client, "RETRY_PAUSES", (0.0,))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    with Routes({"/v2/team/flats/manifests/1": Reply(MANIFEST), BLOB: Reply(MODEL)}) as routes:
        yield routes


def at(registry: Routes, rest: str = "team/flats:1") -> str:
    return f"oci://{registry.url.removeprefix('http://')}/{rest}"


def logged_in(home: Path, registry: Routes, password: str) -> None:
    folder = home / ".docker"
    folder.mkdir(exist_ok=True)
    auth = base64.b64encode(f"ann:{password}".encode()).decode()
    config = {"auths": {registry.url.removeprefix("http://"): {"auth": auth}}}
    (folder / "config.json").write_text(json.dumps(config))


BASIC = "Basic " + base64.b64encode(b"ann:secret").decode()


def test_a_registry_that_asks_for_a_password_gets_that_of_docker_login(registry: Routes, tmp_path: Path) -> None:
    challenge = {"WWW-Authenticate": 'Basic realm="registry"'}
    for path in ("/v2/team/flats/manifests/1", "/v2/team/flats/manifests/latest", BLOB):
        body = MODEL if path == BLOB else MANIFEST
        registry.table[path] = Reply(body, wants=BASIC, otherwise=challenge)
    logged_in(tmp_path, registry, "secret")
    registry.table["/v2/team/flats/manifests/latest"] = Reply({}, 401, challenge)
    assert artifact(at(registry)).get("model.onnx").read_bytes() == MODEL


def test_a_registry_that_asks_for_a_token_gets_one_of_its_server(registry: Routes, tmp_path: Path) -> None:
    realm = f'Bearer realm="{registry.url}/token",service="models"'
    registry.table["/v2/team/flats/manifests/latest"] = Reply({}, 401, {"WWW-Authenticate": realm})
    asked = "/token?scope=repository%3Ateam%2Fflats%3Apull&service=models"
    registry.table[asked] = Reply({"token": "t0ken"}, wants=BASIC)
    registry.table["/v2/team/flats/manifests/1"] = Reply(MANIFEST, wants="Bearer t0ken")
    registry.table[BLOB] = Reply(MODEL, wants="Bearer t0ken")
    logged_in(tmp_path, registry, "secret")
    assert artifact(at(registry)).get("model.onnx").read_bytes() == MODEL
    logged_in(tmp_path, registry, "wrong")
    with pytest.raises(ObjectRefused, match=r"access denied .401.*; sign in with 'docker login"):
        artifact(at(registry))


OCI_FAULTS: dict[str, tuple[str, Any, type[PilotlightError], str]] = {
    "no reference": ("Team/flats:1", MANIFEST, UsageError, "is no artifact; expected oci://REGISTRY/REPOSITORY:TAG"),
    "another digest": (f"team/flats@sha256:{'0' * 64}", MANIFEST, DigestMismatch, "the registry altered it"),
    "no manifest": ("team/flats:1", [], StoreError, "the answer is not a manifest; is the address that of an OCI"),
    "no layers": ("team/flats:1", {"layers": []}, NotRecognised, "has no layers, expected files as 'oras push'"),
    "an image": (
        "team/flats:1",
        {"layers": [{"digest": f"sha256:{'1' * 64}", "size": 1}]},
        NotRecognised,
        "has 1 layers without a file's name",
    ),
    "an index": (
        "team/flats:1",
        {"manifests": [{}, {}]},
        NotRecognised,
        "is an index of 2 manifests; give the digest of one",
    ),
    "a folder as an archive": (
        "team/flats:1",
        {"layers": [layer("model", MODEL, **{"io.deis.oras.content.unpack": "true"})]},
        NotRecognised,
        "has model as archives of folders; push the files themselves",
    ),
    "one name twice": (
        "team/flats:1",
        {"layers": [layer("model.onnx", MODEL), layer("model.onnx", CONFIG)]},
        ModelError,
        "has two files of one name",
    ),
    "a path upwards": ("team/flats:1", {"layers": [layer("../x", MODEL)]}, StoreError, "'../x' cannot be a key"),
    "an altered layer": (
        "team/flats:1",
        {"layers": [layer("model.onnx", MODEL) | {"digest": f"sha256:{'2' * 64}"}]},
        DigestMismatch,
        f"expected sha256:{'2' * 64}; the file was altered",
    ),
}


@pytest.mark.parametrize("case", OCI_FAULTS)
def test_a_fault_of_a_registry_or_of_the_argument_is_said(case: str, registry: Routes) -> None:
    rest, manifest, kind, sentence = OCI_FAULTS[case]
    tag = rest.partition("@")[2] or "1"
    registry.table[f"/v2/team/flats/manifests/{tag}"] = Reply(manifest)
    registry.table[f"/v2/team/flats/blobs/sha256:{'2' * 64}"] = Reply(MODEL)
    with pytest.raises(kind, match=re.escape(sentence)):
        obtained(at(registry, rest))


def test_credentials_that_cannot_be_read_are_said(registry: Routes, tmp_path: Path) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text("{")
    with pytest.raises(UsageError, match=r"config\.json cannot be read .*; run 'docker login"):
        artifact(at(registry))


def test_http_is_for_this_machine_alone() -> None:
    with pytest.raises(UsageError, match=r"HF_ENDPOINT is 'http://hub\.example\.com'; expected https"):
        repository(f"hf://team/flats@{COMMIT}", {"HF_ENDPOINT": "http://hub.example.com"})
