"""Managed Instances: the function in several processes of one environment, in AWS's own emulator of that mode.

MANAGED_INSTANCES_MEGABYTES is the size of the model. The folder for temporary files holds 1.2 of it, and no more.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import managed_instances
from containers import Container, docker
from doubles import MemoryStore, description
from fakes.s3_server import S3Server
from harness import Pinned, pinned
from onnx_models import multiplied
from pilotlight.model.lock import Session
from pilotlight.start.loading import Loader, Plan
from pilotlight_cli.local.client import send
from pilotlight_cli.local.events import HttpRequest, http_api_event
from pilotlight_cli.local.stores import acting_in
from pilotlight_cli.registry.publish import copy
from pilotlight_cli.sandbox.child.onnx_metadata import mark, write_session
from pilotlight_cli.staging import build
from pilotlight_cli.stores import open_store
from waiting import wait_until

MB = 1 << 20
SIZE = int((float(os.environ.get("MANAGED_INSTANCES_MEGABYTES", "13")) * MB / 4) ** 0.5)  # of a square matrix of FP32
WORKERS = 8
INVOCATIONS = "/2015-03-31/functions/function/invocations"

PYTHON = ("/var/lang/bin/python3", "-I", "-c")
FILES = "import pathlib, sys; print(*(path.name for path in pathlib.Path('/tmp/pilotlight').glob('*/' + sys.argv[1])))"
SHARES = """
import json, os, pathlib
processes = [
    folder
    for folder in pathlib.Path("/proc").glob("[0-9]*")
    if b"awslambdaric" in (folder / "cmdline").read_bytes() and folder.name != str(os.getpid())
]
owner = processes[0].stat()
os.setgroups([])
os.setgid(owner.st_gid)
os.setuid(owner.st_uid)  # who may see their memory
found = {}
for folder in processes:
    lines = (folder / "smaps_rollup").read_text().splitlines()
    found[folder.name] = 1024 * int(next(line for line in lines if line.startswith("Pss:")).split()[1])
print(json.dumps(found))
"""


class Environment(Container):
    """An execution environment: a container with the function's package, whose runtime has several processes."""

    def invoke(self, event: object) -> Any:
        """Return the function's reply."""
        answer = send(f"http://{docker('port', self.id, '8080').splitlines()[0]}", INVOCATIONS, event)
        assert answer.status == 200, answer
        return answer.document

    @property
    def starts(self) -> Sequence[dict[str, Any]]:
        """The records of the starts that have ended, one of each process."""
        return [json.loads(line) for line in self.log.splitlines() if '"event":"cold_start"' in line]

    def files(self, pattern: str) -> Sequence[str]:
        """Return the names of the model's files that match."""
        return docker("exec", self.id, *PYTHON, FILES, pattern).split()

    def kill(self, pid: int) -> None:
        """End a process as the kernel does."""
        docker("exec", self.id, *PYTHON, "import os, sys; os.kill(int(sys.argv[1]), 9)", str(pid))

    def shares(self) -> dict[str, int]:
        """Return what each process of the runtime holds, in bytes: memory that several share counts in parts."""
        found: dict[str, int] = json.loads(docker("exec", self.id, *PYTHON, SHARES))
        return found


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Pinned:
    """Give a model whose weights lie in a file that a session maps, as 'pilotlight optimize' writes it."""
    folder = tmp_path_factory.mktemp("model")
    path = multiplied(folder, SIZE)
    mark(path, write_session(Session("off", prepacking=False)))
    return pinned(path, "large", folder)


