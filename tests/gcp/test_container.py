"""The function in a container: built by Docker on a base that is made here, on a model out of an emulated store."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator

import pytest
import requests

from containers import PORT, Built, Container, docker, running, sample_image, sample_store
from pilotlight.model.lock import load_lock
from pilotlight_cli.local.client import send
from pilotlight_cli.local.stores import EmbeddedStore, gcs_store
from pilotlight_cli.pinning.requirements import pins
from repository import LOCK, SAMPLE, sample_request
from waiting import wait_until

PATIENCE = 25  # seconds until SIGKILL; less than gunicorn's 30, after which it ends whatever it waits for

ANSWER = {
    "prediction": "malignant",
    "probability": 0.96875,
    "probabilities": [0.03125, 0.96875],
    "model_name": "breast-cancer",
    "model_version": 1,
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    with sample_image(tmp_path_factory.mktemp("package")) as found:
        yield found


@pytest.fixture(scope="module")
def store(built: Built) -> Iterator[EmbeddedStore]:
    with sample_store(built.address) as found:
        yield found


def environment(store: EmbeddedStore) -> dict[str, str]:
    return {"PILOTLIGHT_STORE": store.url, **store.environ}


@pytest.fixture(scope="module")
def container(built: Built, store: EmbeddedStore) -> Iterator[Container]:
    with running(built.image, environment(store), "--health-interval", "1s") as found:
        found.wait_until_ready()
        yield found


def test_it_answers_from_a_model_that_it_fetched(container: Container) -> None:
    answer = send(container.url, *sample_request())

    assert (answer.status, answer.document) == (200, ANSWER)
    wait_until(lambda: '"cold_start"' in container.log, limit=60)  # Docker takes a line up after it was written
    (start,) = (json.loads(line) for line in container.log.splitlines() if '"cold_start"' in line)
    assert (start["state"], start["fetched_bytes"]) == ("ready", load_lock(LOCK).model.files[0].size)


LOOK = """
import json, os
from pathlib import Path
status = dict(line.split(":", 1) for line in Path("/proc/1/status").read_text().splitlines())
refused = []
for name in ("/x", "/function/x", "/venv/x"):
    try:
        Path(name).touch()
    except OSError:
        refused.append(name)
