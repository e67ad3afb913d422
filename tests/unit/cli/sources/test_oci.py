"""What an OCI registry may answer: `tests/sources/test_oci.py` asks a real one."""

from __future__ import annotations

import base64
import hashlib
import json
import os
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
from pilotlight_cli.sources.docker_credentials import stored
from pilotlight_cli.sources.oci import artifact

MODEL = b"the model"
BASIC = "Basic " + base64.b64encode(b"ann:secret").decode()


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def layer(title: str, **changes: Any) -> dict[str, Any]:
    annotations = {"org.opencontainers.image.title": title} if title else {}
    return {"size": len(MODEL), "digest": sha256(MODEL), "annotations": annotations, **changes}


def manifest(*layers: dict[str, Any]) -> bytes:
    return json.dumps({"schemaVersion": 2, "layers": list(layers)}).encode()


GOOD = manifest(layer("model.onnx"))
V1 = "/v2/team/churn/manifests/v1"
BLOB = f"/v2/team/churn/blobs/{sha256(MODEL)}"
BY_PASSWORD = {
    "/v2/team/churn/manifests/latest": Reply(wants=BASIC, otherwise={"WWW-Authenticate": 'Basic realm="models"'}),
    V1: Reply(GOOD, wants=BASIC),
    BLOB: Reply(MODEL, wants=BASIC),
}


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Routes]:
    monkeypatch.setattr(client, "RETRY_PAUSES", (0.0,))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with Routes({V1: Reply(GOOD), BLOB: Reply(MODEL)}) as routes:
        yield routes


def url(registry: Routes, ending: str = "team/churn:v1") -> str:
    return f"oci://{registry.url.removeprefix('http://')}/{ending}"


def sign_in(folder: Path, registry: Routes, **fields: str) -> None:
    auths = {"auths": {registry.url.removeprefix("http://"): fields}}
    (folder / "config.json").write_text(json.dumps(auths))


@pytest.mark.parametrize("ending", ["team/churn:v1", "team/churn", f"team/churn@{sha256(GOOD)}"])
def test_a_tag_becomes_a_digest_and_a_digest_is_checked(ending: str, registry: Routes) -> None:
    registry.table |= {f"/v2/team/churn/manifests/{tag}": Reply(GOOD) for tag in ("latest", sha256(GOOD))}
    source = obtained(url(registry, ending))
    assert source.path.read_bytes() == MODEL
    assert source.origin == url(registry, f"team/churn@{sha256(GOOD)}")
    told = [f"{url(registry, 'team/churn')}:{'v1' if 'v1' in ending else 'latest'} is {sha256(GOOD)}"]
    assert list(source.notes) == ([] if "@" in ending else told)


def test_a_token_is_fetched_with_the_stored_credentials(registry: Routes, tmp_path: Path) -> None:
    sign_in(tmp_path, registry, auth=base64.b64encode(b"ann:secret").decode())
    challenge = {"WWW-Authenticate": f'Bearer realm="{registry.url}/token",service="models",scope="ignored"'}
    token = "/token?scope=repository%3Ateam%2Fchurn%3Apull&service=models"
    registry.table = {
        "/v2/team/churn/manifests/latest": Reply(wants="Bearer t0ken", otherwise=challenge),
        V1: Reply(GOOD, wants="Bearer t0ken"),
        BLOB: Reply(MODEL, wants="Bearer t0ken"),
        token: Reply({"token": "t0ken"}, wants=BASIC),
    }
    assert obtained(url(registry)).path.read_bytes() == MODEL
    registry.table[token] = Reply({})
    with pytest.raises(StoreError, match="/token returned no token; sign in with 'docker login 127.0.0.1:"):
        obtained(url(registry))


def test_a_token_server_that_is_not_safe_gets_no_password(registry: Routes, tmp_path: Path) -> None:
    challenge = {"WWW-Authenticate": 'Bearer realm="http://example.com/token"'}
    registry.table["/v2/team/churn/manifests/latest"] = Reply(wants="x", otherwise=challenge)
    with pytest.raises(
        UsageError, match="the token server of 127.0.0.1:.* is 'http://example.com/token'; expected https"
    ):
        obtained(url(registry))


