"""`pilotlight rollback aws`: CodeDeploy's history, with moto's CloudFormation and a small Lambda API."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fakes.codedeploy_api import GROUP, CodeDeploy, codedeploy_api
from fakes.lambda_api import FakeLambda, lambda_api
from pilotlight_cli.main import app
from repository import copied_project


@dataclass
class Scene:
    """A stack `name` whose function has the versions 6 to 8; 7 was taken back by its release, 8 is live after 6.

    The function predicts, or scores records and is in a nested stack.
    """

    name: str
    which: str
    function: FakeLambda
    codedeploy: CodeDeploy

    def release(self, current: str, target: str, status: str) -> str:
        """Add a deployment to CodeDeploy's history."""
        made = self.codedeploy.deploy(self.function.name, target, current=current)["DeploymentId"]
        self.codedeploy.statuses[made] = status
        return made

    def rollback(self, *options: str, code: int = 0) -> Any:
        command = ["rollback", "aws", "--env", "dev", *([] if self.which == "predict" else ["--function", self.which])]
        result = CliRunner().invoke(app, [*command, *options])
        assert result.exit_code == code, result.output
        return result


@pytest.fixture(params=["predict", "records"])
def scene(
    request: pytest.FixtureRequest,
    aws: Callable[[str], Any],
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Scene]:
    root = copied_project(tmp_path / "project").root
    (root / "samconfig.toml").write_text(f'[dev.global.parameters]\nstack_name = "{name}"\nregion = "us-east-1"\n')
    monkeypatch.chdir(root)
    monkeypatch.delenv("CI", raising=False)

    def version(number: str) -> Callable[[object], Any]:
        model = {"name": "tumours", "version": int(number) - 5}
        return lambda _: {"function_version": number, "release": "r", "lock": "a" * 64, "model": model}

    which = request.param
    function = FakeLambda(f"{name}-{which}", {number: version(number) for number in "678"}, {"live": "8"})
    codedeploy = CodeDeploy()
    group = f"{which.capitalize()}FunctionDeploymentGroup"
    stacks = {name: {"ServerlessDeploymentApplication": codedeploy.application, group: GROUP}}
    if which == "records":
        stacks = {f"{name}-nested": stacks[name], name: {"Streams": f"{name}-nested"}}
    cloudformation = aws("cloudformation")
    for stack, names in stacks.items():
        resources = {
            key: {"Type": "AWS::Kinesis::Stream", "Properties": {"Name": value, "ShardCount": 1}}
            for key, value in names.items()
        }
        cloudformation.create_stack(StackName=stack, TemplateBody=json.dumps({"Resources": resources}))
    with lambda_api(function) as found, codedeploy_api(codedeploy):
        endpoint = "AWS_ENDPOINT_URL_CODEDEPLOY"
        for variable, value in {**found, endpoint: codedeploy.environ[endpoint]}.items():
            monkeypatch.setenv(variable, value)
        scene = Scene(name, which, function, codedeploy)
        scene.release("5", "6", "Succeeded")
        scene.release("6", "7", "Failed")
        scene.release("6", "8", "Succeeded")
        yield scene
    for stack in stacks:
        cloudformation.delete_stack(StackName=stack)


def test_after_a_release_the_version_that_served_before_has_all_traffic_again(scene: Scene) -> None:
    result = scene.rollback("--yes")
    name = scene.name if scene.which == "predict" else f"{scene.name}-records"
    assert result.stdout == f"version 6 of {name} has all traffic again\n"
    assert "CloudFormation still takes version 8 for live: run 'pilotlight rollback', commit" in result.stderr
    assert (scene.function.aliases, scene.function.weights) == ({"live": "6"}, {"live": {}})


def test_during_a_release_it_is_stopped_and_codedeploy_rolls_back(scene: Scene) -> None:
    scene.function.weights["live"] = {"9": 0.1}
    running = scene.release("8", "9", "InProgress")
    assert json.loads(scene.rollback("--yes", "--json").stdout) == {
        "stack": scene.name,
        "version": "8",
        "replaced": "9",
        "stopped": True,
    }
    assert scene.codedeploy.statuses[running] == "Stopped"


def test_an_abandoned_release_loses_its_share(scene: Scene) -> None:
    scene.function.weights["live"] = {"7": 0.1}
    scene.rollback("--yes")
    assert (scene.function.aliases["live"], scene.function.weights["live"]) == ("8", {})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda scene: scene.codedeploy.statuses.clear(), "CodeDeploy knows no release of version 8"),
        (lambda scene: scene.function.aliases.clear(), "is not deployed, so there is no version to go back to"),
        (lambda scene: scene.function.versions.pop("6"), "Function not found"),
    ],
    ids=["no history", "no alias", "deleted"],
)
def test_what_has_no_version_before_is_refused(scene: Scene, change: Callable[[Scene], object], said: str) -> None:
    change(scene)
    assert said in scene.rollback("--yes", code=1).stderr
    assert scene.function.aliases.get("live", "8") == "8"


def test_without_consent_nothing_is_changed(scene: Scene) -> None:
    assert "This is not a terminal: add --yes" in scene.rollback(code=2).stderr
    assert scene.function.aliases == {"live": "8"}
