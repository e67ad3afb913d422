"""What is prepared for `sam local`: environments, the template, and a store where a container can reach it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pilotlight_cli.aws.sam import SamFailed
from pilotlight_cli.aws.sam_local import host_address, offline, point_to, pointed_to, quiet, reachable_store
from pilotlight_cli.aws.template import load_template

TEMPLATE = """
Resources:
  PredictFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: PredictFunction
      Environment:
        Variables:
          PILOTLIGHT_STORE: !If [HasStoreUrl, !Ref StoreUrl, nowhere]
          PILOTLIGHT_LOG_LEVEL: !Ref LogLevel
"""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """Return a template as `sam build` leaves it."""
    path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE)
    return path


def test_a_function_gets_variables_that_its_template_does_not_name(template: Path) -> None:
    copy = point_to(template, {"PILOTLIGHT_STORE": "s3://there", "AWS_ENDPOINT_URL_S3": "http://172.17.0.1:80"})
    assert copy.parent == template.parent  # the packages' places are told from there
    function = load_template(copy)["Resources"]["PredictFunction"]["Properties"]
    assert function["CodeUri"] == "PredictFunction"
    assert function["Environment"]["Variables"] == {
        "PILOTLIGHT_STORE": "s3://there",
        "PILOTLIGHT_LOG_LEVEL": {"Ref": "LogLevel"},
        "AWS_ENDPOINT_URL_S3": "http://172.17.0.1:80",
    }
    assert template.read_text() == TEMPLATE


def test_sam_tells_nobody_and_pulls_no_image_that_is_there() -> None:
    environ = quiet({"PATH": "/bin", "AWS_PROFILE": "mine", "AWS_CA_BUNDLE": ""})
    assert environ == {"PATH": "/bin", "AWS_PROFILE": "mine", "SAM_CLI_TELEMETRY": "0", "SAM_SKIP_PULL_IMAGE": "1"}


def test_with_a_store_of_this_machine_no_credentials_and_no_proxy_of_the_developers_are_used() -> None:
    given = {"PATH": "/bin", "AWS_PROFILE": "mine", "AWS_ENDPOINT_URL": "https://elsewhere", "HTTPS_PROXY": "proxy:1"}
    assert offline(given).keys() & given.keys() == {"PATH"}


def test_the_store_listens_where_the_container_looks_for_it(template: Path) -> None:
    with reachable_store("127.0.0.2") as store:
        run = pointed_to(store, "127.0.0.2", template, {"PATH": "/bin"})
        variables = json.loads(run.template.read_text())["Resources"]["PredictFunction"]["Properties"]["Environment"]
        assert store.environ["AWS_ENDPOINT_URL_S3"].startswith("http://127.0.0.2:")
        assert variables["Variables"]["AWS_ENDPOINT_URL_S3"] == store.environ["AWS_ENDPOINT_URL_S3"]
        assert variables["Variables"]["PILOTLIGHT_STORE"] == store.url
        assert run.environ["AWS_ACCESS_KEY_ID"] == "local"


def test_an_address_that_is_none_of_this_machines_leads_to_the_loopback_address(template: Path) -> None:
    with reachable_store("192.0.2.1") as store:  # for documentation: nobody has it
        run = pointed_to(store, "192.0.2.1", template, {})
        port = store.environ["AWS_ENDPOINT_URL_S3"].removeprefix("http://127.0.0.1:")
        assert f'"AWS_ENDPOINT_URL_S3": "http://192.0.2.1:{port}"' in run.template.read_text()


def test_without_docker_the_message_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SamFailed, match="docker is not installed"):
        host_address()


def test_a_command_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\necho no engine >&2\nexit 125\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SamFailed, match=r"'docker run' failed with exit code 125:\nno engine"):
        host_address()