@pytest.mark.parametrize("content", ["{", "[]", '{"auths": {"REGISTRY": {"auth": "%"}}}'])
def test_stored_credentials_that_cannot_be_read_are_named(content: str, registry: Routes, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(content.replace("REGISTRY", registry.url.removeprefix("http://")))
    registry.table |= BY_PASSWORD
    with pytest.raises(UsageError, match=re.escape(f"{file} cannot be read") + ".*; run 'docker login"):
        obtained(url(registry))


def test_a_registry_that_asks_for_nothing_gets_no_credentials(registry: Routes, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"credsStore": "gone"}')
    assert obtained(url(registry)).path.read_bytes() == MODEL


# What helpers print for `get`, which reads a server's address, and how they end.
ANN = """echo '{"ServerURL": "any", "Username": "ann", "Secret": "secret"}'"""
NONE = "echo 'credentials not found in native keychain'; exit 1"


def helper(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str, name: str = "box") -> None:
    """Put a credential helper on PATH; it keeps its argument and what it reads beside itself."""
    program = folder / "bin" / f"docker-credential-{name}"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\necho "$1 $(cat)" >> "$0.asked"\n{script}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("config", "scripts"),
    [
        ({"credsStore": "box"}, {"box": ANN}),
        ({"credsStore": "box", "auths": {"REGISTRY": {}}}, {"box": ANN}),
        ({"credHelpers": {"REGISTRY": "own"}, "credsStore": "box"}, {"own": ANN, "box": "exit 3"}),
        ({"credHelpers": {"example.com": "own"}, "credsStore": "box"}, {"own": "exit 3", "box": ANN}),
        ({"credsStore": "box", "auths": {"REGISTRY": {"auth": "YW5uOnNlY3JldA=="}}}, {"box": NONE}),
    ],
)
def test_a_helper_is_asked_for_credentials(
    config: dict[str, Any],
    scripts: dict[str, str],
    registry: Routes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = registry.url.removeprefix("http://")
    (tmp_path / "config.json").write_text(json.dumps(config).replace("REGISTRY", host))
    for name, script in scripts.items():
        helper(tmp_path, monkeypatch, script, name)
    registry.table |= BY_PASSWORD

    assert obtained(url(registry)).path.read_bytes() == MODEL

    (asked,) = (tmp_path / "bin").glob("*.asked")
    assert asked.read_text() == f"get {host}\n"


@pytest.mark.parametrize("place", ["a helper", "the file"])
def test_an_identity_token_is_exchanged_for_a_token(
    place: str, registry: Routes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if place == "a helper":
        helper(tmp_path, monkeypatch, """echo '{"Username": "<token>", "Secret": "r/f"}'""")
        (tmp_path / "config.json").write_text('{"credsStore": "box"}')
    else:
        sign_in(tmp_path, registry, auth="MDA6", identitytoken="r/f")
    challenge = {"WWW-Authenticate": f'Bearer realm="{registry.url}/token",service="models"'}
    form = (
        "POST /token?scope=repository%3Ateam%2Fchurn%3Apull&service=models&grant_type=refresh_token"
        "&client_id=pilotlight&refresh_token=r%2Ff"
    )
    registry.table = {
        "/v2/team/churn/manifests/latest": Reply(wants="Bearer t0ken", otherwise=challenge),
        V1: Reply(GOOD, wants="Bearer t0ken"),
        BLOB: Reply(MODEL, wants="Bearer t0ken"),
        form: Reply({"access_token": "t0ken"}),
    }

    assert obtained(url(registry)).path.read_bytes() == MODEL

    registry.table[form] = Reply(status=307, headers={"Location": "/elsewhere"})
    with pytest.raises(StoreError, match="/token: the answer is not JSON"):
        obtained(url(registry))
    registry.table |= BY_PASSWORD
    with pytest.raises(UsageError, match="are an identity token, expected a password; sign in with 'docker login"):
        obtained(url(registry))


HELPERS: dict[str, tuple[str, str, type[PilotlightError], str]] = {
    "missing": (
        "gone",
        "",
        UsageError,
        "docker-credential-gone, which FILE names, is not on PATH; install it, or take",
    ),
    "a path": ("../box", "", UsageError, "FILE names the credential helper '../box', expected what follows docker-"),
    "no program": ("text", "", UsageError, "docker-credential-text cannot be run: Exec format error; install docker-"),
    "fails": (
        "box",
        "echo locked; exit 1",
        StoreError,
        "docker-credential-box failed for HOST (locked); sign in again",
    ),
    "fails on stderr": ("box", "echo no >&2; exit 1", StoreError, "docker-credential-box failed for HOST (no); sign"),
    "fails silently": ("box", "exit 7", StoreError, "docker-credential-box failed for HOST (exit code 7); sign in"),
    "nonsense": ("box", "echo '[secret'", StoreError, "answered something else for HOST, expected JSON with Username"),
    "no secret": ("box", """echo '{"Username": "a"}'""", StoreError, "answered something else for HOST, expected JSON"),
    "hangs": ("box", "sleep 600", StoreError, "docker-credential-box did not answer for HOST within 0.5 s; unlock its"),
}


@pytest.mark.parametrize("case", HELPERS)
def test_a_helper_that_does_not_work_is_named(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, script, kind, sentence = HELPERS[case]
    helper(tmp_path, monkeypatch, script)
    text = tmp_path / "bin" / "docker-credential-text"
    text.write_bytes(b"\0")
    text.chmod(0o755)
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"credsStore": name}))
    environ = {"DOCKER_CONFIG": str(tmp_path), "PATH": os.environ["PATH"]}
    with pytest.raises(kind) as error:
        stored("HOST", environ, seconds=0.5)
    assert sentence in str(error.value).replace(str(file), "FILE")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("script", [NONE, """echo '{"Username": "", "Secret": ""}'"""])