Path("/tmp/x").touch()
print(json.dumps({
    "command": Path("/proc/1/cmdline").read_text().split("\\0")[:2], "user": os.getuid(), "group": os.getgid(),
    "capabilities": [int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")],
    "no_new_privileges": status["NoNewPrivs"].strip(), "refused": refused,
}))
"""


def test_it_runs_as_nobody_without_capabilities_on_a_disk_that_it_cannot_write(container: Container) -> None:
    seen = container.ask(LOOK)

    assert seen == {
        "command": ["/venv/bin/python", "/venv/bin/functions-framework"],  # no shell that would keep SIGTERM to itself
        "user": 65532,
        "group": 65532,
        "capabilities": [0, 0, 0],
        "no_new_privileges": "1",
        "refused": ["/x", "/function/x", "/venv/x"],
    }


INSTALLED = """
import json
from importlib.metadata import distributions
print(json.dumps({found.metadata["Name"].lower().replace("_", "-"): found.version for found in distributions()}))
"""


def test_the_libraries_are_those_that_the_package_pins_and_no_others(built: Built, container: Container) -> None:
    assert container.ask(INSTALLED) == pins((built.package / "requirements.txt").read_text())


COMPILED = """
import importlib.util, json
from pathlib import Path
sources = [file for folder in ("/function", "/venv/lib") for file in Path(folder).rglob("*.py")]
without = [str(file) for file in sources if not Path(importlib.util.cache_from_source(file)).is_file()]
flags = {Path(importlib.util.cache_from_source(file)).read_bytes()[4] for file in sources}
print(json.dumps([len(sources) > 500, without, list(flags)]))
"""


def test_everything_is_compiled_and_nothing_is_checked_against_its_source(container: Container) -> None:
    assert container.ask(COMPILED) == [True, [], [1]]  # 1: a hash that is not checked (PEP 552)


LISTED = "import json, os; print(json.dumps(sorted(os.listdir('/function'))))"


def test_the_whole_package_is_in_it_and_nothing_hidden(built: Built, container: Container) -> None:
    staged = {path.name for path in built.package.iterdir() if not path.name.startswith(".")}

    assert set(container.ask(LISTED)) == staged | {"__pycache__"}


def test_docker_finds_it_healthy(container: Container) -> None:
    wait_until(lambda: container.state["Health"]["Status"] == "healthy", limit=60)


def test_no_secret_of_the_build_is_in_the_image(built: Built) -> None:
    config = json.loads(docker("image", "inspect", "--format", "{{json .Config.Env}}", built.image))
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", built.image)

    assert "PIP_" not in "".join(config) + history
    assert "/run/secrets" not in history  # the stage that saw them is not in it


def test_a_request_under_way_is_answered_before_the_container_ends(built: Built, store: EmbeddedStore) -> None:
    path, document = sample_request()
    body = json.dumps(document).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    with running(built.image, environment(store)) as container:
        container.wait_until_ready()
        with socket.create_connection((container.own_address, PORT), timeout=60) as caller:
            caller.sendall(f"{head}expect: 100-continue\r\n\r\n".encode())
            assert caller.recv(100).startswith(b"HTTP/1.1 100 ")  # the function has begun to read the body
            with subprocess.Popen(
                ["docker", "stop", "--time", str(PATIENCE), container.id], stdout=subprocess.DEVNULL
            ) as stop:
                # gunicorn takes up no others from here on, though its socket stays open.
                wait_until(lambda: not send(container.url, "/health/live", seconds=1).status, limit=60)
                caller.sendall(body)
                answer = b"".join(iter(lambda: caller.recv(1 << 16), b""))
                assert stop.wait() == 0

        assert answer.startswith(b"HTTP/1.1 200 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2]) == ANSWER
        assert container.state["ExitCode"] in (0, 143)


def listens(address: str) -> bool:
    with socket.socket() as caller:
        caller.settimeout(1)
        return caller.connect_ex((address, PORT)) == 0


def test_an_idle_container_ends_when_it_is_told_to(built: Built, store: EmbeddedStore) -> None:
    with running(built.image, environment(store)) as container:
        container.wait_until_ready()

        assert container.stop(PATIENCE) in (0, 143)


def test_a_container_that_still_waits_for_its_store_ends_when_it_is_told_to(built: Built) -> None:
    with socket.create_server((built.address, 0)) as silent:
        nowhere = {
            "PILOTLIGHT_STORE": "gs://models",
            "STORAGE_EMULATOR_HOST": f"http://{built.address}:{silent.getsockname()[1]}",
        }
        with running(built.image, nowhere) as container:
            silent.settimeout(60)
            with silent.accept()[0]:  # it has begun to fetch
                assert container.stop(PATIENCE) == 143


def test_a_model_with_other_bytes_ends_the_container_and_the_port_never_opens(
    built: Built, store: EmbeddedStore
) -> None:
    with gcs_store(store.environ["STORAGE_EMULATOR_HOST"].partition("//")[2].partition(":")[0]) as bad:
        wrong = bytearray((SAMPLE / "model.onnx").read_bytes())
        wrong[len(wrong) // 2] ^= 1
        name = "breast-cancer/1/model.onnx"
        url = f"{bad.environ['STORAGE_EMULATOR_HOST']}/upload/storage/v1/b/models/o?uploadType=media&name={name}"
        requests.post(url, bytes(wrong), timeout=60).raise_for_status()

        with running(built.image, environment(bad)) as container:
            opened = []
            while container.state["Running"]:
                address = container.own_address
                opened += [address] if address and listens(address) else []

            assert not opened
            assert container.state["ExitCode"] not in (0, 137)
            wait_until(lambda: load_lock(LOCK).model.files[0].sha256 in container.log, limit=60)
