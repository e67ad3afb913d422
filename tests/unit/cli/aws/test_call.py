"""`pilotlight call` on AWS: a gateway that checks signatures, and the stack's outputs in moto's CloudFormation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fakes.signed_gateway import SignedGateway, serving
from pilotlight_cli.calling import first_sample
from pilotlight_cli.local import serving as serving_function
from pilotlight_cli.main import app
from pilotlight_cli.registry.availability import ensure_published
from pilotlight_cli.stores import open_store
from repository import LOCK, copied_project, sample_request

DOCUMENT = {"features": {"mean radius": 17.99, "unit": "größer"}}
BODY = json.dumps(DOCUMENT, ensure_ascii=False)

# Credentials as of an SSO session: no variable of the environment has them, and they have a session token.
PROFILE = """[profile team]
credential_process = sh -c 'echo "{\\"Version\\": 1, \\"AccessKeyId\\": \\"AKIDGATEWAY\\", \\
\\"SecretAccessKey\\": \\"secret\\", \\"SessionToken\\": \\"session\\"}"'
""".replace("\\\n", "")

# The AWS CLI's part: https://docs.aws.amazon.com/cli/latest/reference/configure/export-credentials.html
AWS = """#!/bin/sh
[ "$*" = "configure export-credentials --format env" ] && [ "$AWS_PROFILE" = team ] || exit 254
echo export AWS_ACCESS_KEY_ID=AKIDGATEWAY
echo export AWS_SECRET_ACCESS_KEY=secret
echo export AWS_SESSION_TOKEN=session
"""


@dataclass
class Scene:
    """A project, the gateway of its stack `name`, and the gateway's URL."""

    gateway: SignedGateway
    url: str
    name: str
    folder: Path
    cloudformation: Any

    def stack(self, authorization: str = "iam") -> None:
        """Bring the stack, with the gateway's URL among its outputs."""
        template = {
            "Parameters": {"Authorization": {"Type": "String"}},
            "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
            "Outputs": {"ApiUrl": {"Value": self.url}},
        }
        parameters = [{"ParameterKey": "Authorization", "ParameterValue": authorization}]
        self.cloudformation.create_stack(StackName=self.name, TemplateBody=json.dumps(template), Parameters=parameters)


@pytest.fixture
def scene(aws: Callable[[str], Any], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    root = copied_project(tmp_path / "project").root
    (root / "samconfig.toml").write_text(f'[dev.global.parameters]\nstack_name = "{name}"\nregion = "us-east-1"\n')
    cloudformation = aws("cloudformation")
    (tmp_path / "config").write_text(PROFILE)
    (tmp_path / "aws").write_text(AWS)
    (tmp_path / "aws").chmod(0o755)
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "team")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.chdir(root)
    gateway = SignedGateway()
    with serving(gateway) as url:
        yield Scene(gateway, url, name, tmp_path, cloudformation)


def call(*arguments: str, code: int = 0, stdin: str | None = None) -> Any:
    result = CliRunner().invoke(app, ["call", "--env", "dev", "--cloud", "aws", *arguments], input=stdin)
    assert result.exit_code == code, result.output
    return result


@pytest.mark.parametrize("form", ["argument", "file", "stdin", "sample"])
def test_a_prediction_is_signed_by_the_profile_and_its_answer_printed(scene: Scene, form: str) -> None:
    scene.stack()
    file = scene.folder / "row.json"
    file.write_text(BODY)
    arguments = {"argument": [BODY], "file": [str(file)], "stdin": ["-"], "sample": []}[form]
    result = call(*arguments, stdin=BODY if form == "stdin" else None)
    expected = first_sample(copied_project(scene.folder / "again").model()).body if form == "sample" else DOCUMENT
    assert json.loads(result.stdout) == json.loads(scene.gateway.bodies[0]) == expected


def test_a_signed_request_gets_a_prediction_of_the_function_in_lambdas_runtime(scene: Scene) -> None:
    scene.stack()
    store = scene.folder / "store"
    ensure_published(LOCK, open_store(store.as_uri()))
    with serving_function("aws", LOCK, store.as_uri()) as server:
        scene.gateway.behind = server.url
        asked = json.dumps(sample_request()[1])
        answers = [json.loads(call(asked).stdout)]
        for form, command in (("curl", ["sh", "-c"]), ("python", [sys.executable, "-c"])):
            text = call(asked, "--print", form).stdout
            done = subprocess.run([*command, text], capture_output=True, text=True, check=False)
            answers.append(json.loads(done.stdout or "null"))
    expected = {"prediction": "malignant", "model_name": "breast-cancer", "model_version": 1}
    assert [{name: answer[name] for name in expected} for answer in answers] == [expected] * 3


@pytest.mark.parametrize("form", ["curl", "python"])
@pytest.mark.parametrize("authorization", ["iam", "jwt", "api-key", "open-to-everyone"])
def test_what_is_printed_sends_the_same_request(
    scene: Scene, form: str, authorization: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.stack(authorization)
    scene.gateway.open = authorization != "iam"
    text = call(BODY, "--print", form).stdout
    monkeypatch.setenv("API_KEY", "id.secret")
    monkeypatch.setenv("TOKEN", "e.y.z")
    command = ["sh", "-c", text] if form == "curl" else [sys.executable, "-c", text]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert json.loads(done.stdout or "null") == DOCUMENT, done.stderr
    assert scene.gateway.bodies == [BODY.encode()]
    sent = {name: scene.gateway.headers.get(name) for name in ("x-api-key", "authorization")}
    assert {
        "iam": True,
        "jwt": sent["authorization"] == "Bearer e.y.z",
        "api-key": sent["x-api-key"] == "id.secret",
    }.get(authorization, not any(sent.values()))


@pytest.mark.parametrize(("authorization", "variable"), [("jwt", "TOKEN"), ("api-key", "API_KEY")])
def test_a_token_or_a_key_comes_from_the_environment(
    scene: Scene, authorization: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.stack(authorization)
    scene.gateway.open = True
    monkeypatch.delenv(variable, raising=False)
    assert f"set {variable} in the environment" in call(BODY, code=2).stderr
    monkeypatch.setenv(variable, "given")
    call(BODY)
    assert "given" in scene.gateway.headers.get("x-api-key", "") + scene.gateway.headers.get("authorization", "")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([BODY], 1, "is not deployed; 'pilotlight deploy aws --env dev' deploys it"),
        (["nowhere.json"], 2, "expected a JSON document, a file with one, or -"),
        (["{not json"], 2, "DOCUMENT is not JSON: "),
    ],
    ids=["no stack", "no file", "no json"],
)
def test_what_cannot_be_sent_is_refused(scene: Scene, arguments: list[str], code: int, said: str) -> None:
    assert said in call(*arguments, code=code).stderr


def test_an_error_answer_is_exit_code_1_with_its_text(scene: Scene) -> None:
    scene.stack()
    scene.gateway.status = 400
    assert f"/predict returned 400: {BODY}" in call(BODY, code=1).stderr
    scene.gateway.secret = "another"
    said = call(BODY, code=1).stderr
    assert 'returned 403: {"message": "Forbidden"}; these credentials need execute-api:Invoke on the API' in said