def test_a_helper_may_have_none(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper(tmp_path, monkeypatch, script)
    (tmp_path / "config.json").write_text('{"credHelpers": {"docker.io": "box"}}')
    environ = {"DOCKER_CONFIG": str(tmp_path), "PATH": os.environ["PATH"]}
    assert stored("registry-1.docker.io", environ) is None
    (asked,) = (tmp_path / "bin").glob("*.asked")
    assert asked.read_text() == "get https://index.docker.io/v1/\n"


FAULTS: dict[str, tuple[dict[str, Reply], type[PilotlightError], str]] = {
    "no such tag": (
        {V1: Reply({"errors": [{"message": "manifest unknown"}]}, 404)},
        ObjectRefused,
        "manifests/v1: not found (404: manifest unknown)",
    ),
    "another server": (
        {V1: Reply(b"<html>")},
        StoreError,
        "the answer is not a manifest; is the address that of an OCI registry?",
    ),
    "an index": (
        {V1: Reply({"manifests": [{}, {}]})},
        NotRecognised,
        "is an index of 2 manifests; give the digest of one: oci://...@sha256:...",
    ),
    "no layers": ({V1: Reply(manifest())}, NotRecognised, "has no layers, expected files as 'oras push' adds them"),
    "an image": (
        {V1: Reply(manifest(layer(""), layer("")))},
        NotRecognised,
        "has 2 layers without a file's name (org.opencontainers.image.title)",
    ),
    "a name twice": (
        {V1: Reply(manifest(layer("a"), layer("a")))},
        ModelError,
        "has two files of one name, expected each name once",
    ),
    "another digest": (
        {V1: Reply(manifest(layer("a", digest="sha512:0")))},
        StoreError,
        "the answer is not a manifest",
    ),
    "a path upwards": ({V1: Reply(manifest(layer("../a.onnx")))}, StoreError, "'../a.onnx' cannot be a key in oci://"),
    "an altered file": (
        {BLOB: Reply(b"the m0del")},
        DigestMismatch,
        f"/model.onnx has the digest {sha256(b'the m0del')}, expected {sha256(MODEL)}; the file was altered on its way",
    ),
    "folder and files": (
        {V1: Reply(manifest(layer("a"), layer("b", mediaType="application/vnd.oci.image.layer.v1.tar+gzip")))},
        NotRecognised,
        "has the folder b as an archive beside other layers; expected one folder or files",
    ),
    "no archive": (
        {V1: Reply(manifest(layer("b", mediaType="application/vnd.oci.image.layer.v1.tar+gzip")))},
        ModelError,
        "b cannot be unpacked",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_what_is_not_a_model_is_refused_with_a_sentence(case: str, registry: Routes) -> None:
    replies, kind, sentence = FAULTS[case]
    registry.table.update(replies)
    with pytest.raises(kind, match=re.escape(sentence)):
        obtained(url(registry))


def test_a_manifest_of_another_digest_is_refused(registry: Routes) -> None:
    other = sha256(b"other")
    registry.table[f"/v2/team/churn/manifests/{other}"] = Reply(GOOD)
    with pytest.raises(
        DigestMismatch, match=f"found a manifest with the digest {sha256(GOOD)}; the registry altered it"
    ):
        obtained(url(registry, f"team/churn@{other}"))


@pytest.mark.parametrize(
    "argument", ["oci://a", "oci:a/b", "oci://a/B", "oci://a/b@sha256:12", "oci://u@a/b", "oci://a/../b"]
)
def test_anything_but_a_repository_is_refused(argument: str) -> None:
    with pytest.raises(UsageError, match=r"is no artifact; expected oci://REGISTRY/REPOSITORY:TAG or oci://REGISTRY"):
        artifact(argument, {})
