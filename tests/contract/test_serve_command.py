"""`pilotlight serve` as somebody types it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest

import grpc_inference_pb2 as pb
from grpc_calls import connected
from harness import pinned
from onnx_models import plus
from pilotlight_cli.local.client import send
from pilotlight_cli.local.process import free_port
from processes import descendants, python, wait_until_ended
from waiting import wait_until

COMMAND = "import sys; from pilotlight_cli.main import app; sys.argv[0] = 'pilotlight'; app()"


def serve(cloud: str, lock: Path, *more: str) -> list[str]:
    return ["serve", "--cloud", cloud, "--lock", str(lock), "--port", "0", *more]


def said_url(process: subprocess.Popen[str], name: str = "breast-cancer:1") -> str:
    """Return the URL in the first line of the command's output."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert f"{name} answers on http://127.0.0.1:" in line, line
    return line.split()[-1]


def test_serve_once_prints_the_answer_and_the_phases_and_ends(cloud: str, lock: Path) -> None:
    with python(COMMAND, *serve(cloud, lock, "--once")) as process:
        printed, said = process.communicate(timeout=120)

    assert process.returncode == 0, said
    assert '"prediction": "malignant"' in printed
    assert '"model_name": "breast-cancer"' in printed
    assert '"model_version": 1' in printed
    for phase in ("import", "fetch", "runtime", "load", "total"):
        assert phase in printed


def test_the_server_of_a_container_answers_over_grpc_too(lock: Path, store: str) -> None:
    port = str(free_port())
    with python(COMMAND, *serve("container", lock, "--store", store, "--grpc-port", port)) as process:
        said_url(process)
        with connected(f"127.0.0.1:{port}") as client:
            assert client.call("ServerReady", pb.ServerReadyRequest()).ready
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_serve_and_all_that_it_started(
    cloud: str, number: signal.Signals, lock: Path, store: str
) -> None:
    with python(COMMAND, *serve(cloud, lock, "--store", store)) as process:
        url = said_url(process)
        assert send(url, "/health/ready").status == 200
        pids = descendants(process.pid)
        assert len(pids) >= 2
        process.send_signal(number)
        _, said = process.communicate(timeout=60)

    assert process.returncode == 0, said
    assert "Stopped." in said
    wait_until_ended(pids, limit=60)


def test_a_signal_during_the_start_ends_serve_too(cloud: str, lock: Path, store: str) -> None:
    with python(COMMAND, *serve(cloud, lock, "--store", store)) as process:
        assert process.stderr is not None
        assert "Starting breast-cancer:1" in process.stderr.readline()
        wait_until(lambda: bool(descendants(process.pid)), limit=60)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)

    assert process.returncode == 0


def test_the_death_of_serve_leaves_nothing_running(
    cloud: str, lock: Path, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # its files are left
    with python(COMMAND, *serve(cloud, lock, "--store", store)) as process:
        said_url(process)
        pids = descendants(process.pid)
        process.kill()
        process.wait()

        wait_until_ended(pids, limit=60)


def test_serve_tells_of_every_request_in_a_line(cloud: str, lock: Path, store: str) -> None:
    with python(COMMAND, *serve(cloud, lock, "--store", store)) as process:
        url = said_url(process)
        assert send(url, "/nonsense").status == 404
        said = lines_until(process, {"GET (no route) 404 ", "POST /predict 200 "})  # the second is the sample request

    assert "RequestId" not in said


def lines_until(process: subprocess.Popen[str], wanted: set[str]) -> str:
    """Return its output, up to the line with the last of those texts."""
    assert process.stderr is not None
    end = threading.Timer(90, process.kill)
    end.start()
    said = ""
    for line in process.stderr:
        said += line
        if all(text in said for text in wanted):
            end.cancel()
            return said
    raise AssertionError(said)


def test_a_second_version_answers_beside_the_pinned_one_until_serve_ends(cloud: str, tmp_path: Path) -> None:
    first = pinned(plus(tmp_path, 1), "sums", tmp_path)
    pinned(plus(tmp_path, 2), "sums", tmp_path, lock="second")
    with python(COMMAND, *serve(cloud, first.lock, "--store", first.store.url, "--compare", "sums:2")) as process:
        url = said_url(process, "sums:1")
        for prefix, sums in (("", [2, 3, 4]), ("/docs/versions/sums:2", [3, 4, 5])):
            reply = send(url, f"{prefix}/predict", {"features": [1, 2, 3]})
            assert json.loads(reply.body)["prediction"] == sums
        assert '"prefix": "/docs/versions/sums:2"' in send(url, "/docs").body.decode()
        pids = descendants(process.pid)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)

    assert process.returncode == 0, said
    wait_until_ended(pids, limit=60)


def test_a_port_that_is_taken_is_a_sentence_and_an_exit_code(cloud: str, lock: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        arguments = ["serve", "--cloud", cloud, "--lock", str(lock), "--port", str(listener.getsockname()[1])]
        with python(COMMAND, *arguments) as process:
            _, said = process.communicate(timeout=120)

    assert process.returncode == 1
    assert "Address already in use" in said
    assert "Traceback" not in said
