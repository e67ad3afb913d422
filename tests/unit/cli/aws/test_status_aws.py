"""`pilotlight status aws`: one environment, with moto's services, beside a stack whose name goes on."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fakes.lambda_api import FakeLambda, lambda_api
from fakes.s3_server import S3Server
from pilotlight_cli.main import app
from repository import copied_project

URL = "https://a1b2c3.execute-api.us-east-1.amazonaws.com"


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@b.example")
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture(scope="module", autouse=True)
def alarm_resources() -> None:
    """Teach moto's CloudFormation the one type that it lacks here."""
    from moto.cloudformation import parsing
    from moto.cloudwatch.models import cloudwatch_backends
    from moto.core.common_models import CloudFormationModel

    class AlarmResource(CloudFormationModel):
        def __init__(self, name: str) -> None:
            self.physical_resource_id = name

        @staticmethod
        def cloudformation_type() -> str:
            return "AWS::CloudWatch::Alarm"

        @classmethod
        def create_from_cloudformation_json(
            cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **_: Any
        ) -> AlarmResource:
            name = cloudformation_json["Properties"].get("AlarmName", resource_name)
            cloudwatch_backends[account_id][region_name].put_metric_alarm(
                name, "n", "m", "GreaterThanThreshold", 1, 60, 1.0, "Sum", "", [], []
            )
            return cls(name)

    for function in (parsing.get_model_list, parsing.get_model_map, parsing.get_name_type_map):
        function.cache_clear()


@pytest.fixture
def deployed(
    aws: Callable[[str], Any], s3_server: S3Server, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeLambda]:
    """Give a function whose version 7 has the pin of a committed project, and version 8 an unknown one."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", s3_server.url)
    model = copied_project(tmp_path / "project").model()
    (model.root / "samconfig.toml").write_text(f'[dev.global.parameters]\nstack_name = "{name}"\n')
    git(model.root, "init", "--quiet")
    git(model.root, "add", ".")
    git(model.root, "commit", "--quiet", "--message", "breast-cancer:1")
    monkeypatch.chdir(model.root)
    create_stack(aws, name)
    create_stack(aws, f"{name}-b")
    lock = hashlib.sha256((model.root / "model.lock").read_bytes()).hexdigest()

    def version(number: str, lock: str, model: str) -> Callable[[object], Any]:
        described = {"name": model, "version": 1}
        return lambda _: {"function_version": number, "release": "r", "lock": lock, "model": described}

    versions = {"7": version("7", lock, "breast-cancer"), "8": version("8", "b" * 64, "other")}
    function = FakeLambda(f"{name}-predict", versions, {"live": "7"})
    with lambda_api(function) as found:
        for variable, value in found.items():
            monkeypatch.setenv(variable, value)
        yield function


def create_stack(aws: Callable[[str], Any], name: str) -> None:
    """Make a stack that has an alarm, and a nested stack with another, as template.yaml has."""
    nested = json.dumps({"Resources": {"Alarm": alarm(f"{name}-throttles")}})
    aws("s3").create_bucket(Bucket=f"templates-{name}")
    aws("s3").put_object(Bucket=f"templates-{name}", Key="nested.json", Body=nested)
    url = f"https://templates-{name}.s3.amazonaws.com/nested.json"
    resources = {
        "Alarm": alarm(f"{name}-latency-7"),
        "Monitoring": {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": url}},
    }
    body = {"Resources": resources, "Outputs": {"ApiUrl": {"Value": URL}}}
    aws("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps(body))


def alarm(name: str) -> dict[str, Any]:
    return {"Type": "AWS::CloudWatch::Alarm", "Properties": {"AlarmName": name}}


def ring(aws: Callable[[str], Any], name: str) -> None:
    aws("cloudwatch").set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")


def status(*arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, ["status", "aws", "--env", "dev", *arguments])
    assert result.exit_code == code, result.output
    return result


def test_one_environment_is_one_table(deployed: FakeLambda, name: str) -> None:
    commit = git(Path(), "rev-parse", "--short", "HEAD")
    assert [" ".join(line.split()) for line in status().stdout.splitlines() if line] == [
        f"environment dev on aws: {name}",
        "pinned breast-cancer:1",
        f"serves 100 %, breast-cancer:1, version 7, this pin, commit {commit}",
        "release in progress none",
        "alarms none of 2 rings",
        f"URL {URL}",
    ]


def test_a_release_in_progress_has_its_step_and_alarms_that_ring_their_names(
    deployed: FakeLambda, aws: Callable[[str], Any], name: str
) -> None:
    deployed.weights["live"] = {"8": 0.1}
    ring(aws, f"{name}-latency-7")
    document = json.loads(status("--json").stdout)
    assert document["release_in_progress"] == "version 8 at 10 %"
    assert document["alarms"][f"{name}-latency-7"] == "ALARM"
    assert [(one["version"], one["percent"], one["model"], one["this_pin"]) for one in document["traffic"]] == [
        ("version 7", 90, "breast-cancer:1", True),
        ("version 8", 10, "other:1", False),
    ]
    assert [bool(one["commit"]) for one in document["traffic"]] == [True, False]
    assert f"ALARM: {name}-latency-7" in status().stdout


def test_a_release_in_progress_has_what_the_judge_says_of_it(
    deployed: FakeLambda, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed.weights["live"] = {"8": 0.1}
    said = {"outcome": "hold", "sentence": "12 requests of version 8"}
    with lambda_api(deployed, FakeLambda(f"{name}-judge", {"": lambda _: said})) as found:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", found["AWS_ENDPOINT_URL_LAMBDA"])
        document = json.loads(status("--json").stdout)
    assert document["release_in_progress"] == "version 8 at 10 %, the judge says hold: 12 requests of version 8"


def test_alarms_are_those_of_the_stack_and_its_nested_stacks_whatever_others_are_called(
    deployed: FakeLambda, aws: Callable[[str], Any], name: str
) -> None:
    ring(aws, f"{name}-b-latency-7")
    ring(aws, f"{name}-throttles")
    alarms = json.loads(status("--json").stdout)["alarms"]
    assert set(alarms) == {f"{name}-latency-7", f"{name}-throttles"}
    assert alarms[f"{name}-throttles"] == "ALARM"


def test_what_is_not_there_is_said(deployed: FakeLambda) -> None:
    Path("samconfig.toml").write_text('[dev.global.parameters]\nstack_name = "nowhere"\n')
    assert "not deployed" in status().stdout
    assert "has no environment 'test'" in CliRunner().invoke(app, ["status", "aws", "--env", "test"]).stderr
