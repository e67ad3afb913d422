"""What an MLflow server may answer: `tests/sources/test_mlflow.py` asks a real one."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.routes import Reply, Routes
from pilotlight.errors import ModelError, ObjectRefused, PilotlightError, StoreError, StoreUnavailable
from pilotlight_cli.sandbox.job import UsageError
from pilotlight_cli.sources import client
from pilotlight_cli.sources.mlflow_server import registered
from pilotlight_cli.stores import Store

URI = "/api/2.0/mlflow/model-versions/get-download-uri?name=churn&version=3"
ALIAS = "/api/2.0/mlflow/registered-models/alias?name=churn&alias=champion"
LIST = "/api/2.0/mlflow-artifacts/artifacts?path=1%2Fm"
FILE = "/api/2.0/mlflow-artifacts/artifacts/1/m"
PLACE = Reply({"artifact_uri": "mlflow-artifacts:/1/m"})


def listing(*files: tuple[str, int]) -> Reply:
    return Reply({"files": [{"path": name, "is_dir": False, "file_size": size} for name, size in files]})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Routes]:
    monkeypatch.setattr(client, "RETRY_PAUSES", (0.0, 0.0))
    table = {URI: PLACE, LIST: listing(("MLmodel", 4)), f"{FILE}/MLmodel": Reply(b"text")}
    with Routes(table) as routes:
        yield routes


def environ(server: Routes, **more: str) -> dict[str, str]:
    return {"MLFLOW_TRACKING_URI": server.url, **more}


def test_files_are_listed_and_fetched_once(server: Routes) -> None:
    folder = {"path": "data", "is_dir": True}
    server.table[LIST] = Reply({"files": [{"path": "MLmodel", "is_dir": False, "file_size": 4}, folder]})
    server.table[f"{LIST}%2Fdata"] = listing(("a b.onnx", 2))
    server.table[f"{FILE}/data/a%20b.onnx"] = Reply(b"ok")
    files = registered("models:/churn/3", environ(server))
    assert files.sizes == {"MLmodel": 4, "data/a b.onnx": 2}
    assert files.text("MLmodel") == files.text("MLmodel") == "text"
    assert files.get("data/a b.onnx").read_bytes() == b"ok"
    assert [path for path, _ in server.asked].count(f"{FILE}/MLmodel") == 1
    assert files.origin == f"{server.url}#models:/churn/3"


def test_a_passing_fault_is_tried_again(server: Routes) -> None:
    server.table[URI] = [Reply(status=503), Reply(status=429), PLACE]
    assert registered("models:/churn/3", environ(server)).text("MLmodel") == "text"


BASIC = "Basic " + base64.b64encode(b"ann:secret").decode()
USER = {"MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": "secret"}


@pytest.mark.parametrize(("variables", "wants"), [({"MLFLOW_TRACKING_TOKEN": "t0ken"}, "Bearer t0ken"), (USER, BASIC)])
def test_credentials_are_those_of_mlflows_own_variables(
    variables: dict[str, str], wants: str, server: Routes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    server.table = {
        path: Reply(reply.body, wants=wants) for path, reply in server.table.items() if isinstance(reply, Reply)
    }
    assert registered("models:/churn/3", environ(server, **variables)).text("MLmodel") == "text"
    with pytest.raises(ObjectRefused, match="access denied .401: who are you.*; set MLFLOW_TRACKING_TOKEN, or MLFLOW"):
        registered("models:/churn/3", environ(server))


def test_credentials_in_the_address_are_sent_and_not_shown(server: Routes) -> None:
    server.table[URI] = Reply(PLACE.body, wants=BASIC)
    address = server.url.replace("//", "//ann:secret@")
    files = registered("models:/churn/3", {"MLFLOW_TRACKING_URI": address})
    assert "secret" not in f"{files.notes} {files.origin}"


MALFORMED = [
    "models:/churn",
    "models:/churn/latest",
    "models:/churn/0",
    "models:/a/b/3",
    "models:/churn/3@x",
    "models:3",
]


@pytest.mark.parametrize("argument", MALFORMED)
def test_anything_but_a_version_or_an_alias_is_refused(argument: str) -> None:
    with pytest.raises(
        UsageError, match="is no version of a registered model; expected models:/NAME/VERSION or models:"
    ):
        registered(argument, {})


@pytest.mark.parametrize(
    ("uri", "found"), [("", "is not set"), ("databricks", "is 'databricks'"), ("sqlite:///a.db", "is 'sqlite:///a.db'")]
)
def test_without_the_address_of_a_server_nothing_is_asked(uri: str, found: str) -> None:
    with pytest.raises(
        UsageError, match=f"MLFLOW_TRACKING_URI {found}; expected the address of an MLflow server, like"
    ):
        registered("models:/churn/3", {"MLFLOW_TRACKING_URI": uri} if uri else {})


FAULTS: dict[str, tuple[dict[str, Reply], type[PilotlightError], str]] = {
    "another server": ({URI: Reply(b"<html>")}, StoreError, "the answer is not JSON"),
    "no place": (
        {URI: Reply({})},
        StoreError,
        "models:/churn/3: the server's answer has no artifact_uri; is it an MLflow",
    ),
    "a place on the server's disk": (
        {URI: Reply({"artifact_uri": "/var/m"})},
        ModelError,
        "models:/churn/3 is kept in /var/m; expected files that",
    ),
    "a place on another server": (
        {URI: Reply({"artifact_uri": "mlflow-artifacts://other:1/m"})},
        ModelError,
        "is kept in mlflow-artifacts://other:1/m",
    ),
    "no files": ({LIST: Reply({})}, ObjectRefused, "models:/churn/3 has no files on its server; log the model again"),
    "a path upwards": (
        {LIST: listing(("../../etc/cron.d/x", 1))},
        StoreError,
        "'../../etc/cron.d/x' cannot be a key in models:/churn/3",
    ),
    "an absolute path": ({LIST: listing(("a//b", 1))}, StoreError, "'a//b' cannot be a key"),
    "fewer bytes than listed": (
        {f"{FILE}/MLmodel": Reply(b"te")},
        StoreError,
        "models:/churn/3/MLmodel: found 2 bytes, expected 4; try again",
    ),
    "more bytes than listed": (
        {f"{FILE}/MLmodel": Reply(b"text" * 9)},
        StoreError,
        "models:/churn/3/MLmodel: found 36 bytes, expected 4",
    ),
    "a file that is too large": (
        {LIST: listing(("MLmodel", 10**12))},
        ModelError,
        "models:/churn/3/MLmodel has 1,000,000,000,000 bytes, expected at most",
    ),
    "a server out of order": (
        {URI: Reply({"message": "no database"}, 500)},
        StoreUnavailable,
        "returned 500: no database; try again later",
    ),
    "a strange status": ({URI: Reply({}, 418)}, StoreError, "returned 418"),
    "a connection that breaks": (
        {f"{FILE}/MLmodel": Reply(b"te", headers={"Content-Length": "4"})},
        StoreUnavailable,
        "no answer",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_server_at_fault_is_named_with_what_is_expected(case: str, server: Routes) -> None:
    replies, kind, sentence = FAULTS[case]
    server.table.update(replies)
    with pytest.raises(kind, match=re.escape(sentence)):
        registered("models:/churn/3", environ(server)).text("MLmodel")


def test_no_server_is_said_with_its_address(closed_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RETRY_PAUSES", ())
    with pytest.raises(StoreUnavailable, match=f"127.0.0.1:{closed_port}.*: no answer .*refused.*; check the address"):
        registered("models:/churn/3", {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{closed_port}"})


def test_a_bucket_is_read_through_its_store(server: Routes, s3_store: Store) -> None:
    s3_store.create("churn/MLmodel", b"text")
    server.table[URI] = Reply({"artifact_uri": f"{s3_store.url}/churn"})
    assert registered("models:/churn/3", environ(server)).text("MLmodel") == "text"
    server.table[URI] = Reply({"artifact_uri": f"{s3_store.url}/nothing"})
    with pytest.raises(ObjectRefused, match="models:/churn/3 has no files in s3://"):
        registered("models:/churn/3", environ(server))