@pytest.fixture(scope="module")
def package(model: Pinned, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    folder.chmod(0o755)  # the runtime has a user of its own
    build("aws", model.lock, folder / "aws", lambda _: None)
    return folder / "aws"


@pytest.fixture
def server(model: Pinned, address: str) -> Iterator[tuple[S3Server, dict[str, str]]]:
    """Give an object store that containers reach, with the model, and the environment of its clients."""
    bucket = f"models-{secrets.token_hex(3)}"
    with S3Server(address) as server:
        server.make_bucket(bucket)
        environ = {"AWS_ENDPOINT_URL_S3": server.url, "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}
        environ |= {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
        with acting_in(environ):
            copy(model.store, open_store(f"s3://{bucket}"), "large", 1, lambda _: None)
        server.ranges.clear()
        yield server, environ | {"PILOTLIGHT_STORE": f"s3://{bucket}"}
        server.flows.set()
        server.drop_buckets(bucket)


@contextmanager
def environment(image: str, package: Path, environ: dict[str, str], handler: str = "handler") -> Iterator[Environment]:
    """Run an environment with /tmp of 1.2 models."""
    variables = {**environ, "AWS_LAMBDA_MAX_CONCURRENCY": str(WORKERS)}
    options = [f"--env={name}={value}" for name, value in variables.items()]
    options += [f"--tmpfs=/tmp:size={int(1.2 * SIZE * SIZE * 4)}", f"--volume={package}:/var/task:ro"]
    options += ["--publish=127.0.0.1::8080", "--read-only"]
    found = Environment(docker("run", "--detach", *options, image, f"{handler}.lambda_handler").strip())
    try:
        yield found
    finally:
        docker("rm", "--force", "--volumes", found.id)


def infer(row: Sequence[float]) -> dict[str, object]:
    """Return the event of a V2 request with one row."""
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, SIZE], "data": row}]}
    headers = (("content-type", "application/json"),)
    return http_api_event(HttpRequest("POST", "/v2/models/large/infer", headers, json.dumps(body).encode()))


# The process that is the first to start cannot serve.
ONE_FAILS = """
import os
try:
    os.open("/tmp/first", os.O_CREAT | os.O_EXCL)
except FileExistsError:
    pass
else:
    os.environ["PILOTLIGHT_LOG_LEVEL"] = "LOUD"
from handler import lambda_handler
"""


def test_eight_processes_share_one_download_and_one_copy(
    lambda_image: str, package: Path, server: tuple[S3Server, dict[str, str]], model: Pinned
) -> None:
    with environment(lambda_image, package, server[1]) as found:
        wait_until(lambda: len(found.starts) == WORKERS or not found.state["Running"], limit=120)
        assert [start["state"] for start in found.starts] == ["ready"] * WORKERS, found.log
        fetched = sorted(start["fetched_bytes"] for start in found.starts)
        assert fetched == [0] * (WORKERS - 1) + [sum(file.size for file in model.model.files)]
        ranges = sorted(span for span in server[0].ranges)
        assert [span[0] for span in ranges[1:]] == [span[1] for span in ranges[:-1]], "each byte once"

        row = [float(number % 7) for number in range(SIZE)]
        with ThreadPoolExecutor(WORKERS) as pool:
            replies = list(pool.map(found.invoke, [infer(row)] * WORKERS))
        assert {reply["statusCode"] for reply in replies} == {200}
        assert json.loads(replies[0]["body"])["outputs"][0]["data"][:2] == [sum(row)] * 2

        shares = found.shares()
        assert len(shares) == WORKERS + 1, "and the runtime's main process"
        assert sum(shares.values()) <= 300 * MB


def test_the_death_of_the_process_that_downloads_lets_another_one_take_over(
    lambda_image: str, package: Path, server: tuple[S3Server, dict[str, str]]
) -> None:
    server[0].flows.clear()
    with environment(lambda_image, package, server[1]) as found:
        wait_until(lambda: len(server[0].ranges) > 1, limit=120)
        parts = found.files(".weights.bin.*.part")
        assert len(parts) == 1
        found.kill(int(parts[0].split(".")[3]))
        server[0].flows.set()

        wait_until(lambda: len(found.starts) == WORKERS - 1 or not found.state["Running"], limit=120)
        assert [start["state"] for start in found.starts] == ["ready"] * (WORKERS - 1), found.log
        assert sum(start["fetched_bytes"] > 0 for start in found.starts) == 1
        assert found.files(".weights.bin.*.part") == []
        assert found.invoke(infer([0.0] * SIZE))["statusCode"] == 200


def test_a_process_that_cannot_serve_ends_the_environment(
    lambda_image: str, package: Path, server: tuple[S3Server, dict[str, str]]
) -> None:
    (package / "one_fails.py").write_text(ONE_FAILS)
    with environment(lambda_image, package, server[1], "one_fails") as found:
        wait_until(lambda: not found.state["Running"], limit=120)
        assert found.log.count("Received Runtime Init Error") == 1
        assert "SettingsError: PILOTLIGHT_LOG_LEVEL is 'LOUD'" in found.log


def test_without_its_model_a_process_reports_no_success() -> None:
    plan = Plan(description(), MemoryStore({}), Path("nowhere"), 1, time.monotonic, time.sleep)
    with pytest.raises(RuntimeError, match="no environment without the model: .* to be 'ready', found 'waiting'"):
        managed_instances.end_init(Loader(plan, lambda _: None, {}, None))
