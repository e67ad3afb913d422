"""Repositories of the Hugging Face hub, from a server of its two routes; the hub itself cannot be asked here."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any

import pytest

from fakes.routes import Reply, Routes
from pilotlight.errors import DigestMismatch, ObjectRefused, PilotlightError, StoreError
from pilotlight_cli.sandbox.job import UsageError
from pilotlight_cli.sources import client, obtained
from pilotlight_cli.sources.huggingface_hub import repository

COMMIT = "0123456789abcdef0123456789abcdef01234567"
INFO = f"/api/models/team/sentiment/revision/{COMMIT}?blobs=true"
RESOLVE = f"/team/sentiment/resolve/{COMMIT}/"
URL = f"hf://team/sentiment@{COMMIT}"

# As Optimum exports a repository: weights are in git's large file storage.
FILES = {
    ".gitattributes": b"*.onnx filter=lfs",
    "README.md": b"# Sentiment",
    "config.json": b'{"architectures": ["BertForSequenceClassification"], "id2label": {"0": "bad", "1": "good"}}',
    "model.safetensors": b"weights for another library",
    "onnx/model.onnx": b"graph",
    "onnx/model.onnx_data": b"weights",
    "onnx/model_quantized.onnx": b"small graph",
    "tokenizer.json": b"{}",
}


def sibling(name: str, content: bytes) -> dict[str, Any]:
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    item = {"rfilename": name, "size": len(content), "blobId": blob}
    if name.startswith("onnx/"):
        item["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return item


DOCUMENT = {"id": "team/sentiment", "sha": COMMIT, "siblings": [sibling(*file) for file in FILES.items()]}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Routes]:
    monkeypatch.setattr(client, "RETRY_PAUSES", ())
    monkeypatch.delenv("HF_TOKEN", raising=False)
    table = {INFO: Reply(DOCUMENT)} | {f"{RESOLVE}{name}": Reply(content) for name, content in FILES.items()}
    with Routes(table) as routes:
        monkeypatch.setenv("HF_ENDPOINT", routes.url)
        yield routes


def downloaded(hub: Routes) -> list[str]:
    return [path.removeprefix(RESOLVE) for path, _ in hub.asked if path.startswith(RESOLVE)]


def test_a_commits_plain_model_comes_with_its_data_and_nothing_else(hub: Routes) -> None:
    source = obtained(URL)
    assert source.path.read_bytes() == b"graph"
    assert source.path.with_name("model.onnx_data").read_bytes() == b"weights"
    assert source.declared is not None
    assert source.declared.labels == ("bad", "good")
    assert downloaded(hub) == ["config.json", "onnx/model.onnx", "onnx/model.onnx_data"]
    assert source.origin == f"{hub.url}/team/sentiment/tree/{COMMIT}"
    assert source.notes[:2] == (
        f"the model is downloaded from {source.origin}",
        "onnx/model.onnx is taken; choose another with --file: onnx/model_quantized.onnx",
    )


@pytest.mark.parametrize(
    ("argument", "file"), [(f"{URL}/onnx/model_quantized.onnx", ""), (URL, "onnx/model_quantized.onnx")]
)
def test_another_file_is_chosen_by_its_path(argument: str, file: str, hub: Routes) -> None:
    assert obtained(argument, file).path.read_bytes() == b"small graph"


def test_a_file_may_be_on_another_host_which_gets_no_token(hub: Routes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "t0ken")
    with Routes({"/graph": Reply(b"graph")}) as storage:
        elsewhere = storage.url.replace("127.0.0.1", "localhost")
        hub.table = {
            path: Reply(reply.body, wants="Bearer t0ken")
            for path, reply in hub.table.items()
            if isinstance(reply, Reply)
        }
        hub.table[f"{RESOLVE}onnx/model.onnx"] = Reply(status=302, headers={"Location": f"{elsewhere}/graph"})
        assert obtained(URL).path.read_bytes() == b"graph"
        assert [headers.get("Authorization") for _, headers in storage.asked] == [None]


PRINTED = (
    "; expected the 40 digits of a commit, which 'git ls-remote HUB/team/sentiment {}' prints: "
    "hf://team/sentiment@COMMIT"
)
MOVING = [
    ("hf://team/sentiment", "hf://team/sentiment names no commit" + PRINTED.format("main")),
    ("hf://team/sentiment@main", "@main names 'main', which can move" + PRINTED.format("main")),
    ("hf://team/sentiment@v1/model.onnx", "@v1/model.onnx names 'v1', which can move" + PRINTED.format("v1")),
    (f"hf://team/sentiment@{COMMIT[:12]}", f"names '{COMMIT[:12]}', which can move"),
    ("hf://sentiment@main", "'hf://sentiment@main' is no repository; expected hf://ORG/REPO@COMMIT or hf://ORG/"),
    ("hf:team/sentiment", "'hf:team/sentiment' is no repository; expected"),
]


@pytest.mark.parametrize(("argument", "sentence"), MOVING)
def test_only_a_whole_commit_is_taken(argument: str, sentence: str, hub: Routes) -> None:
    with pytest.raises(UsageError, match=re.escape(sentence.replace("HUB", hub.url))):
        obtained(argument)
    assert not hub.asked


def test_a_hub_without_tls_is_refused() -> None:
    with pytest.raises(
        UsageError, match="HF_ENDPOINT is 'http://hub.example.com'; expected https://..., or http:// for"
    ):
        repository(URL, {"HF_ENDPOINT": "http://hub.example.com"})


FAULTS: dict[str, tuple[dict[str, Reply], type[PilotlightError], str]] = {
    "a private repository": (
        {INFO: Reply({"error": "Invalid username or password."}, 401)},
        ObjectRefused,
        ("access denied (401: Invalid username or password.); set HF_TOKEN to a token that may read the repository"),
    ),
    "no such repository": (
        {INFO: Reply({"error": "Repository not found"}, 404)},
        ObjectRefused,
        "not found (404: Repository not found); check the name and the version",
    ),
    "another commit": (
        {INFO: Reply(DOCUMENT | {"sha": "f" * 40})},
        StoreError,
        f"the hub answered with the commit {'f' * 40}; check the commit",
    ),
    "another server": (
        {INFO: Reply([])},
        StoreError,
        "the answer has no list of files with sizes; is HF_ENDPOINT a hub?",
    ),
    "an altered graph": (
        {f"{RESOLVE}onnx/model.onnx": Reply(b"gr4ph")},
        DigestMismatch,
        "onnx/model.onnx has the digest sha256:",
    ),
    "an altered small file": (
        {f"{RESOLVE}config.json": Reply(FILES["config.json"][:-1] + b" ")},
        DigestMismatch,
        "config.json has the digest sha1:",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_hub_at_fault_is_named_with_what_is_expected(case: str, hub: Routes) -> None:
    replies, kind, sentence = FAULTS[case]
    hub.table.update(replies)
    with pytest.raises(kind, match=re.escape(sentence)):
        obtained(URL)
