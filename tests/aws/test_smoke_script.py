"""starter/deploy/aws/smoke.sh, with a gateway on this machine and a stand-in for the AWS CLI."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pilotlight_cli.assets import ROOT

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on this machine")

AWS = """#!/bin/sh
case "$*" in
*"--stack-name pilotlight-test "*ApiUrl*) echo "$API_URL" ;;
*"--stack-name pilotlight-test "*Authorization*) echo "$AUTHORIZATION" ;;
"configure export-credentials --format env")
    echo export AWS_ACCESS_KEY_ID=AKID AWS_SECRET_ACCESS_KEY="'a secret'" AWS_SESSION_TOKEN="'a token'" ;;
*) exit 254 ;;
esac
"""

KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "a secret", "AWS_SESSION_TOKEN": "a token"}

SETTINGS = """
[test.global.parameters]
stack_name = "{0}-test"
[absent.global.parameters]
stack_name = "{0}-absent"
"""


class Gateway(ThreadingHTTPServer):
    """Answers `status`, and keeps what it was asked with."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.requests: list[tuple[str, dict[str, str]]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Gateway

    def do_GET(self) -> None:
        self.server.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        self.send_response(self.server.status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing: the test looks at the requests."""


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def smoke(
    gateway: Gateway, folder: Path, authorization: str, *names: str, keys: Mapping[str, str] = KEYS
) -> tuple[int, str]:
    """Run the script of a project in `folder`, for an environment and a model; a stack has the name of both."""
    script = folder / "deploy/aws/smoke.sh"
    for model, settings in (("pilotlight", folder), ("second", folder / "models/second")):
        settings.mkdir(parents=True, exist_ok=True)
        (settings / "samconfig.toml").write_text(SETTINGS.format(model))
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_bytes((ROOT / "starter/deploy/aws/smoke.sh").read_bytes())
    program = folder / "aws"
    program.write_text(AWS)
    program.chmod(0o755)
    environ = {
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "API_URL": f"http://127.0.0.1:{gateway.server_port}",
        "AUTHORIZATION": authorization,
        "AWS_REGION": "eu-west-1",
        **keys,
    }
    done = subprocess.run(
        ["bash", script, *(names or ["test"])], env=environ, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("keys", [KEYS, {}], ids=["variables", "profile"])
def test_a_caller_of_aws_signs_the_request(keys: Mapping[str, str], gateway: Gateway, tmp_path: Path) -> None:
    code, said = smoke(gateway, tmp_path, "iam", keys=keys)

    assert (code, "/health/ready returned 200" in said) == (0, True)
    ((path, headers),) = gateway.requests
    assert path == "/health/ready"
    assert headers["x-amz-security-token"] == "a token"
    assert "Credential=AKID/" in headers["authorization"]
    assert "/eu-west-1/execute-api/aws4_request" in headers["authorization"]
    assert "x-amz-security-token" in headers["authorization"], "the token is signed too"


def test_an_open_api_is_asked_as_it_is(gateway: Gateway, tmp_path: Path) -> None:
    assert smoke(gateway, tmp_path, "open-to-everyone")[0] == 0
    assert "authorization" not in gateway.requests[0][1]


@pytest.mark.parametrize("authorization", ["jwt", "api-key"])
def test_an_api_that_lets_a_stranger_in_fails(authorization: str, gateway: Gateway, tmp_path: Path) -> None:
    code, said = smoke(gateway, tmp_path, authorization)
    assert (code, f"error: expected 401 with authorization {authorization}" in said) == (1, True)

    gateway.status = 401
    assert smoke(gateway, tmp_path, authorization)[0] == 0


def test_a_function_that_is_not_ready_fails(gateway: Gateway, tmp_path: Path) -> None:
    gateway.status = 403
    code, said = smoke(gateway, tmp_path, "iam")
    assert (code, "error: expected 200" in said) == (1, True)


@pytest.mark.parametrize("names", [("absent",), ("test", "second"), ("unknown",)])
def test_a_stack_that_is_not_there_fails(names: tuple[str, ...], gateway: Gateway, tmp_path: Path) -> None:
    assert smoke(gateway, tmp_path, "iam", *names)[0] != 0
    assert gateway.requests == []


def test_the_model_at_the_root_is_the_one_without_a_folder(gateway: Gateway, tmp_path: Path) -> None:
    assert smoke(gateway, tmp_path, "iam", "test", "pilotlight")[0] == 0
